/// What follows the key of `GETEX`.
public struct GetExpiryOptions: Equatable, Sendable {
    /// `keep` unless asked otherwise, `unset` for `PERSIST`.
    public var expiry = Expiry.keep

    /// - Throws: `syntax` for more than one option, `notAnInteger`, `invalidExpireTime`.
    public init(_ arguments: borrowing Arguments) throws(CommandError) {
        guard arguments.count > 2 else { return }
        if let unit = Expiry.Unit(arguments, 2) {
            guard arguments.count == 4 else { throw .syntax }
            expiry = try Expiry(arguments, 3, unit, of: .getex)
        } else {
            guard arguments.count == 3, arguments.matches(2, "PERSIST") else { throw .syntax }
            expiry = .unset
        }
    }
}
