import Base
import Coding
import RESP

// Client connections: bytes become requests, requests become replies in request order.
extension Node {
    mutating func opened(_ connection: ConnectionID) {
        let index = Int(connection.rawValue)
        while sessions.count <= index { sessions.append(Session(serial: 0)) }
        precondition(!sessions[index].isOpen, "a connection is opened once")
        sessions[index] = Session(serial: nextSerial)
        nextSerial += 1
        openSessions += 1
        counters.connections += 1
    }

    mutating func closed(_ connection: ConnectionID) {
        let index = Int(connection.rawValue)
        guard index < sessions.count, sessions[index].isOpen else { return }
        sessions[index] = Session(serial: 0)
        openSessions -= 1
    }

    /// Bytes of effects after which a connection's further requests wait for the next step: small
    /// requests can ask for large answers.
    private static let stepBytesMax = 1 << 20

    mutating func received(
        _ connection: ConnectionID, _ bytes: UnsafeRawBufferPointer, _ effects: inout Effects
    ) {
        effects.consumed = 0
        effects.stalled = false
        let index = Int(connection.rawValue)
        guard index < sessions.count, sessions[index].isOpen else { return }
        if membership.end != nil {
            effects.consumed = bytes.count
            if !sessions[index].isClosing { refuseRemoved(index, connection, &effects) }
            return
        }
        let start = effects.bytes.count
        while effects.consumed < bytes.count {
            if sessions[index].isClosing {
                effects.consumed = bytes.count
                return
            }
            guard effects.bytes.count - start < Node.stepBytesMax else {
                effects.stalled = true
                return
            }
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
            guard mayExecute(index) else {
                effects.stalled = true
                return false
            }
            effects.consumed += request.consumed
            effects.beginStep()
            setClient(index)
            executeHere(connection, &effects)
            return true
        }
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

    /// Whether the parsed request may run beside those that the connection still waits for.
    ///
    /// Requests of one connection run side by side unless a later one could overtake a write of its
    /// own key.
    private func mayExecute(_ index: Int) -> Bool {
        guard sessions[index].owesReplies else { return true }
        guard sessions[index].guarantees.isEmpty else { return false }
        guard sessions[index].outstanding.count < Session.outstandingMax,
            sessions[index].outstanding.byteCount < Session.outstandingBytesMax
        else { return false }
        guard request.count > 1, let name = CommandName(request[0]) else { return false }
        let keys = CommandTable.description(of: name).keys
        if catalog.hasTyped, keys.first > 0, keys.last == keys.first, keys.first < request.count,
            isTyped(catalog.index(of: request[keys.first])) {
            let address = store.address(of: request[keys.first])
            return !sessions[index].outstanding.isWriting(address.hash)
        }
        switch name {
        case .get, .set, .exists, .strlen, .del, .unlink, .ttl, .pttl, .type, .qget, .qset, .qdel:
            guard CommandTable.description(of: name).keys.last == 1 || request.count == 2 else {
                return false
            }
            return !sessions[index].outstanding.isWriting(store.address(of: request[1]).hash)
        default: return false
        }
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
        guard !client.isPlain || !sessions[index].isPlain else { return }
        setWishes(index)
    }

    private mutating func setWishes(_ index: Int) {
        client.isPlain = sessions[index].isPlain
        client.wantsReceipt = sessions[index].wantsReceipts
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
            let bytes = takeBack(start, &effects)
            complete(connection, serial, sequence, bytes, &effects)
        case .node(let node, let number):
            let bytes = takeBack(start, &effects)
            if let news = learned.take() {
                return sendLearned(news, bytes, to: node, number, &effects)
            }
            bytes.withUnsafeBytes { send(to: node, kind: 6, number: number, $0, &effects) }
        case .gather(let id, let part): gathered(id, part, takeBack(start, &effects), &effects)
        case .nobody: effects.bytes.truncate(to: start)
        }
    }

    @inline(__always)
    mutating func deliverDirectly(
        _ connection: ConnectionID, from start: Int, _ effects: inout Effects
    ) {
        let index = Int(connection.rawValue)
        if sessions[index].owesReplies {
            let bytes = takeBack(start, &effects)
            sessions[index].append(completed: bytes)
        } else {
            effects.reply(connection, start..<effects.bytes.count)
        }
    }

