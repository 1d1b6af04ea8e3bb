import CLinux

/// The Castagnoli checksum, by the processor's instruction where there is one.
///
/// Source: RFC 3720 appendix B.4; check value of "123456789" is 0xE3069283.
public enum CRC32C {
    /// - Parameter seed: the checksum of the bytes before these, to continue it.
    /// - Complexity: O(count), about 10 GB/s in hardware.
    public static func checksum(
        _ bytes: UnsafeRawBufferPointer, continuing seed: UInt32 = 0
    ) -> UInt32 {
        let start = bytes.assumingMemoryBound(to: UInt8.self)
        if hasHardware, let base = start.baseAddress {
            return ~quorate_hardware_crc32c(~seed, base, start.count)
        }
        return software(bytes, continuing: seed)
    }

    static func software(_ bytes: UnsafeRawBufferPointer, continuing seed: UInt32 = 0) -> UInt32 {
        var state = ~seed
        for byte in bytes {
            state = table[Int(UInt8(truncatingIfNeeded: state) ^ byte)] ^ state >> 8
        }
        return ~state
    }

    private static let hasHardware = quorate_has_hardware_crc32c() != 0

    private static let table: [UInt32] = (0..<256).map { index in
        (0..<8).reduce(UInt32(index)) { state, _ in
            state & 1 == 1 ? 0x82F6_3B78 ^ state >> 1 : state >> 1
        }
    }
}
