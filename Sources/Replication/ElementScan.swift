import Base
import CRDT
import RESP

/// One step of `SSCAN`, `HSCAN` or `ZSCAN` over the elements of a value.
///
/// Elements are told in the order of their hashes, and a cursor is the hash from which the next
/// step goes on. So it stays right whatever is added or removed meanwhile, and whichever replica
/// answers: an element that is there all the while is told, however alike elements are. Each step
/// looks at all elements, so it tells at least a hundredth of a large value.
struct ElementScan {
    /// Elements that are told at once, as Redis does with small values.
    private static let wholeMax = 512
    /// Bytes that one step tells, and the longest element more.
    private static let bytesMax = 1 << 20
    /// Hashes have 52 bits: every client can hold such a number.
    private static let end: UInt64 = 1 << 52

    private let options: ScanOptions
    private let glob: Glob?

    init(_ request: borrowing Arguments, _ name: CommandName) throws(TypedRefusal) {
        do throws(CommandError) { options = try ScanOptions(request, name) } catch {
            throw .command(error)
        }
        glob = options.pattern.map { Glob(request[$0]) }
    }

    func matches(_ element: Bytes) -> Bool {
        guard let glob else { return true }
        return element.array.withUnsafeBytes { glob.matches($0) }
    }

    /// The elements of this step.
    ///
    /// - Returns: their places, ascending, and the cursor of the next step, 0 when there is none.
    /// - Complexity: O(bytes of all elements).
    func step(among elements: [Bytes]) -> (places: [Int], cursor: UInt64) {
        let bytes = elements.reduce(1) { $0 + $1.count + 16 }
        let from = options.cursor
        guard from < ElementScan.end else { return ([], 0) }
        let wanted = max(options.count, elements.count / 100, ElementScan.wholeMax)
        let share = min(
            Double(wanted) / Double(max(1, elements.count)),
            Double(ElementScan.bytesMax) / Double(bytes))
        guard share < 1 else { return (places(from..<ElementScan.end, among: elements), 0) }
        let width = max(1, UInt64(share * Double(ElementScan.end)))
        let next = min(ElementScan.end, from + width)
        let found = places(from..<next, among: elements)
        return (found, next < ElementScan.end ? next : 0)
    }

    private func places(_ hashes: Range<UInt64>, among elements: [Bytes]) -> [Int] {
        if hashes.lowerBound == 0, hashes.upperBound == ElementScan.end {
            return Array(elements.indices)
        }
        return elements.indices.filter { hashes.contains(ElementScan.hash(elements[$0])) }
    }

    private static func hash(_ element: Bytes) -> UInt64 {
        element.array.withUnsafeBytes { keyHash($0, key: 0) >> 12 }
    }
}
