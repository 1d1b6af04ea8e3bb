extension Int64 {
    /// A decimal number as clients write one: an optional minus, no plus, no blanks, no leading
    /// zeros, not `-0`.
    ///
    /// Source: Redis `util.c`, `string2ll`.
    ///
    /// - Parameter bytes: ASCII; nil when they are anything but one number that fits.
    public init?(decimal bytes: UnsafeRawBufferPointer) {
        guard bytes.first == UInt8(ascii: "-") else {
            guard let magnitude = UInt64(decimal: bytes), let value = Int64(exactly: magnitude)
            else { return nil }
            self = value
            return
        }
        let digits = UnsafeRawBufferPointer(rebasing: bytes.dropFirst())
        guard let magnitude = UInt64(decimal: digits), magnitude > 0, magnitude <= 1 << 63 else {
            return nil
        }
        self = Int64(truncatingIfNeeded: 0 &- magnitude)
    }
}

extension UInt64 {
    /// A decimal number without sign or leading zeros; nil when the bytes are anything but one that
    /// fits.
    public init?(decimal bytes: UnsafeRawBufferPointer) {
        guard let first = bytes.first, bytes.count <= 20, first != 48 || bytes.count == 1 else {
            return nil
        }
        var value: UInt64 = 0
        for byte in bytes {
            guard byte &- 48 <= 9 else { return nil }
            let tenfold = value.multipliedReportingOverflow(by: 10)
            let sum = tenfold.partialValue.addingReportingOverflow(UInt64(byte &- 48))
            guard !tenfold.overflow, !sum.overflow else { return nil }
            value = sum.partialValue
        }
        self = value
    }
}
