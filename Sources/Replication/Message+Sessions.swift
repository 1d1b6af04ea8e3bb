import Base
import Causality
import Coding
import Ring

// Messages of sessions and of bounded staleness.
extension Message {
    static let reportKind: UInt8 = 20
    static let equalKind: UInt8 = 21
    static let sessionCommandKind: UInt8 = 22
    static let sessionReplyKind: UInt8 = 23

    /// A bit for each key range.
    static let equalBytes = KeyRange.count / 8

    /// What a node says of the writes that it sends; see `LinkFreshness`.
    struct Report {
        /// What it coordinates from now on is not stamped earlier.
        let stamp: Stamp
        /// The receiver is to report at once, too.
        let asks: Bool
        /// Of the numbers of all writes sent over this link so far.
        let sum: UInt64
        /// The sender's monotonic clock.
        let reading: UInt64
        /// What the receiver's monotonic clock showed in the last report that came from it; 0 for
        /// none yet.
        let echo: UInt64
    }

    /// A client's command, and what of its session matters to it.
    struct SessionCommand {
        let protocolVersion: UInt8
        let guarantees: SessionGuarantees
        /// As `SessionHistory.encode` writes it.
        let history: UnsafeRawBufferPointer
        let command: UnsafeRawBufferPointer
    }

    static func session(
        _ kind: UInt8, _ flag: UInt8, _ number: UInt64, _ reader: inout ByteReader
    ) throws(DecodeError) -> Message {
        switch kind {
        case reportKind: return .report(try report(flag, number, &reader))
        case equalKind:
            guard 2...64 ~= flag else { throw .invalid("equal are no such trees") }
            let bits = try reader.slice(equalBytes)
            try reader.end()
            return .equalTrees(Int(flag), sum: number, bits)
        case sessionCommandKind:
            let guarantees = SessionGuarantees(rawValue: try reader.integer())
            let historyBytes = Int(try reader.integer(UInt32.self))
            let history = try reader.slice(historyBytes)
            return .sessionCommand(
                number,
                SessionCommand(
                    protocolVersion: flag, guarantees: guarantees, history: history,
                    command: reader.rest()))
        default:
            let identity = ReplicaIdentity(rawValue: try reader.integer())
            let stamp = Stamp(rawValue: try reader.integer())
            return .sessionReply(number, Dot(identity: identity, stamp: stamp), reader.rest())
        }
    }

    private static func report(
        _ flag: UInt8, _ number: UInt64, _ reader: inout ByteReader
    ) throws(DecodeError) -> Report {
        guard flag < 2 else { throw .invalid("report has an unknown flag") }
        let sum: UInt64 = try reader.integer()
        let reading: UInt64 = try reader.integer()
        let echo: UInt64 = try reader.integer()
        try reader.end()
        return Report(
            stamp: Stamp(rawValue: number), asks: flag == 1, sum: sum, reading: reading,
            echo: echo)
    }
}
