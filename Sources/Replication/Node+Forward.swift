import Base
import Causality
import Coding
import RESP
import Ring

// Commands that a replica must execute: sent on in RESP, answered in RESP.
extension Node {
    /// Milliseconds that the other node gets beyond the request's own time.
    static let graceMilliseconds: UInt64 = 100

    /// Sends the request that is being executed to the first reachable replica of a range.
    mutating func forwardRequest(
        to location: KeyLocation, timeoutMilliseconds: UInt32, _ target: ReplyTarget,
        _ effects: inout Effects
    ) {
        var command = ByteBuffer(capacity: 256)
        command.writeArrayHeader(count: request.count)
        for index in 0..<request.count { command.writeBulk(request[index]) }
        forward(
            command.bytes, to: location, timeoutMilliseconds: timeoutMilliseconds, target, &effects)
    }

    /// Sends a write of one key to the first reachable replica of its range.
    mutating func forward(
        _ intent: WriteIntent, to location: KeyLocation, _ target: ReplyTarget,
        _ effects: inout Effects
    ) {
        var words = ByteBuffer(capacity: 256)
        var count = 2
        let levels = intent.levels
        switch intent.change {
        case .value(let value):
            words.writeBulk("SET")
            words.writeBulk(intent.key)
            words.writeBulk(value)
            count += 1
            if intent.expiry > 0 { words.writeOption("PXAT", Int(intent.expiry), &count) }
        case .delete:
            words.writeBulk("QDEL")
            words.writeBulk(intent.key)
        }
        words.writeOption("W", levels.writeQuorum, &count)
        words.writeOption("TIMEOUT", Int(levels.timeoutMilliseconds), &count)
        if levels.durableWriteQuorum > 0 {
            words.writeOption("DW", levels.durableWriteQuorum, &count)
        }
        if levels.primaryWriteQuorum > 0 {
            words.writeOption("PW", levels.primaryWriteQuorum, &count)
        }
        var command = ByteBuffer(capacity: 256)
        command.writeArrayHeader(count: count)
        command.append(words.bytes)
        forward(
            command.bytes, to: location, timeoutMilliseconds: levels.timeoutMilliseconds, target,
            &effects)
    }

    mutating func forward(
        _ command: UnsafeRawBufferPointer, to location: KeyLocation, timeoutMilliseconds: UInt32,
        _ target: ReplyTarget, _ effects: inout Effects
    ) {
        // Who has claimed an id executes the command, or nobody.
        guard client.mayForward, !isWithID(target) else {
            return fail(target, "UNAVAILABLE the nodes disagree on where this key lives", &effects)
        }
        guard let node = executor(of: location, isQuery: isQuery(location.keyspace)) else {
            countUnavailable(.forward, location.keyspace)
            return fail(
                target, "UNAVAILABLE no replica could be reached; nothing was written", &effects)
        }
        forward(
            command, to: node, location, timeoutMilliseconds: timeoutMilliseconds, target,
            &effects)
    }

    /// Bytes of a command that another node executes, at most: what a frame carries.
    static let forwardedBytesMax = 60 << 20

    /// Has a node execute a command of one key and answer for this one.
    mutating func forward(
        _ command: UnsafeRawBufferPointer, to node: NodeID, _ location: KeyLocation,
        timeoutMilliseconds: UInt32, _ target: ReplyTarget, _ effects: inout Effects
    ) {
        guard forwards.room(for: location.keyspace) > 0 else {
            return overload(.forward, location.keyspace, target, &effects)
        }
        guard command.count <= Node.forwardedBytesMax else {
            return fail(
                target,
                text: "ERR a command that goes to another node may have "
                    + "\(Node.forwardedBytesMax) bytes; \(address(of: location)) has the key",
                &effects)
        }
        counters.forwarded += 1
        noteUntold(target)
        let allowed = UInt64(timeoutMilliseconds) + Node.graceMilliseconds
        let end = Stamp(atMost: clock.latest.milliseconds + allowed)
        let head = OperationHead(
            target: outlasting(target), client: client,
            deadline: now.monotonic + .nanoseconds(milliseconds: allowed),
            begunAt: now.monotonic)
        let id = forwards.insert(
            ForwardOperation(
                head: head, keyspace: location.keyspace, node: node, address: location.address,
                replaces: !isPartialWrite, end: end,
                query: isQuery(location.keyspace) ? Array(command) : [],
                answer: command.answer,
                asked: linkIndex(of: node).map { 1 << UInt64($0) } ?? 0))
        if forwards[id]?.isWrite == false { noteQuery(id, to: node) }
        watch(id, at: head.deadline)
        sendForwarded(id, command, timeoutMilliseconds, to: node, &effects)
    }

