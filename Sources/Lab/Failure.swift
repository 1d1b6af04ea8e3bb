/// Why a command of the laboratory or the command line could not do what it was asked to.
public struct Failure: Error, Equatable, Sendable, CustomStringConvertible {
    /// What went wrong, in the classes that the exit status tells apart.
    public enum Kind: Equatable, Sendable {
        /// The operation was tried and did not succeed, or a promise was seen broken.
        case failed
        /// Nobody can say whether it happened.
        case unknown
        /// A file that was given cannot be used as it is.
        case badFile
        /// The command line itself is wrong.
        case usage
        /// Nobody answered.
        case unavailable
        /// A defect of this program.
        case internalDefect
        /// A port, a directory or a process cannot be had.
        case cannotCreate
        /// A signal asked to stop.
        case interrupted
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
