import Glibc

extension Double {
    /// Bytes of the longest number that is read.
    static let scoreBytesMax = 128

    /// A score as clients write one: `-12`, `3.25`, `1e-3`, `0x1F`, `inf`, `-Infinity`.
    ///
    /// Source: Redis `object.c`, `getDoubleFromObject`.
    ///
    /// - Parameter bytes: ASCII; nil when they are anything but one number that fits, such as NaN,
    ///   and for one that is too large or too close to 0.
    public init?(score bytes: UnsafeRawBufferPointer) {
        guard let first = bytes.first, !(9...13 ~= first || first == 32),
            let number = LeadingNumber(of: bytes), number.length == bytes.count,
            !number.isOutOfRange || number.value.isFinite && number.value != 0
        else { return nil }
        self = number.value
    }

    /// The end of a range of scores. Unlike a score it may follow blanks, be empty for 0, or be too
    /// large for infinity.
    ///
    /// Source: Redis `t_zset.c`, `zslParseRange`.
    init?(scoreBound bytes: UnsafeRawBufferPointer) {
        guard let number = LeadingNumber(of: bytes),
            number.length == bytes.count || bytes[number.length] == 0
        else { return nil }
        self = number.value
    }
}

/// The number that bytes begin with, as C's `strtod` reads it.
private struct LeadingNumber {
    let value: Double
    /// How many bytes it takes, blanks before it included; 0 when there is none.
    let length: Int
    /// It is infinite, 0 or less exact because it did not fit.
    let isOutOfRange: Bool

    /// Nil for NaN, and for more bytes than a number may have.
    init?(of bytes: UnsafeRawBufferPointer) {
        guard bytes.count <= Double.scoreBytesMax else { return nil }
        var length = 0
        value = withUnsafeTemporaryAllocation(of: CChar.self, capacity: bytes.count + 1) { text in
            for offset in 0..<bytes.count {
                text.initializeElement(at: offset, to: CChar(bitPattern: bytes[offset]))
            }
            text.initializeElement(at: bytes.count, to: 0)
            guard let start = text.baseAddress else { return .nan }
            var end: UnsafeMutablePointer<CChar>?
            errno = 0
            let value = strtod(start, &end)
            length = end.map { $0 - start } ?? 0
            return value
        }
        self.length = length
        isOutOfRange = errno == ERANGE
        if value.isNaN { return nil }
    }
}

extension Arguments {
    /// An argument as a score.
    ///
    /// - Throws: `ValueRefusal.notAFloat`.
    public func score(_ index: Int) throws(CommandError) -> Double {
        guard let value = Double(score: self[index]) else { throw .value(.notAFloat) }
        return value
    }
}
