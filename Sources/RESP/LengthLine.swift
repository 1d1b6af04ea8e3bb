/// Bytes that are there; debug builds check each look at them.
struct Window {
    let base: UnsafePointer<UInt8>
    let count: Int

    @inline(__always)
    subscript(index: Int) -> UInt8 {
        assert(index >= 0 && index < count, "looks stay inside")
        return base[index]
    }

    /// Whether CR LF stands there; both bytes exist.
    @inline(__always)
    func endsLine(at index: Int) -> Bool {
        assert(index >= 0 && index + 2 <= count, "looks stay inside")
        let pair = UnsafeRawPointer(base + index).loadUnaligned(as: UInt16.self)
        return UInt16(littleEndian: pair) == 0x0A0D
    }
}

/// A line that carries a length.
enum LengthLine {
    /// The length, and where the line ends.
    case length(Int, end: Int)
    case incomplete
    case invalid
}

/// Decimal digits a length may have: enough for any limit, too few to overflow.
private let lengthDigitsMax = 18

/// Reads a length and its CR LF from `start`, just behind the line's first byte.
@inline(__always)
func lengthLine(_ bytes: Window, _ start: Int) -> LengthLine {
    // One to three digits are nearly all there are; anything else takes the long way.
    if start &+ 5 <= bytes.count {
        let first = Int(bytes[start]) &- 48
        guard UInt(bitPattern: first) <= 9 else { return anyLengthLine(bytes, start) }
        if bytes.endsLine(at: start &+ 1) {
            return .length(first, end: start &+ 3)
        }
        let second = Int(bytes[start &+ 1]) &- 48
        let two = first &* 10 &+ second
        guard UInt(bitPattern: second) <= 9, first != 0 else {
            return anyLengthLine(bytes, start)
        }
        if bytes.endsLine(at: start &+ 2) {
            return .length(two, end: start &+ 4)
        }
        let third = Int(bytes[start &+ 2]) &- 48
        if UInt(bitPattern: third) <= 9, bytes.endsLine(at: start &+ 3) {
            return .length(two &* 10 &+ third, end: start &+ 5)
        }
    }
    return anyLengthLine(bytes, start)
}

/// The same for lines of any length, cut or not. `-1` and its like are arrays that are not there,
/// which clients may send and servers skip.
@inline(never)
private func anyLengthLine(_ bytes: Window, _ start: Int) -> LengthLine {
    let isNegative = start < bytes.count && bytes[start] == UInt8(ascii: "-")
    let first = isNegative ? start + 1 : start
    var position = first
    var value = 0
    while position < bytes.count, bytes[position] &- 48 <= 9 {
        guard position - first < lengthDigitsMax else { return .invalid }
        value = value * 10 + Int(bytes[position] &- 48)
        position += 1
    }
    let digits = position - first
    if digits > 0, bytes[first] == 48, digits > 1 || isNegative { return .invalid }
    guard position < bytes.count else { return .incomplete }
    guard digits > 0, bytes[position] == 13 else { return .invalid }
    guard position + 1 < bytes.count else { return .incomplete }
    guard bytes.endsLine(at: position) else { return .invalid }
    return .length(isNegative ? -value : value, end: position + 2)
}