    /// Whether the request only reads a typed value, as any of its replicas can.
    private func isQuery(_ keyspace: Int) -> Bool {
        guard isTyped(keyspace), let name = CommandName(request[0]) else { return false }
        return CommandTable.description(of: name).keys.first > 0 && !name.writes(request)
    }

    private mutating func sendForwarded(
        _ id: OperationID, _ command: UnsafeRawBufferPointer, _ timeoutMilliseconds: UInt32,
        to node: NodeID, _ effects: inout Effects
    ) {
        guard let forward = forwards[id] else { return }
        let start = Frame.begin(&effects.bytes)
        let wishes = CommandWishes(
            timeoutMilliseconds: timeoutMilliseconds, end: forward.end, defaults: defaults)
        if client.guarantees.isEmpty {
            writeCommand(id, wishes, command, &effects)
        } else {
            writeSessionCommand(id, wishes, command, &effects)
        }
        Frame.finish(&effects.bytes, from: start)
        send(start..<effects.bytes.count, to: node, &effects)
    }

    /// Who else executes a command that this node does not, because it does not have the key, or
    /// is not whole there.
    private func executor(of location: KeyLocation, isQuery: Bool) -> NodeID? {
        let replicas = ring.primaries(
            of: location.address.range, replicationFactor: catalog.active[location.keyspace].n
        ).filter { $0 != configuration.node }
        let isSloppy = catalog.active[location.keyspace].settings.isSloppy
        return replicas.first(where: { isSloppy && isPresent($0) })
            ?? standIns(at: location).first { $0 != configuration.node }
            ?? replicas.first(where: { isQuery && isHeard($0) && takesQueries($0) })
            ?? replicas.first(where: { isHeard($0) })
            ?? replicas.first(where: { isReachable($0) })
    }

    private func writeCommand(
        _ id: OperationID, _ wishes: CommandWishes, _ command: UnsafeRawBufferPointer,
        _ effects: inout Effects
    ) {
        effects.bytes.append(5)
        effects.bytes.append(client.dialect.rawValue)
        effects.bytes.append(integer: id.rawValue)
        wishes.encode(into: &effects.bytes)
        effects.bytes.append(command)
    }

    /// Whether the request replaces what its context has seen and may leave other values.
    private var isPartialWrite: Bool {
        let name = CommandName(request[0])
        return name == .qset || name == .qdel
    }

    /// Executes a command for another node's client.
    ///
    /// - Parameter target: the node, and its number for the command.
    mutating func executeForwarded(
        _ target: (node: NodeID, number: UInt64), _ dialect: UInt8, _ wishes: CommandWishes,
        _ command: UnsafeRawBufferPointer, _ effects: inout Effects
    ) {
        var progress = ParseProgress()
        guard parser.parse(command, &progress, into: &request) == .complete,
            let dialect = Dialect(rawValue: dialect)
        else {
            counters.malformedMessages += 1
            effects.add(.disconnect(target.node))
            return
        }
        client = ClientContext()
        client.dialect = dialect
        client.mayForward = false
        let left = wishes.end.milliseconds - min(clock.latest.milliseconds, wishes.end.milliseconds)
        client.timeoutMillisecondsMax = min(wishes.timeoutMilliseconds, UInt32(clamping: left))
        client.defaults = wishes.defaults
        client.hasDefaults = !wishes.defaults.isNone
        if let carried {
            client.guarantees = carried.guarantees
            client.isPlain = false
        }
        let place = ReplyTarget.node(target.node, target.number)
        // A process that was stopped finds commands that were given up long ago.
        guard left > 0 else {
            return fail(
                place,
                "UNAVAILABLE the command reached another node too late; nothing was changed",
                &effects)
        }
        if isForwardedTransaction { return runForwardedTransaction(place, &effects) }
        execute(place, &effects)
    }

