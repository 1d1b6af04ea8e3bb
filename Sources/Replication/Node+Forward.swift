import Base
import Coding
import RESP
import Ring

// Commands that a replica must execute: sent on in RESP, answered in RESP.
extension Node {
    /// Milliseconds that the other node gets beyond the request's own time.
    private static let graceMilliseconds: UInt64 = 100

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

    private mutating func forward(
        _ command: UnsafeRawBufferPointer, to location: KeyLocation, timeoutMilliseconds: UInt32,
        _ target: ReplyTarget, _ effects: inout Effects
    ) {
        guard client.mayForward else {
            return fail(target, "UNAVAILABLE the nodes disagree on where this key lives", &effects)
        }
        let replicas = ring.primaries(
            of: location.address.range, replicationFactor: catalog.active[location.keyspace].n)
        guard let node = replicas.first(where: { isReachable($0) }) else {
            countUnavailable(.forward, location.keyspace)
            return fail(
                target, "UNAVAILABLE no replica could be reached; nothing was written", &effects)
        }
        guard !forwards.isFull else {
            return overload(.forward, location.keyspace, target, &effects)
        }
        counters.forwarded += 1
        let allowed = UInt64(timeoutMilliseconds) + Node.graceMilliseconds
        let head = OperationHead(
            target: outlasting(target), client: client,
            deadline: now.monotonic + .nanoseconds(milliseconds: allowed),
            begunAt: now.monotonic)
        let id = forwards.insert(
            ForwardOperation(
                head: head, keyspace: location.keyspace, node: node, isWrite: true,
                hash: location.address.hash, replaces: !isPartialWrite))
        let start = Frame.begin(&effects.bytes)
        if client.guarantees.isEmpty {
            effects.bytes.append(5)
            effects.bytes.append(client.dialect.rawValue)
            effects.bytes.append(integer: id.rawValue)
            effects.bytes.append(integer: timeoutMilliseconds)
            effects.bytes.append(command)
        } else {
            writeSessionCommand(id, location.address.hash, command, head.target, &effects)
        }
        Frame.finish(&effects.bytes, from: start)
        send(start..<effects.bytes.count, to: node, &effects)
    }

    /// Whether the request replaces what its context has seen and may leave other values.
    private var isPartialWrite: Bool {
        let name = CommandName(request[0])
        return name == .qset || name == .qdel
    }

    /// Executes a command for another node's client.
    mutating func executeForwarded(
        _ number: UInt64, _ dialect: UInt8, _ command: UnsafeRawBufferPointer, from node: NodeID,
        _ effects: inout Effects
    ) {
        var progress = ParseProgress()
        guard parser.parse(command, &progress, into: &request) == .complete,
            let dialect = Dialect(rawValue: dialect)
        else {
            counters.malformedMessages += 1
            effects.add(.disconnect(node))
            return
        }
        client = ClientContext()
        client.dialect = dialect
        client.mayForward = false
        if let carried {
            client.guarantees = carried.guarantees
            client.isPlain = false
        }
        execute(.node(node, number), &effects)
    }

    mutating func forwardAnswered(
        _ id: OperationID, _ reply: UnsafeRawBufferPointer, from node: NodeID,
        _ effects: inout Effects
    ) throws(DecodeError) {
        guard forwards[id]?.node == node else {
            counters.lateAnswers += 1
            return
        }
        guard reply.isOneScalarReply else { throw .invalid("reply is not exactly one") }
        guard let forward = forwards.remove(id) else { return }
        if let outcome = OperationOutcome(failedReply: reply) {
            ledger.failed(forward.keyspace, .forward, outcome)
        } else {
            answered(.forward, forward.keyspace, forward.head)
        }
        let start = effects.bytes.count
        effects.bytes.append(reply)
        deliver(forward.head.target, from: start, &effects)
    }

    mutating func forwardLost(_ id: OperationID, _ node: NodeID, _ effects: inout Effects) {
        guard forwards[id]?.node == node else { return }
        expireForward(id, &effects)
    }

    /// The replica may have executed the command; only its answer is missing.
    mutating func expireForward(_ id: OperationID, _ effects: inout Effects) {
        guard let forward = forwards.remove(id) else { return }
        counters.unknown += 1
        ledger.failed(forward.keyspace, .forward, .unknown)
        fail(
            forward.head.target,
            text: "UNKNOWN \(forward.node) did not answer in time; "
                + "the write may or may not take effect", &effects)
    }
}

extension UnsafeRawBufferPointer {
    /// Whether these bytes are exactly one reply, in RESP, as commands that are forwarded have
    /// them: more or less of it would shift every later reply of the connection.
    var isOneScalarReply: Bool {
        let end = firstIndex(of: UInt8(ascii: "\r")) ?? count
        guard end > 0, end + 2 <= count, self[end + 1] == UInt8(ascii: "\n") else { return false }
        let line = UnsafeRawBufferPointer(rebasing: self[1..<end])
        let isOneLine = end + 2 == count && !line.contains(UInt8(ascii: "\n"))
        switch self[0] {
        case UInt8(ascii: "+"), UInt8(ascii: "-"): return isOneLine
        case UInt8(ascii: ":"): return isOneLine && Int64(decimal: line) != nil
        case UInt8(ascii: "_"): return isOneLine && line.isEmpty
        case UInt8(ascii: "$"):
            guard let bytes = Int64(decimal: line), bytes >= 0 else {
                return isOneLine && line.elementsEqual("-1".utf8)
            }
            return bytes == count - end - 4 && self[count - 2] == UInt8(ascii: "\r")
                && self[count - 1] == UInt8(ascii: "\n")
        default: return false
        }
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
