import Glibc

/// One of the 16,384 slots over which keys are spread, as in Redis Cluster, so that its clients
/// find a replica by themselves.
///
/// Source: Redis Cluster specification, "Key distribution model" and "Hash tags".
public struct Slot: Hashable, Comparable, Sendable {
    public static let count = 16_384

    /// 0..<16,384.
    public let rawValue: UInt16

    /// - Parameter rawValue: 0..<16,384.
    @inlinable public init(_ rawValue: UInt16) {
        precondition(Int(rawValue) < Slot.count, "a slot is below 16,384")
        self.rawValue = rawValue
    }

    /// The slot of a key: of its hash tag where it has one, of the whole key otherwise.
    ///
    /// - Complexity: O(key).
    public init(key: UnsafeRawBufferPointer) {
        let checksum = CRC16.checksum(Slot.hashTag(of: key) ?? key)
        rawValue = checksum & UInt16(Slot.count - 1)
    }

    public static func < (a: Slot, b: Slot) -> Bool { a.rawValue < b.rawValue }

    /// What stands between the first `{` and the first `}` behind it, unless that is nothing.
    private static func hashTag(of key: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer? {
        guard let base = key.baseAddress, let open = memchr(base, 0x7B, key.count) else {
            return nil
        }
        let start = UnsafeRawPointer(open) + 1
        let rest = base + key.count - start
        guard let close = memchr(start, 0x7D, rest) else { return nil }
        let count = UnsafeRawPointer(close) - start
        return count == 0 ? nil : UnsafeRawBufferPointer(start: start, count: count)
    }
}

/// CRC-16/XMODEM: polynomial 0x1021, nothing reflected; check value of "123456789" is 0x31C3.
///
/// Four bytes a step: `tables[k]` is the effect of a byte with k more bytes behind it, and effects
/// add up.
///
/// Source: Kounavis & Berry, "A Systematic Approach to Building High Performance Software-Based CRC
/// Generators" (2005).
enum CRC16 {
    static func checksum(_ bytes: UnsafeRawBufferPointer) -> UInt16 {
        let tables = UnsafePointer(tables)
        var state: UInt16 = 0
        var index = 0
        while index + 4 <= bytes.count {
            let first = Int(UInt8(truncatingIfNeeded: state >> 8) ^ bytes[index])
            let second = Int(UInt8(truncatingIfNeeded: state) ^ bytes[index &+ 1])
            state =
                tables[768 &+ first] ^ tables[512 &+ second]
                ^ tables[256 &+ Int(bytes[index &+ 2])] ^ tables[Int(bytes[index &+ 3])]
            index &+= 4
        }
        while index < bytes.count {
            let place = Int(UInt8(truncatingIfNeeded: state >> 8) ^ bytes[index])
            state = state << 8 ^ tables[place]
            index &+= 1
        }
        return state
    }

    /// Filled once and kept for the life of the process.
    nonisolated(unsafe) private static let tables: UnsafeMutablePointer<UInt16> = {
        let tables = UnsafeMutablePointer<UInt16>.allocate(capacity: 1_024)
        for byte in 0..<256 {
            var state = UInt16(byte) << 8
            for table in 0..<4 {
                for _ in 0..<8 { state = state & 0x8000 != 0 ? state << 1 ^ 0x1021 : state << 1 }
                tables[table * 256 + byte] = state
            }
        }
        return tables
    }()
}
