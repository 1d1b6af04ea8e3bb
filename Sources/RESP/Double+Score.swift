extension Double {
    /// Bytes of the longest number that is read.
    static let scoreBytesMax = 128

    /// A score as clients write one: `-12`, `3.25`, `1e-3`, `inf`, `-Infinity`.
    ///
    /// Source: Redis `object.c`, `getDoubleFromObject`, but for hexadecimal numbers.
    ///
    /// - Parameter bytes: ASCII; nil when they are anything but one number that fits, such as NaN.
    public init?(score bytes: UnsafeRawBufferPointer) {
        guard 1...Double.scoreBytesMax ~= bytes.count else { return nil }
        let isPlain = bytes.allSatisfy { byte in
            48...57 ~= byte || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "-")
                || byte == UInt8(ascii: "+") || byte | 0x20 == UInt8(ascii: "e")
        }
        let text = String(decoding: bytes, as: UTF8.self)
        if isPlain {
            guard let value = Double(text), value.isFinite else { return nil }
            self = value
        } else {
            let word = text.lowercased()
            let isNegative = word.first == "-"
            let name = isNegative || word.first == "+" ? word.dropFirst() : word[...]
            guard name == "inf" || name == "infinity" else { return nil }
            self = isNegative ? -.infinity : .infinity
        }
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
