/// Redis's patterns: `*`, `?`, `[a-z]`, `[^a-z]` and `\` for the next byte as it is; on bytes, case
/// matters.
///
/// A view over the pattern's bytes. Only the last `*` is ever tried again, because what an earlier
/// one could do differently the last one can do as well; a pattern of many stars costs no more than
/// the product of the lengths.
///
/// Source: Redis `util.c`, `stringmatchlen`, for the syntax.
public struct Glob {
    /// Bytes of the longest pattern, so that the work on one key is bounded.
    public static let patternBytesMax = 1024

    private let pattern: UnsafeRawBufferPointer

    /// - Parameter pattern: outlives this; at most `patternBytesMax` bytes.
    public init(_ pattern: UnsafeRawBufferPointer) {
        precondition(pattern.count <= Glob.patternBytesMax, "a pattern is short")
        self.pattern = pattern
    }

    /// Whether the whole of the text matches.
    ///
    /// - Complexity: O(pattern × text) at worst, O(text) commonly.
    public func matches(_ text: UnsafeRawBufferPointer) -> Bool {
        var place = 0
        var index = 0
        var star: (place: Int, index: Int)?
        while index < text.count {
            if place < pattern.count, pattern[place] == UInt8(ascii: "*") {
                place += 1
                star = (place, index)
            } else if let next = step(place, text[index]) {
                place = next
                index += 1
            } else if let last = star {
                star = (last.place, last.index + 1)
                place = last.place
                index = last.index + 1
            } else {
                return false
            }
        }
        return pattern[place...].allSatisfy { $0 == UInt8(ascii: "*") }
    }

    /// Where the pattern goes on if what stands at `place`, which is no star, takes the byte.
    private func step(_ place: Int, _ byte: UInt8) -> Int? {
        guard place < pattern.count else { return nil }
        switch pattern[place] {
        case UInt8(ascii: "?"): return place + 1
        case UInt8(ascii: "["): return stepClass(place + 1, byte)
        case UInt8(ascii: "\\") where place + 1 < pattern.count:
            return pattern[place + 1] == byte ? place + 2 : nil
        default: return pattern[place] == byte ? place + 1 : nil
        }
    }

    /// The same for a class, from behind its `[`; one that is not closed ends with the pattern.
    private func stepClass(_ start: Int, _ byte: UInt8) -> Int? {
        var place = start
        let negated = place < pattern.count && pattern[place] == UInt8(ascii: "^")
        if negated { place += 1 }
        var found = false
        while place < pattern.count, pattern[place] != UInt8(ascii: "]") {
            if pattern[place] == UInt8(ascii: "\\"), place + 1 < pattern.count {
                found = found || pattern[place + 1] == byte
                place += 2
            } else if place + 2 < pattern.count, pattern[place + 1] == UInt8(ascii: "-") {
                let low = min(pattern[place], pattern[place + 2])
                let high = max(pattern[place], pattern[place + 2])
                found = found || (low...high).contains(byte)
                place += 3
            } else {
                found = found || pattern[place] == byte
                place += 1
            }
        }
        return found != negated ? min(place + 1, pattern.count) : nil
    }
}
