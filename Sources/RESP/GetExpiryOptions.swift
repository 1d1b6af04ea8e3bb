/// What follows the key of `GETEX`.
public struct GetExpiryOptions: Equatable, Sendable {
    /// `keep` unless asked otherwise, `unset` for `PERSIST`.
    public var expiry = Expiry.keep

    /// - Throws: `syntax` for unknown and contradicting options, `notAnInteger`,
    ///   `invalidExpireTime`.
    public init(_ arguments: borrowing Arguments) throws(CommandError) {
        var words = Expiry.Words()
        var index = 2
        while index < arguments.count {
            guard try words.take(arguments, &index, word: "PERSIST") else { throw .syntax }
        }
        expiry = try Expiry.said(words, arguments, of: .getex, word: .unset) ?? .keep
    }
}
