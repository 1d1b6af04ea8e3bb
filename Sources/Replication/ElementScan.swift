import CRDT
import RESP

/// One step of `SSCAN`, `HSCAN` or `ZSCAN` over elements in ascending order.
///
/// A cursor names where the step before ended by the first seven bytes of its last element, so it
/// stays right whatever is added or removed meanwhile, and whichever replica answers: an element
/// that is there all the while is told. Elements that begin alike are told in one step.
struct ElementScan {
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
    /// - Parameters:
    ///   - count: of all elements.
    ///   - element: by its place in ascending order.
    /// - Returns: the cursor of the next step, 0 when there is none.
    func places(
        among count: Int, _ element: (Int) -> Bytes
    ) -> (places: Range<Int>, cursor: UInt64) {
        var low = 0
        var high = options.cursor == 0 ? 0 : count
        while low < high {
            let middle = (low + high) / 2
            if ElementScan.cursor(behind: element(middle)) <= options.cursor {
                low = middle + 1
            } else {
                high = middle
            }
        }
        var end = min(count, low + min(options.count, 100_000))
        guard end < count else { return (low..<count, 0) }
        let cursor = ElementScan.cursor(behind: element(end - 1))
        while end < count, ElementScan.cursor(behind: element(end)) == cursor { end += 1 }
        return (low..<end, end < count ? cursor : 0)
    }

    private static func cursor(behind element: Bytes) -> UInt64 {
        var cursor: UInt64 = 0
        for offset in 0..<7 {
            cursor = cursor << 8 | (offset < element.count ? UInt64(element.array[offset]) : 0)
        }
        return cursor << 8 | 1
    }
}
