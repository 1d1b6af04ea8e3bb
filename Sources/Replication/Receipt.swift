import Base
import Causality
import Coding
import RESP

/// What really happened for one request: told as a RESP3 attribute before the reply, or by `RECEIPT
/// LAST`.
struct Receipt {
    enum Action { case read, write }

    var action: Action
    /// Replicas that answered or acknowledged before the reply.
    var answered: Int
    /// How many were required.
    var required: Int
    /// How many of the acknowledgements were from disk; nil for reads.
    var durable: Int?
    /// The newest dot of what was read, or the dot of what was written.
    var dot: Dot?
    /// How many of those that answered were fallbacks.
    var fallbacks = 0
    /// Where what was read came from; nil for writes.
    var proof: AnswerProof?
    /// Concurrent values beyond the keyspace's limits that were dropped or merged.
    var overflow = SiblingOverflow.none

    func write(into buffer: inout ByteBuffer) {
        buffer.writeBulk("mode")
        buffer.writeBulk("quorum")
        buffer.writeBulk("action")
        buffer.writeBulk(action == .read ? "read" : "write")
        buffer.writeBulk("answered")
        buffer.writeInteger(answered)
        buffer.writeBulk("required")
        buffer.writeInteger(required)
        buffer.writeBulk("fallbacks")
        buffer.writeInteger(fallbacks)
        buffer.writeBulk("durable")
        buffer.writeInteger(durable ?? 0)
        buffer.writeBulk("version")
        buffer.writeBulk(text: dot.map { "\($0.stamp.rawValue)@\($0.identity)" } ?? "none")
        if overflow != .none {
            buffer.writeBulk("dropped")
            buffer.writeInteger(overflow.dropped)
            buffer.writeBulk("merged")
            buffer.writeInteger(overflow.merged)
        }
        guard let proof else { return }
        buffer.writeBulk("way")
        buffer.writeBulk(proof.way)
        buffer.writeBulk("age")
        buffer.writeBulk(text: proof.ageMilliseconds.map { "\($0)" } ?? "unknown")
    }

    var pairs: Int { 7 + (proof == nil ? 0 : 2) + (overflow == .none ? 0 : 2) }

    /// Makes one receipt of those of a command's parts: what holds for each of them, and the newest
    /// dot. A command of which some part wrote is a write.
    mutating func join(_ other: Receipt) {
        if action != other.action {
            action = .write
            proof = nil
        } else if let mine = proof?.age, other.proof?.age.map({ $0 > mine }) ?? true {
            proof = other.proof
        }
        answered = min(answered, other.answered)
        required = min(required, other.required)
        durable = durable.map { min($0, other.durable ?? $0) } ?? other.durable
        dot = dot.map { max($0, other.dot ?? $0) } ?? other.dot
        fallbacks = max(fallbacks, other.fallbacks)
        overflow.dropped += other.overflow.dropped
        overflow.merged += other.overflow.merged
    }
}

/// What `RECEIPT LAST` tells: the receipt of a connection's latest command, whichever of those that
/// run side by side is answered last; none where that has none.
struct LatestReceipt {
    /// The latest command's place in the order of the connection's replies.
    private var order: UInt64 = 0
    private(set) var receipt: Receipt?

    /// A command begins, with this place or a later one.
    mutating func begin(_ order: UInt64) {
        self.order = order
        receipt = nil
    }

    mutating func note(_ receipt: Receipt, of order: UInt64) {
        guard order >= self.order else { return }
        self.order = order
        self.receipt = receipt
    }
}

/// What the answer to a read rests on.
struct ReadEvidence {
    /// Replicas that answered.
    var answers = 1
    /// How many of these were fallbacks.
    var fallbacks = 0
    /// Where the answer came from.
    var proof = AnswerProof()
}

extension Node {
    mutating func receipt(
        _ target: ReplyTarget, _ effects: inout Effects
    ) throws(CommandError) {
        guard case .direct(let connection) = target else { throw .unknownSubcommand(.receipt) }
        let index = Int(connection.rawValue)
        let start = effects.bytes.count
        try request.checkSubcommand(of: .receipt)
        if request.matches(1, "ON") || request.matches(1, "OFF") {
            sessions[index].wantsReceipts = request.matches(1, "ON")
            sessions[index].beginReceipt()
            effects.bytes.writeOK()
        } else if let last = sessions[index].latestReceipt.receipt {
            effects.bytes.writeMapHeader(pairs: last.pairs, client.dialect)
            last.write(into: &effects.bytes)
        } else {
            effects.bytes.writeNullArray(client.dialect)
        }
        deliver(target, from: start, &effects)
    }

    mutating func writeReceipt(of write: WriteOperation, _ effects: inout Effects) {
        tell(
            Receipt(
                action: .write, answered: write.tally.acknowledged,
                required: write.tally.writeQuorum, durable: write.tally.acknowledgedDurably,
                dot: write.dot,
                fallbacks: write.tally.acknowledged - write.tally.acknowledgedByPrimaries,
                overflow: write.overflow),
            write.head.target, &effects)
    }

    mutating func writeReadReceipt(
        _ context: CausalContext, _ target: ReplyTarget, _ effects: inout Effects
    ) {
        let evidence = client.evidence
        tell(
            Receipt(
                action: .read, answered: evidence.answers, required: evidence.answers,
                durable: nil, dot: context.newest, fallbacks: evidence.fallbacks,
                proof: evidence.proof), target, &effects)
    }

    /// Remembers the receipt for `RECEIPT LAST` and, for a RESP3 client, writes it before the
    /// reply.
    mutating func tell(_ receipt: Receipt, _ target: ReplyTarget, _ effects: inout Effects) {
        guard note(receipt, target), client.dialect == .resp3 else { return }
        effects.bytes.writeAttributeHeader(pairs: receipt.pairs)
        receipt.write(into: &effects.bytes)
    }

    /// The same for a command in parts that are done, of which each has noted its own.
    mutating func tell(_ whole: borrowing GatherOperation, _ effects: inout Effects) {
        let (head, receipt) = (whole.head, whole.toldReceipt)
        var reply = whole.reply()
        if let receipt, !reply.isError, note(receipt, head.target), head.client.dialect == .resp3 {
            var attribute = ByteBuffer(capacity: 512)
            attribute.writeAttributeHeader(pairs: receipt.pairs)
            receipt.write(into: &attribute)
            reply.begin(with: Array(attribute.bytes))
        }
        deliver(reply, to: head.target, &effects)
    }

    /// - Returns: whether a client gets the reply that the receipt is for.
    private mutating func note(_ receipt: Receipt, _ target: ReplyTarget) -> Bool {
        switch target {
        case .direct(let connection):
            let index = Int(connection.rawValue)
            sessions[index].latestReceipt.note(receipt, of: sessions[index].nextSequence)
            return true
        case .outstanding(let connection, let serial, let sequence):
            let index = Int(connection.rawValue)
            guard sessions[index].serial == serial else { return false }
            sessions[index].latestReceipt.note(receipt, of: sequence)
            return true
        case .request(let id):
            if let claim = requestIDs.claims[id] { _ = note(receipt, claim.head.target) }
            return false
        case .gather(let id, _):
            if gathers.contains(id) { gathers[id]?.note(receipt) }
            return false
        case .node, .nobody: return false
        }
    }

    /// A command goes to another node, whose receipt stays there.
    mutating func noteUntold(_ target: ReplyTarget) {
        if client.wantsReceipt, case .gather(let id, _) = target { gathers[id]?.hasUntold = true }
    }
}
