/// What follows the key of `QFLAG`.
public struct FlagOptions: Equatable, Sendable {
    /// What becomes of the flag; nil leaves it as it is and asks for it.
    public enum Change: Sendable { case enable, disable }

    public var change: Change?
    public var consistency: ConsistencyOptions

    /// - Throws: `OptionRefusal.flagWord`, `syntax`, and what `ConsistencyOptions` throws.
    public init(_ arguments: borrowing Arguments) throws(CommandError) {
        if arguments.matches(2, "ENABLE") {
            change = .enable
        } else if arguments.matches(2, "DISABLE") {
            change = .disable
        }
        let isKnown = change != nil || arguments.count == 2
        if !isKnown, !ConsistencyOptions.isOption(arguments, 2) { throw .option(.flagWord) }
        consistency =
            change == nil
            ? try ConsistencyOptions(arguments, from: 2, .read)
            : try ConsistencyOptions(arguments, from: 3, .write)
    }
}
