/// Some of the first 128 events, by number, as bits.
struct EventSet: Equatable, ExpressibleByArrayLiteral {
    private var bits: UInt128 = 0

    init(arrayLiteral numbers: Int...) {
        for number in numbers { insert(number) }
    }

    init(_ numbers: Range<Int>) {
        for number in numbers { insert(number) }
    }

    var isEmpty: Bool { bits == 0 }

    func contains(_ number: Int) -> Bool { bits >> UInt128(number) & 1 != 0 }

    mutating func insert(_ number: Int) {
        precondition(number < 128, "a history has at most 128 events")
        bits |= 1 << UInt128(number)
    }

    mutating func formUnion(_ other: EventSet) { bits |= other.bits }
}

extension EventSet: Sequence {
    /// Ascending.
    func makeIterator() -> Iterator { Iterator(left: bits) }

    struct Iterator: IteratorProtocol {
        fileprivate var left: UInt128

        mutating func next() -> Int? {
            guard left != 0 else { return nil }
            let number = left.trailingZeroBitCount
            left &= left - 1
            return number
        }
    }
}
