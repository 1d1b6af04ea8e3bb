import Base
public struct Node: ~Copyable {
    public init() {}
    public mutating func step(_ input: NodeInput, now: Instant, into effects: inout Effects) {}
    public var nextDeadline: Deadline? { nil }
}
