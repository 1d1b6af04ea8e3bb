import Base
import Coding
import RESP

// Client connections: bytes become requests, requests become replies in request order.
extension Node {
    mutating func opened(_ connection: ConnectionID, from origin: ClientOrigin) {
        let index = Int(connection.rawValue)
        while sessions.count <= index { sessions.append(Session(serial: 0)) }
        precondition(!sessions[index].isOpen, "a connection is opened once")
        sessions[index] = Session(serial: nextSerial)
        sessions[index].origin = origin
        sessions[index].origin.openedAt = now.monotonic
        sessions[index].origin.heardAt = now.monotonic
        nextSerial += 1
        openSessions += 1
        counters.connections += 1
    }

    mutating func closed(_ connection: ConnectionID) {
        let index = Int(connection.rawValue)
        guard index < sessions.count, sessions[index].isOpen else { return }
        memory.replies -= sessions[index].outstanding.heldBytes
        memory.transactions -= sessions[index].countedTransaction
        endWatches(of: index)
        abandonReads(of: index)
        sessions[index] = Session(serial: 0)
        openSessions -= 1
    }

    /// Bytes of effects after which a connection's further requests wait for the next step.
    private static let stepBytesMax = 512 << 10

    mutating func received(
        _ connection: ConnectionID, _ bytes: UnsafeRawBufferPointer, _ effects: inout Effects
    ) {
        effects.consumed = 0
        effects.stalled = false
        effects.isOutOfTurn = false
        let index = Int(connection.rawValue)
        guard index < sessions.count, sessions[index].isOpen else { return }
        if membership.end != nil {
            effects.consumed = bytes.count
            if !sessions[index].isClosing { refuseRemoved(index, connection, &effects) }
            return
        }
        guard mayGoOn(index) else {
            effects.stalled = true
            return
        }
        sessions[index].origin.heardAt = now.monotonic
        let start = effects.bytes.count
        let spent = turn.spent
        defer { turn.spend(bytesCopied: effects.bytes.count - start) }
        while effects.consumed < bytes.count {
            if sessions[index].isClosing {
                effects.consumed = bytes.count
                return
            }
            guard effects.bytes.count - start < Node.stepBytesMax else {
                effects.stalled = true
                return
            }
            guard turn.admits(since: spent) else { return waitForTurn(&effects) }
            let rest = UnsafeRawBufferPointer(rebasing: bytes[effects.consumed...])
            guard nextRequest(in: rest, index, connection, &effects) else { return }
        }
    }

    /// Parses and executes one request.
    ///
    /// - Returns: whether to go on with the bytes behind it.
    @inline(__always)
    private mutating func nextRequest(
        in bytes: UnsafeRawBufferPointer, _ index: Int, _ connection: ConnectionID,
        _ effects: inout Effects
    ) -> Bool {
        switch parser.parse(bytes, &sessions[index].progress, into: &request) {
        case .incomplete:
            effects.consumed += request.consumed
            return false
        case .failed(let error):
            refuse(error, index, connection, &effects)
            return false
        case .complete:
            if turn.isSpent, !isBrief() {
                sessions[index].progress.keep(request)
                waitForTurn(&effects)
                return false
            }
            turn.spend(bytesTaken: request.consumed)
            if let wait = waitOf(index, &effects) {
                sessions[index].progress.keep(request)
                sessions[index].wait = wait
                effects.stalled = true
                return false
            }
            effects.consumed += request.consumed
            let scope = effects.beginScope()
            setClient(index)
            executeHere(connection, &effects)
            effects.endScope(scope)
            return true
        }
    }

    private func waitForTurn(_ effects: inout Effects) {
        effects.stalled = true
        effects.isOutOfTurn = true
    }

    private mutating func refuse(
        _ error: ProtocolError, _ index: Int, _ connection: ConnectionID,
        _ effects: inout Effects
    ) {
        counters.protocolErrors += 1
        let start = effects.bytes.count
        effects.bytes.writeError(error)
        deliver(.direct(connection), from: start, &effects)
        close(index, connection, &effects)
        effects.consumed = 0
        effects.stalled = true
    }

    /// Closes the connection once everything it is owed has left.
    mutating func close(_ index: Int, _ connection: ConnectionID, _ effects: inout Effects) {
        sessions[index].isClosing = true
        if !sessions[index].owesReplies { effects.add(.close(connection)) }
    }

    /// Why the parsed request may not run beside those that the connection still waits for.
    ///
    /// Requests of one connection run side by side unless a later one could overtake what an
    /// earlier one does with the same key, or they are many or large.
    private mutating func waitOf(_ index: Int, _ effects: inout Effects) -> RequestWait? {
        if busyLinks > 0, waitsForLinks() {
            waitingForLinks.append((ConnectionID(UInt32(index)), sessions[index].serial))
            return .links
        }
        if waitsForAnswers(index, &effects) { return .answers }
        guard sessions[index].owesReplies else { return nil }
        guard sessions[index].guarantees.isEmpty, sessions[index].heldBack == 0, request.count > 1,
            let name = CommandName(request[0])
        else { return .allReplies }
        let keys = CommandTable.description(of: name).keys
        var key: Int?
        if catalog.hasTyped, keys.first > 0, keys.last == keys.first, keys.first < request.count,
            isTyped(catalog.index(of: request[keys.first]))
        {
            key = keys.first
        } else if Node.runsBeside(name), keys.last == 1 || request.count == 2 {
            key = 1
        }
        guard let key else { return .allReplies }
        let keyspace = catalog.index(of: request[key])
        guard hasRoom(index, keyspace) else { return .room(keyspace) }
        let use = use(ofKey: key, name)
        return sessions[index].outstanding.keysInUse.admits(use) ? nil : .keys(use)
    }

