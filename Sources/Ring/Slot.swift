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
enum CRC16 {
    static func checksum(_ bytes: UnsafeRawBufferPointer) -> UInt16 {
        table.withUnsafeBufferPointer { table in
            var state: UInt16 = 0
            for byte in bytes { state = state << 8 ^ table[Int(UInt8(state >> 8) ^ byte)] }
            return state
        }
    }

    private static let table: [UInt16] = (0..<256).map { index in
        (0..<8).reduce(UInt16(index) << 8) { state, _ in
            state & 0x8000 != 0 ? state << 1 ^ 0x1021 : state << 1
        }
    }
}
