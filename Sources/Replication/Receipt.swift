import Base
import Causality
import Coding
import RESP

/// What really happened for one request: told as a RESP3 attribute before the reply, or by `RECEIPT
/// LAST`.
struct Receipt {
    /// `read` or `write`.
    let action: StaticString
    /// Replicas that answered or acknowledged before the reply.
    let answered: Int
    /// How many were required.
    let required: Int
    /// How many of the acknowledgements were from disk; nil for reads.
    let durable: Int?
    /// The newest dot of what was read, or the dot of what was written.
    let dot: Dot?
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
        buffer.writeBulk(action)
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
            sessions[index].lastReceipt = nil
            effects.bytes.writeOK()
        } else if let last = sessions[index].lastReceipt {
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
                action: "write", answered: write.tally.acknowledged,
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
                action: "read", answered: evidence.answers, required: evidence.answers,
                durable: nil, dot: context.newest, fallbacks: evidence.fallbacks,
                proof: evidence.proof), target, &effects)
    }

    /// Remembers the receipt for `RECEIPT LAST` and, for a RESP3 client, writes it before the
    /// reply.
    mutating func tell(_ receipt: Receipt, _ target: ReplyTarget, _ effects: inout Effects) {
        switch target {
        case .direct(let connection):
            sessions[Int(connection.rawValue)].lastReceipt = receipt
        case .outstanding(let connection, let serial, _):
            let index = Int(connection.rawValue)
            guard sessions[index].serial == serial else { return }
            sessions[index].lastReceipt = receipt
        case .request(let id):
            if let claim = requestIDs.claims[id] { tell(receipt, claim.head.target, &effects) }
            return
        case .node, .gather, .nobody: return
        }
        guard client.dialect == .resp3 else { return }
        effects.bytes.writeAttributeHeader(pairs: receipt.pairs)
        receipt.write(into: &effects.bytes)
    }
}