    mutating func forwardAnswered(
        _ id: OperationID, _ reply: UnsafeRawBufferPointer, from node: NodeID,
        _ effects: inout Effects
    ) throws(DecodeError) {
        guard let waiting = forwards[id], waiting.node == node else {
            return noteLate(from: node, &effects)
        }
        guard reply.isOneReply(in: waiting.head.client.dialect, of: waiting.answer) else {
            throw .invalid("reply is not exactly one of what the command answers")
        }
        if case .gather(let whole, _) = waiting.head.target,
            gathers[whole]?.takes(reply) == false
        {
            throw .invalid("reply is none of the command that was forwarded")
        }
        guard let forward = forwards.remove(id) else { return }
        noteEnd(.came(bytes: reply.count), of: forward, &effects)
        if let outcome = OperationOutcome(failedReply: reply) {
            if outcome == .unknown { noteUnknown(forward) }
            ledger.failed(forward.keyspace, .forward, outcome)
        } else {
            answered(.forward, forward.keyspace, forward.head)
        }
        let start = effects.bytes.count
        effects.bytes.append(reply)
        deliver(forward.head.target, from: start, &effects)
    }

    mutating func forwardLost(_ id: OperationID, _ node: NodeID, _ effects: inout Effects) {
        guard let forward = forwards[id], forward.node == node else { return }
        guard forward.isWrite else { return askNext(id, forward, &effects) }
        expireForward(id, &effects)
    }

    /// A replica executes nothing: it is being refilled.
    mutating func forwardDeclined(
        _ id: OperationID, by node: NodeID, _ effects: inout Effects
    ) {
        guard let forward = forwards[id], forward.node == node else {
            return noteLate(from: node, &effects)
        }
        guard forward.isWrite else { return askNext(id, forward, &effects) }
        forwards.remove(id)
        countUnavailable(.forward, forward.keyspace)
        fail(forward.head.target, text: Node.unrefilled + refillNote, &effects)
    }

    /// Asks the next replica for what the one before does not answer.
    private mutating func askNext(
        _ id: OperationID, _ forward: ForwardOperation, _ effects: inout Effects
    ) {
        let n = catalog.active[forward.keyspace].n
        let grace = UInt64.nanoseconds(milliseconds: Node.graceMilliseconds)
        let left = forward.head.deadline - min(forward.head.deadline, now.monotonic + grace)
        let next = ring.primaries(of: forward.address.range, replicationFactor: n).first { node in
            linkIndex(of: node).map { !forward.asked.isSet($0) } ?? false && isHeard(node)
        }
        noteEnd(.lost, of: forward, &effects)
        guard let next, let index = linkIndex(of: next), left >= 1_000_000 else {
            forwards.remove(id)
            countUnavailable(.forward, forward.keyspace)
            return fail(
                forward.head.target,
                text: Node.unrefilled + refillNote, &effects)
        }
        forwards[id]?.node = next
        forwards[id]?.asked |= 1 << UInt64(index)
        noteQuery(id, to: next)
        let outer = client
        defer { client = outer }
        client = forward.head.client
        forward.query.withUnsafeBytes {
            sendForwarded(id, $0, UInt32(left / 1_000_000), to: next, &effects)
        }
    }

    /// What the session writes next comes after it; by then it is too late for it to be executed,
    /// unless its link broke before.
    private mutating func noteUnknown(_ forward: ForwardOperation) {
        noteUnknown(upTo: min(forward.end, clock.latest), forward.head.target)
    }

    /// The replica may have executed the command; only its answer is missing.
    mutating func expireForward(_ id: OperationID, _ effects: inout Effects) {
        guard let forward = forwards.remove(id) else { return }
        guard forward.isWrite else {
            noteEnd(.tooLate, of: forward, &effects)
            countUnavailable(.forward, forward.keyspace)
            return fail(
                forward.head.target,
                text: "UNAVAILABLE \(forward.node) did not answer in time; nothing was changed",
                &effects)
        }
        counters.unknown += 1
        noteUnknown(forward)
        ledger.failed(forward.keyspace, .forward, .unknown)
        fail(
            forward.head.target,
            text: "UNKNOWN \(forward.node) did not answer in time; "
                + "the write may or may not take effect", &effects)
    }
}

extension ByteBuffer {
    /// One option and its number; counts both words.
    mutating func writeOption(_ name: StaticString, _ value: Int, _ count: inout Int) {
        var digits = ByteBuffer(capacity: 20)
        digits.append(decimal: value)
        writeBulk(name)
        writeBulk(digits.bytes)
        count += 2
    }
}
