import Base
import Causality
import Coding
import Ring

/// The messages of sessions and of bounded staleness.
enum SessionMessage {
    /// What the sender has sent so far; see `LinkFreshness`.
    case report(Report)
    /// Which of the trees whose roots came are equal to the sender's, as bits by key range, and
    /// what the sender has sent so far.
    case equalTrees(Int, sum: UInt64, UnsafeRawBufferPointer)
    /// As `Message.command`, for a client's session.
    case command(UInt64, Command)
    /// As `Message.commandReply`, and what the session learns.
    case reply(UInt64, SessionNews, UnsafeRawBufferPointer)
    /// What the sender's disk has of what former lives of it wrote; see `OwnLives.written`.
    case written(VersionVector)

    static let reportKind: UInt8 = 20
    static let equalKind: UInt8 = 21
    static let commandKind: UInt8 = 22
    static let replyKind: UInt8 = 23
    static let kinds = reportKind...replyKind
    static let writtenKind: UInt8 = 26

    /// A bit for each key range.
    static let equalBytes = KeyRange.count / 8

    /// What a node says of the writes that it sends.
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
    struct Command {
        let protocolVersion: UInt8
        let guarantees: SessionGuarantees
        let wishes: CommandWishes
        /// As `SessionHistory.encode` writes it.
        let history: UnsafeRawBufferPointer
        let command: UnsafeRawBufferPointer
    }

    /// - Parameter kind: one of `kinds`, or `writtenKind`.
    /// - Throws: `truncated` or `invalid`.
    init(
        _ kind: UInt8, _ flag: UInt8, _ number: UInt64, _ reader: inout ByteReader
    ) throws(DecodeError) {
        switch kind {
        case SessionMessage.reportKind: self = .report(try Report(flag, number, &reader))
        case SessionMessage.equalKind:
            guard 2...64 ~= flag else { throw .invalid("equal are no such trees") }
            let bits = try reader.slice(SessionMessage.equalBytes)
            try reader.end()
            self = .equalTrees(Int(flag), sum: number, bits)
        case SessionMessage.commandKind:
            let guarantees = SessionGuarantees(rawValue: try reader.integer())
            let wishes = try CommandWishes(decoding: &reader)
            let historyBytes = Int(try reader.integer(UInt32.self))
            let history = try reader.slice(historyBytes)
            self = .command(
                number,
                Command(
                    protocolVersion: flag, guarantees: guarantees, wishes: wishes,
                    history: history, command: reader.rest()))
        case SessionMessage.writtenKind:
            guard flag == 0, number == 0 else { throw .invalid("former lives have no number") }
            self = .written(try OwnLives.decodeWritten(reader.rest()))
        default:
            guard flag < 2 else { throw .invalid("session's reply has an unknown flag") }
            let news = try SessionNews(decoding: &reader, hasWritten: flag == 1)
            self = .reply(number, news, reader.rest())
        }
    }
}

extension SessionMessage.Report {
    fileprivate init(
        _ flag: UInt8, _ number: UInt64, _ reader: inout ByteReader
    ) throws(DecodeError) {
        guard flag < 2 else { throw .invalid("report has an unknown flag") }
        stamp = Stamp(rawValue: number)
        asks = flag == 1
        sum = try reader.integer()
        reading = try reader.integer()
        echo = try reader.integer()
        try reader.end()
    }
}

extension Node {
    mutating func take(
        _ message: SessionMessage, from node: NodeID, _ effects: inout Effects
    ) throws(DecodeError) {
        switch message {
        case .report(let report): heardReport(report, from: node, &effects)
        case .equalTrees(let n, let sum, let bits): heardEqual(n, sum, bits, from: node)
        case .command(let number, let command):
            try executeForwarded(number, command, from: node, &effects)
        case .written(let written):
            if let index = linkIndex(of: node) { freshness[index].written = written }
        case .reply(let number, let news, let bytes):
            try sessionAnswered(
                OperationID(rawValue: number), news, bytes, from: node, &effects)
        }
    }
}
