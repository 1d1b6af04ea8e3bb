/// What an answer says about a request, as far as a checker may rely on it.
public enum Outcome: Equatable, Sendable {
    case done(Reply)
    /// Certain: nothing happened, and nothing will.
    case refused(String)
    /// It may have happened, or may happen yet.
    case unknown(String)

    /// The codes behind which nothing was done.
    private static let refusals = [
        "UNAVAILABLE", "OVERLOADED", "DISKFULL", "ERR", "MODE", "WRONGTYPE", "NOAUTH",
    ]

    /// An error whose code is not one of those that promise that nothing happened is unknown: a
    /// checker that guessed would report losses that were none, or miss some that were.
    public init(_ reply: Reply) {
        guard case .error(let line) = reply else {
            self = .done(reply)
            return
        }
        let code = line.prefix { $0 != " " }
        self = Outcome.refusals.contains(String(code)) ? .refused(line) : .unknown(line)
    }
}

/// A request as the Redis protocol writes it: an array of bulk strings.
func encodeRequest(_ words: [String], into bytes: inout [UInt8]) {
    bytes += Array("*\(words.count)\r\n".utf8)
    for word in words {
        bytes += Array("$\(word.utf8.count)\r\n".utf8)
        bytes += Array(word.utf8)
        bytes += [13, 10]
    }
}
