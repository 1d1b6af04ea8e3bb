/// What lets bytes go out to clients and come back as they were: nobody else can read, make or
/// change what is sealed.
///
/// The code of the plain bytes stands in front and is at the same time where the key stream begins,
/// so equal bytes are sealed equally, no generator is needed, and nothing that repeats is given
/// away but that it repeats. Layout: `code (16) | the bytes, XOR HMAC(code | block number (4)) …`.
///
/// Source: the construction of RFC 5297 (SIV), with HMAC-SHA-256 in place of AES.
public struct Seal: Sendable {
    public static let codeBytes = 16

    private let code: MACKey
    private let stream: MACKey

    public init(_ key: MACKey) {
        code = key.code(of: Array("code".utf8)).bytes.withUnsafeBytes { MACKey($0) }
        stream = key.code(of: Array("stream".utf8)).bytes.withUnsafeBytes { MACKey($0) }
    }

    /// - Parameters:
    ///   - plain: what to seal.
    ///   - place: what it belongs to; not in the result, and the same when it is opened.
    /// - Complexity: O(count).
    public func close(
        _ plain: UnsafeRawBufferPointer, for place: UnsafeRawBufferPointer
    ) -> [UInt8] {
        var sealed = Array(code(of: plain, for: place).bytes.prefix(Seal.codeBytes))
        sealed += plain
        encipher(&sealed)
        return sealed
    }

    /// - Returns: nil unless `close` made exactly these bytes for this place, with this key.
    public func open(
        _ sealed: UnsafeRawBufferPointer, for place: UnsafeRawBufferPointer
    ) -> [UInt8]? {
        guard sealed.count >= Seal.codeBytes else { return nil }
        var bytes = Array(sealed)
        encipher(&bytes)
        let isGenuine = bytes.withUnsafeBytes { bytes in
            let plain = UnsafeRawBufferPointer(rebasing: bytes[Seal.codeBytes...])
            return code(of: plain, for: place)
                .isProven(by: UnsafeRawBufferPointer(rebasing: bytes[..<Seal.codeBytes]))
        }
        return isGenuine ? Array(bytes.dropFirst(Seal.codeBytes)) : nil
    }

    private func code(
        of plain: UnsafeRawBufferPointer, for place: UnsafeRawBufferPointer
    ) -> Digest {
        var covered: [UInt8] = []
        covered.reserveCapacity(8 + plain.count + place.count)
        withUnsafeBytes(of: UInt64(plain.count).littleEndian) { covered += $0 }
        covered += plain
        covered += place
        return code.code(of: covered)
    }

    /// Adds the key stream to all behind the code; twice is not at all.
    private func encipher(_ bytes: inout [UInt8]) {
        var block = Array(bytes.prefix(Seal.codeBytes)) + [0, 0, 0, 0]
        var number: UInt32 = 0
        for start in stride(from: Seal.codeBytes, to: bytes.count, by: Digest.byteCount) {
            for place in 0..<4 {
                block[Seal.codeBytes + place] = UInt8(
                    truncatingIfNeeded: number >> UInt32(8 * place))
            }
            let pad = stream.code(of: block).bytes
            for offset in 0..<min(Digest.byteCount, bytes.count - start) {
                bytes[start + offset] ^= pad[offset]
            }
            number += 1
        }
    }
}