    /// Makes a direct target outlive the step: the reply gets its place in the connection's order.
    ///
    /// - Parameter byteCount: what the request keeps in memory until it is answered, as far as that
    ///   matters.
    mutating func outlasting(
        _ target: ReplyTarget, writing hash: UInt64? = nil, byteCount: Int = 0
    ) -> ReplyTarget {
        guard case .direct(let connection) = target else { return target }
        let index = Int(connection.rawValue)
        guard sessions[index].isOpen else { return .nobody }
        let sequence = sessions[index].enqueue(pendingWrite: hash, byteCount: byteCount)
        return .outstanding(
            connection, serial: sessions[index].serial, sequence: sequence)
    }

    private func takeBack(_ start: Int, _ effects: inout Effects) -> [UInt8] {
        let bytes = Array(effects.bytes[start..<effects.bytes.count])
        effects.bytes.truncate(to: start)
        return bytes
    }

    private mutating func complete(
        _ connection: ConnectionID, _ serial: UInt64, _ sequence: UInt64, _ bytes: [UInt8],
        _ effects: inout Effects
    ) {
        let index = Int(connection.rawValue)
        guard index < sessions.count, sessions[index].serial == serial else { return }
        sessions[index].complete(sequence, bytes)
        while let next = sessions[index].nextReply() {
            let start = effects.bytes.count
            effects.bytes.append(next)
            effects.reply(connection, start..<effects.bytes.count)
        }
        if sessions[index].isClosing, !sessions[index].owesReplies {
            effects.add(.close(connection))
        }
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

// Requests with several keys.
extension Node {
    /// Bytes that the reply to one request may have.
    private static let gatherBytesMax = 64 << 20

    /// Starts a request that is answered when all its parts are; nil, and an error reply, when
    /// there is no room.
    mutating func gather(
        _ combination: GatherOperation.Combination, parts: Int, _ target: ReplyTarget,
        _ effects: inout Effects
    ) -> OperationID? {
        guard !gathers.isFull else {
            overload(target, &effects)
            return nil
        }
        let head = OperationHead(
            target: outlasting(target), client: client, deadline: .max, begunAt: now.monotonic)
        return gathers.insert(
            GatherOperation(
                head: head, combination: combination, parts: Array(repeating: [], count: parts),
                missing: parts))
    }

    private mutating func gathered(
        _ id: OperationID, _ part: Int, _ bytes: [UInt8], _ effects: inout Effects
    ) {
        guard let byteCount = gathers[id]?.byteCount else { return }
        let isTooLarge = byteCount + bytes.count > Node.gatherBytesMax
        gathers[id]?.parts[part] = isTooLarge ? [] : bytes
        gathers[id]?.byteCount += bytes.count
        gathers[id]?.missing -= 1
        guard gathers[id]?.missing == 0, let whole = gathers.remove(id) else { return }
        guard whole.byteCount <= Node.gatherBytesMax else {
            return fail(
                whole.head.target, "ERR the values together are too large for one reply", &effects)
        }
        let start = effects.bytes.count
        switch whole.combination {
        case .array:
            effects.bytes.writeStrings(whole.parts, whole.head.client.dialect)
        case .sum:
            if let other = otherReply(whole.parts, than: UInt8(ascii: ":")) {
                effects.bytes.append(other)
            } else {
                let numbers = whole.parts.map { integerReply($0) }
                effects.bytes.writeInteger(Int(clamping: numbers.reduce(0, +)))
            }
        case .allOK:
            let other = otherReply(whole.parts, than: UInt8(ascii: "+"))
            if let other { effects.bytes.append(other) } else { effects.bytes.writeOK() }
        case .union, .intersection, .difference, .intersectionCount:
            if let error = whole.parts.first(where: { $0.first == UInt8(ascii: "-") }) {
                effects.bytes.append(error)
            } else {
                whole.combination.writeSet(
                    of: whole.parts, into: &effects.bytes, whole.head.client.dialect)
            }
        }
        deliver(whole.head.target, from: start, &effects)
    }

    /// The first error among the parts, else the first that is not of the kind that is expected.
    private func otherReply(_ parts: [[UInt8]], than kind: UInt8) -> [UInt8]? {
        parts.first { $0.first == UInt8(ascii: "-") } ?? parts.first { $0.first != kind }
    }

    private func integerReply(_ bytes: [UInt8]) -> Int128 {
        bytes.withUnsafeBytes { line in
            let digits = UnsafeRawBufferPointer(rebasing: line.dropFirst().dropLast(2))
            return Int128(Int64(decimal: digits) ?? 0)
        }
    }

    mutating func overload(_ target: ReplyTarget, _ effects: inout Effects) {
        counters.overloaded += 1
        fail(
            target, "OVERLOADED too many requests under way on this node; try again", &effects)
    }
}
