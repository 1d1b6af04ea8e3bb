import Base
import CRDT
import RESP

/// One step of `SSCAN`, `HSCAN` or `ZSCAN` over the elements of a value.
///
/// Elements are told in the order of their hashes, and a cursor is the hash from which the next
/// step goes on. So it stays right whatever is added or removed meanwhile, and whichever replica
/// answers: an element that is there all the while is told, however alike elements are. Each step
/// looks at all elements (`ElementWalk`), so it tells at least a hundredth of a large value.
struct ElementScan {
    /// Elements that are told at once, as Redis does with small values.
    private static let wholeMax = 512
    /// Bytes that one step tells, and the longest element more.
    private static let bytesMax = 1 << 20
    /// Hashes have 52 bits: every client can hold such a number.
    private static let end: UInt64 = 1 << 52

    private let options: ScanOptions
    private let pattern: [UInt8]?

    init(_ request: borrowing Arguments, _ name: CommandName) throws(CommandError) {
        options = try ScanOptions(request, name)
        pattern = options.pattern.map { Array(request[$0]) }
    }

    /// Which hashes this step tells, and the cursor of the next one, 0 when there is none.
    ///
    /// - Parameters:
    ///   - count: of all elements.
    ///   - bytes: of all elements, about.
    func step(of count: Int, bytes: Int) -> (hashes: Range<UInt64>, cursor: UInt64) {
        let from = options.cursor
        guard from < ElementScan.end else { return (0..<0, 0) }
        let wanted = max(options.count, count / 100, ElementScan.wholeMax)
        let share = min(
            Double(wanted) / Double(max(1, count)),
            Double(ElementScan.bytesMax) / Double(max(1, bytes)))
        guard share < 1 else { return (from..<ElementScan.end, 0) }
        let width = max(1, UInt64(share * Double(ElementScan.end)))
        let next = min(ElementScan.end, from + width)
        return (from..<next, next < ElementScan.end ? next : 0)
    }

    /// Whether an element is told in a step.
    func tells(_ element: Bytes, in hashes: Range<UInt64>) -> Bool {
        element.array.withUnsafeBytes { bytes in
            let isAll = hashes.lowerBound == 0 && hashes.upperBound == ElementScan.end
            guard isAll || hashes.contains(keyHash(bytes, key: 0) >> 12) else { return false }
            return pattern?.withUnsafeBytes { Glob($0).matches(bytes) } ?? true
        }
    }
}
