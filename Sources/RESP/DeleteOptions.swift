/// What follows the key of `QDEL`.
public struct DeleteOptions: Equatable, Sendable {
    /// Index of the causal context's token.
    public var context: Int?
    public var consistency = ConsistencyOptions.none

    /// - Throws: `syntax`, and what `ConsistencyOptions` throws.
    public init(_ arguments: borrowing Arguments) throws(CommandError) {
        var index = 2
        while index < arguments.count {
            if try consistency.take(arguments, &index, .write) { continue }
            try arguments.takeContext(&index, into: &context)
        }
    }
}

extension Arguments {
    /// Takes `CONTEXT token` and moves behind it.
    ///
    /// - Parameter context: becomes the token's index.
    /// - Throws: `syntax` for anything else, or a second one.
    func takeContext(_ index: inout Int, into context: inout Int?) throws(CommandError) {
        guard matches(index, "CONTEXT"), context == nil, index + 1 < count else { throw .syntax }
        context = index + 1
        index += 2
    }
}
