/// The hash function SHA-256, over bytes that lie together.
///
/// Source: FIPS 180-4, §4.1.2, §4.2.2, §5.1.1, §6.2.
public enum SHA256 {
    /// The state before the first block.
    static let initial = SIMD8<UInt32>(
        0x6A09_E667, 0xBB67_AE85, 0x3C6E_F372, 0xA54F_F53A,
        0x510E_527F, 0x9B05_688C, 0x1F83_D9AB, 0x5BE0_CD19)
    static let blockBytes = 64

    /// - Complexity: O(count).
    public static func digest(_ bytes: UnsafeRawBufferPointer) -> Digest {
        digest(bytes, from: initial, after: 0)
    }

    /// - Parameters:
    ///   - state: after the blocks before these bytes.
    ///   - countBefore: bytes of those blocks.
    static func digest(
        _ bytes: UnsafeRawBufferPointer, from state: SIMD8<UInt32>, after countBefore: Int
    ) -> Digest {
        var state = state
        var offset = 0
        while bytes.count - offset >= blockBytes {
            compress(&state, UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + blockBytes]))
            offset += blockBytes
        }
        let rest = UnsafeRawBufferPointer(rebasing: bytes[offset...])
        finish(&state, rest, bitCount: UInt64(countBefore + bytes.count) * 8)
        return Digest(words: state)
    }

    /// Pads the last bytes to one or two blocks.
    private static func finish(
        _ state: inout SIMD8<UInt32>, _ rest: UnsafeRawBufferPointer, bitCount: UInt64
    ) {
        let padded = rest.count + 9 <= blockBytes ? blockBytes : 2 * blockBytes
        withUnsafeTemporaryAllocation(byteCount: padded, alignment: 8) { block in
            block.initializeMemory(as: UInt8.self, repeating: 0)
            block.copyMemory(from: rest)
            block[rest.count] = 0x80
            block.storeBytes(of: bitCount.bigEndian, toByteOffset: padded - 8, as: UInt64.self)
            let bytes = UnsafeRawBufferPointer(block)
            for start in stride(from: 0, to: padded, by: blockBytes) {
                compress(
                    &state, UnsafeRawBufferPointer(rebasing: bytes[start..<start + blockBytes]))
            }
        }
    }

    /// - Parameter block: 64 bytes.
    static func compress(_ state: inout SIMD8<UInt32>, _ block: UnsafeRawBufferPointer) {
        withUnsafeTemporaryAllocation(of: UInt32.self, capacity: 64) { schedule in
            for index in 0..<16 {
                let word = block.loadUnaligned(fromByteOffset: 4 * index, as: UInt32.self)
                schedule.initializeElement(at: index, to: UInt32(bigEndian: word))
            }
            for index in 16..<64 {
                let (early, late) = (schedule[index - 15], schedule[index - 2])
                let low = rotate(early, 7) ^ rotate(early, 18) ^ early >> 3
                let high = rotate(late, 17) ^ rotate(late, 19) ^ late >> 10
                schedule.initializeElement(
                    at: index, to: schedule[index - 16] &+ low &+ schedule[index - 7] &+ high)
            }
            state &+= rounds(state, schedule)
        }
    }

    private static func rounds(
        _ state: SIMD8<UInt32>, _ schedule: UnsafeMutableBufferPointer<UInt32>
    ) -> SIMD8<UInt32> {
        var (a, b, c, d) = (state[0], state[1], state[2], state[3])
        var (e, f, g, h) = (state[4], state[5], state[6], state[7])
        for index in 0..<64 {
            let chosen = (e & f) ^ (~e & g)
            let first =
                h &+ (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) &+ chosen
                &+ constants[index] &+ schedule[index]
            let majority = (a & b) ^ (a & c) ^ (b & c)
            let second = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) &+ majority
            (h, g, f, e) = (g, f, e, d &+ first)
            (d, c, b, a) = (c, b, a, first &+ second)
        }
        return SIMD8(a, b, c, d, e, f, g, h)
    }

    @inline(__always)
    private static func rotate(_ word: UInt32, _ count: UInt32) -> UInt32 {
        word >> count | word << (32 - count)
    }

    /// The first 32 bits of the fractional parts of the cube roots of the first 64 primes.
    private static let constants: [UInt32] = [
        0x428A_2F98, 0x7137_4491, 0xB5C0_FBCF, 0xE9B5_DBA5, 0x3956_C25B, 0x59F1_11F1,
        0x923F_82A4, 0xAB1C_5ED5, 0xD807_AA98, 0x1283_5B01, 0x2431_85BE, 0x550C_7DC3,
        0x72BE_5D74, 0x80DE_B1FE, 0x9BDC_06A7, 0xC19B_F174, 0xE49B_69C1, 0xEFBE_4786,
        0x0FC1_9DC6, 0x240C_A1CC, 0x2DE9_2C6F, 0x4A74_84AA, 0x5CB0_A9DC, 0x76F9_88DA,
        0x983E_5152, 0xA831_C66D, 0xB003_27C8, 0xBF59_7FC7, 0xC6E0_0BF3, 0xD5A7_9147,
        0x06CA_6351, 0x1429_2967, 0x27B7_0A85, 0x2E1B_2138, 0x4D2C_6DFC, 0x5338_0D13,
        0x650A_7354, 0x766A_0ABB, 0x81C2_C92E, 0x9272_2C85, 0xA2BF_E8A1, 0xA81A_664B,
        0xC24B_8B70, 0xC76C_51A3, 0xD192_E819, 0xD699_0624, 0xF40E_3585, 0x106A_A070,
        0x19A4_C116, 0x1E37_6C08, 0x2748_774C, 0x34B0_BCB5, 0x391C_0CB3, 0x4ED8_AA4A,
        0x5B9C_CA4F, 0x682E_6FF3, 0x748F_82EE, 0x78A5_636F, 0x84C8_7814, 0x8CC7_0208,
        0x90BE_FFFA, 0xA450_6CEB, 0xBEF9_A3F7, 0xC671_78F2,
    ]
}

/// 256 bits that a hash function or a message authentication code made of a message.
public struct Digest: Equatable, Sendable {
    public static let byteCount = 32

    let words: SIMD8<UInt32>

    /// All bytes, in the order in which the standard prints them.
    public var bytes: [UInt8] {
        (0..<8).flatMap { index in
            stride(from: 24, through: 0, by: -8).map {
                UInt8(truncatingIfNeeded: words[index] >> UInt32($0))
            }
        }
    }

    /// The first 64 bits, as a number.
    public var prefix: UInt64 { UInt64(words[0]) << 32 | UInt64(words[1]) }

    /// Whether these are the digest's first bytes. How long it takes does not depend on how many of
    /// them are.
    ///
    /// - Parameter claim: 16…32 bytes; anything shorter or longer is no match.
    public func isProven(by claim: UnsafeRawBufferPointer) -> Bool {
        guard 16...Digest.byteCount ~= claim.count else { return false }
        var difference: UInt8 = 0
        for (own, claimed) in zip(bytes, claim) { difference |= own ^ claimed }
        return difference == 0
    }
}