    /// What the request that is being executed does with keys.
    private func useOfKeys() -> KeyUse {
        guard let name = CommandName(request[0]) else { return .none }
        // A command with an id is one of a key.
        let start = name == .idempotency && request.count > 2 ? 2 : 0
        guard let command = start == 0 ? name : CommandName(request[start]) else { return .none }
        let description = CommandTable.description(of: command)
        let indices = description.keyIndices(in: request, from: start)
        let first = description.keys.first
        if start == 0, first > 0, first == description.keys.last, first < request.count {
            return use(ofKey: first, command)
        }
        var hashes: [UInt64] = []
        var isAlone = !description.flags.contains(.readonly)
        for index in indices {
            guard hashes.count < KeyUse.keysMax else { return .all(alone: isAlone) }
            let key = request[start + index]
            hashes.append(store.address(of: key).hash)
            isAlone = isAlone || isTyped(catalog.index(of: key))
        }
        return hashes.isEmpty ? .all(alone: isAlone) : .keys(hashes, alone: isAlone)
    }

    /// What a command does to a state, or learns for it, later requests of the key must not pass.
    private func use(ofKey index: Int, _ name: CommandName) -> KeyUse {
        let location = place(of: request[index])
        let hash = location.address.hash
        if name == .set, request.count == 3,
            catalog.active[location.keyspace].settings.conflict == .lww, coordinates(location)
        {
            return .replaced(hash)
        }
        return .key(hash, alone: name.writes(request) || isTyped(location.keyspace))
    }

    private static func runsBeside(_ name: CommandName) -> Bool {
        switch name {
        case .get, .set, .exists, .strlen, .del, .unlink, .ttl, .pttl, .type, .qget, .qset, .qdel:
            true
        default: false
        }
    }

    /// Whether a connection may have another request under way.
    ///
    /// It may have an eighth as many as there are places left for operations of the keyspace, a
    /// quarter of all apart: so however many connections want all that they can get, that quarter
    /// is left to those that have none under way.
    private func hasRoom(_ index: Int, _ keyspace: Int) -> Bool {
        let count = sessions[index].outstanding.count
        let room = min(
            writes.room(for: keyspace), reads.room(for: keyspace), forwards.room(for: keyspace))
        let share = max(0, room - configuration.operationsMax / 4) / 8
        return count < Session.outstandingMax && count <= share
            && sessions[index].outstanding.byteCount < Session.outstandingBytesMax
    }

    /// Whether what a connection's next request waited for has come.
    private mutating func mayGoOn(_ index: Int) -> Bool {
        guard let wait = sessions[index].wait else { return true }
        // Who was called says so when its request is looked at.
        if case .called = wait { return true }
        let isOver =
            switch wait {
            case .allReplies: !sessions[index].owesReplies
            case .keys(let use): sessions[index].outstanding.keysInUse.admits(use)
            case .room(let keyspace): !sessions[index].owesReplies || hasRoom(index, keyspace)
            case .links, .answers, .called: false
            }
        if isOver { sessions[index].wait = nil }
        return isOver
    }

    @inline(__always)
    private mutating func executeHere(_ connection: ConnectionID, _ effects: inout Effects) {
        let name = request[0]
        if name.count == 3 {
            let letters = (name[0] | 0x20, name[1] | 0x20, name[2] | 0x20)
            if letters == (0x67, 0x65, 0x74), getHere(connection, &effects) { return }
            if letters == (0x73, 0x65, 0x74), setHere(connection, &effects) { return }
        }
        execute(.direct(connection), &effects)
    }

    @inline(__always)
    private mutating func setClient(_ index: Int) {
        client.dialect = sessions[index].protocolVersion == 3 ? .resp3 : .resp2
        client.mayForward = true
        client.timeoutMillisecondsMax = nil
        guard !client.isPlain || !sessions[index].isPlain else { return }
        setWishes(index)
    }

    private mutating func setWishes(_ index: Int) {
        client.isPlain = sessions[index].isPlain
        client.evidence = ReadEvidence()
        client.wantsReceipt = sessions[index].wantsReceipts
        if client.wantsReceipt, CommandName(request[0]) != .receipt {
            sessions[index].beginReceipt()
        }
        client.guarantees = sessions[index].guarantees
        client.hasDefaults = sessions[index].hasDefaults
        if client.hasDefaults { client.defaults = sessions[index].defaults }
    }
}

