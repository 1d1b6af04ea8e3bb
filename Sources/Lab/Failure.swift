/// Why a command of the laboratory or the command line could not do what it was asked to.
public struct Failure: Error, Equatable, Sendable, CustomStringConvertible {
    /// What went wrong, in the classes that the exit status tells apart; the raw value is that
    /// status.
    public enum Kind: Int32, CaseIterable, Sendable {
        /// The operation was tried and did not succeed, or a promise was seen broken.
        case failed = 1
        /// Nobody can say whether it happened.
        case unknown = 2
        /// A file that was given cannot be used as it is.
        case badFile = 3
        /// The command line itself is wrong.
        case usage = 64
        /// Nobody answered.
        case unavailable = 69
        /// A defect of this program.
        case internalDefect = 70
        /// A port, a directory or a process cannot be had.
        case cannotCreate = 73
        /// A signal asked to stop.
        case interrupted = 130
    }

    public let kind: Kind
    /// What happened, for a person, without a full stop at the end.
    public let message: String
    /// What the person could do about it.
    public let hint: String?

    public init(_ kind: Kind, _ message: String, hint: String? = nil) {
        self.kind = kind
        self.message = message
        self.hint = hint
    }

    public var description: String { hint.map { "\(message) (\($0))" } ?? message }
}
