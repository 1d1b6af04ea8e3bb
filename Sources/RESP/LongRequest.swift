/// Where the arguments of a request lie that has more than `Arguments.retainedMax`.
///
/// Each is looked at once, when its bytes arrive, and the place of every sixteenth is noted, so
/// that what is kept of a request that arrives in pieces is a small part of its bytes. An argument
/// is found from the last one that was asked for, or from the noted one before it.
///
/// It is one reference, which goes from a connection's `ParseProgress` to the `Arguments`.
final class LongRequest {
    static let spacing = 16

    let count: Int
    /// Bytes of its longest argument.
    private(set) var longest = 0
    /// Where every sixteenth bulk string begins.
    private var places: [UInt32] = []
    /// The bulk string that was asked for last.
    private var cursor = (index: 0, place: 0)
    /// Bytes of the request; 0 while it is not whole.
    var length = 0

    init(count: Int) { self.count = count }

    /// How many places are kept.
    var noted: Int { places.count }

    /// The next bulk string begins at a place.
    @inline(__always)
    func note(_ index: Int, at place: Int, bytes: Int) {
        if index % LongRequest.spacing == 0 { places.append(UInt32(place)) }
        if index == 0 { cursor.place = place }
        longest = max(longest, bytes)
    }

    /// - Parameter base: where the request begins.
    /// - Complexity: O(1).
    func argument(_ index: Int, from base: UnsafeRawPointer) -> UnsafeRawBufferPointer {
        var (current, place) = cursor
        if current > index || index - current >= LongRequest.spacing {
            let mark = index / LongRequest.spacing
            (current, place) = (mark * LongRequest.spacing, Int(places[mark]))
        }
        while true {
            let (start, length) = LongRequest.bulk(base + place)
            guard current < index else {
                cursor = (current, place)
                return UnsafeRawBufferPointer(start: start, count: length)
            }
            place = start - base + length + 2
            current += 1
        }
    }

    /// A bulk string that has been looked at before.
    private static func bulk(
        _ start: UnsafeRawPointer
    ) -> (start: UnsafeRawPointer, length: Int) {
        var digit = start + 1
        var length = 0
        while true {
            let byte = digit.load(as: UInt8.self)
            digit += 1
            guard byte != UInt8(ascii: "\r") else { return (digit + 1, length) }
            length = length * 10 + Int(byte) - 48
        }
    }
}