// Replies: they leave in request order, whatever order they become known in.
extension Node {
    /// Sends what was written behind `start` in the effects' bytes to where the reply belongs.
    mutating func deliver(_ target: ReplyTarget, from start: Int, _ effects: inout Effects) {
        switch target {
        case .direct(let connection): deliverDirectly(connection, from: start, &effects)
        case .outstanding(let connection, let serial, let sequence):
            let reply = Reply(takeBack(start, &effects))
            complete(connection, serial, sequence, reply, &effects)
        case .node(let node, let number):
            answerForwarded(Reply(takeBack(start, &effects)), to: node, number, &effects)
        case .gather(let id, let part): gathered(id, part, takeBack(start, &effects), &effects)
        case .request(let id): finishOnce(id, takeBack(start, &effects), &effects)
        case .nobody: effects.bytes.truncate(to: start)
        }
    }

    /// Sends a reply to where it belongs; a long one piece by piece.
    mutating func deliver(_ reply: Reply, to target: ReplyTarget, _ effects: inout Effects) {
        let place = reply.byteCount > Node.pieceBytes ? placed(target, .none) : target
        if case .outstanding(let connection, let serial, let sequence) = place {
            return complete(connection, serial, sequence, reply, &effects)
        }
        if case .node(let node, let number) = place {
            return answerForwarded(reply, to: node, number, &effects)
        }
        let start = effects.bytes.count
        reply.writeAll(into: &effects.bytes)
        deliver(place, from: start, &effects)
    }

    @inline(__always)
    mutating func deliverDirectly(
        _ connection: ConnectionID, from start: Int, _ effects: inout Effects
    ) {
        let index = Int(connection.rawValue)
        if sessions[index].owesReplies {
            let bytes = takeBack(start, &effects)
            memory.replies += bytes.count
            sessions[index].append(completed: bytes)
        } else {
            effects.reply(connection, start..<effects.bytes.count)
        }
    }

    /// Makes a direct target outlive the step: the reply gets its place in the connection's order,
    /// and what the request does with its keys, which it still holds, is known to those behind it.
    ///
    /// - Parameter byteCount: what the request keeps in memory until it is answered, as far as that
    ///   matters.
    mutating func outlasting(_ target: ReplyTarget, byteCount: Int = 0) -> ReplyTarget {
        guard case .direct = target else { return target }
        return placed(target, useOfKeys(), byteCount: byteCount)
    }

    private mutating func placed(
        _ target: ReplyTarget, _ use: KeyUse, byteCount: Int = 0
    ) -> ReplyTarget {
        guard case .direct(let connection) = target else { return target }
        let index = Int(connection.rawValue)
        guard sessions[index].isOpen else { return .nobody }
        let sequence = sessions[index].enqueue(use, byteCount: byteCount)
        return .outstanding(
            connection, serial: sessions[index].serial, sequence: sequence)
    }

    func takeBack(_ start: Int, _ effects: inout Effects) -> [UInt8] {
        let bytes = Array(effects.bytes[start..<effects.bytes.count])
        effects.bytes.truncate(to: start)
        return bytes
    }

    private mutating func complete(
        _ connection: ConnectionID, _ serial: UInt64, _ sequence: UInt64, _ reply: Reply,
        _ effects: inout Effects
    ) {
        let index = Int(connection.rawValue)
        guard index < sessions.count, sessions[index].serial == serial else { return }
        memory.replies += reply.byteCount
        sessions[index].complete(sequence, reply)
        if !sessions[index].isDraining { writeReplies(index, connection, &effects) }
    }

    /// Bytes of one connection's replies that one step writes: more follows when these have left.
    private static let pieceBytes = 64 << 10

    private mutating func writeReplies(
        _ index: Int, _ connection: ConnectionID, _ effects: inout Effects
    ) {
        let start = effects.bytes.count
        let held = sessions[index].outstanding.heldBytes
        let isMore = sessions[index].writeReplies(upTo: Node.pieceBytes, into: &effects.bytes)
        memory.replies += sessions[index].outstanding.heldBytes - held
        turn.spend(bytesTold: effects.bytes.count - start)
        if effects.bytes.count > start {
            effects.reply(connection, start..<effects.bytes.count)
        }
        sessions[index].isDraining = isMore
        if isMore {
            effects.add(.more(connection))
        } else if sessions[index].isClosing, !sessions[index].owesReplies {
            effects.add(.close(connection))
        }
    }

    /// A connection takes more of what it is owed.
    mutating func drained(_ connection: ConnectionID, _ effects: inout Effects) {
        let index = Int(connection.rawValue)
        guard index < sessions.count, sessions[index].isDraining else { return }
        writeReplies(index, connection, &effects)
    }

    /// Answers with an error line of our own.
    mutating func fail(_ target: ReplyTarget, _ text: StaticString, _ effects: inout Effects) {
        counters.commandErrors += 1
        let start = effects.bytes.count
        effects.bytes.writeError(text)
        deliver(target, from: start, &effects)
    }

    /// Answers with an error line that has to be put together.
    mutating func fail(_ target: ReplyTarget, text: String, _ effects: inout Effects) {
        counters.commandErrors += 1
        let start = effects.bytes.count
        effects.bytes.writeError(text: text)
        deliver(target, from: start, &effects)
    }
}
