/// What comes first goes first.
public struct Queue<Element> {
    private var waiting: [Element] = []
    private var head = 0

    public init() {}

    public var isEmpty: Bool { head == waiting.count }
    public var count: Int { waiting.count - head }

    public mutating func append(_ element: Element) { waiting.append(element) }

    /// - Complexity: O(1), amortised.
    public mutating func popFirst() -> Element? {
        guard head < waiting.count else { return nil }
        defer {
            head += 1
            if head > waiting.count / 2 {
                waiting.removeFirst(head)
                head = 0
            }
        }
        return waiting[head]
    }
}
