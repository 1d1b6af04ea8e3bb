/// Keeps the large value that holds it where it is.
///
/// A struct of fixed-size fields is passed to its own non-mutating methods by value as far as the
/// optimiser is concerned, noncopyable or not: it is copied to the stack before each call that is
/// not inlined, 2,464 bytes in the case of a node. Something of open size inside makes every pass
/// one of an address.
public struct Anchor: ~Copyable, Sendable {
    private let opaque: (any Sendable)? = nil

    public init() {}
}
