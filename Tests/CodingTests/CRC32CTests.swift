import Base
import Testing

@testable import Coding

@Suite("CRC32C")
struct CRC32CTests {
    /// RFC 3720 appendix B.4, the bytes as they stand there, the checksums read as little-endian
    /// numbers.
    static let vectors: [(bytes: [UInt8], checksum: UInt32)] = [
        ([UInt8](repeating: 0, count: 32), 0x8A91_36AA),
        ([UInt8](repeating: 0xFF, count: 32), 0x62A8_AB43),
        (Array(0..<32), 0x46DD_794E),
        (Array((0..<32).reversed()), 0x113F_DB5C),
        (
            [
                0x01, 0xC0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x14, 0, 0, 0, 0, 0, 4, 0,
                0, 0, 0, 0x14, 0, 0, 0, 0x18, 0x28, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0,
            ], 0xD996_3A56
        ),
        (Array("123456789".utf8), 0xE306_9283),
        ([], 0),
    ]

    @Test(
        "The checksums of RFC 3720 appendix B.4, by the instruction and by the table",
        arguments: vectors)
    func published(_ vector: (bytes: [UInt8], checksum: UInt32)) {
        vector.bytes.withUnsafeBytes { bytes in
            #expect(CRC32C.checksum(bytes) == vector.checksum)
            #expect(CRC32C.software(bytes) == vector.checksum)
        }
    }

    @Test("Instruction and table agree on every length, alignment and continuation")
    func agreement() {
        var random = PRNG(seed: 3)
        let bytes = (0..<300).map { _ in UInt8(random.below(256)) }
        bytes.withUnsafeBytes { bytes in
            for start in 0..<9 {
                for end in start...(start + 80) {
                    let slice = UnsafeRawBufferPointer(rebasing: bytes[start..<end])
                    let seed = UInt32(truncatingIfNeeded: random.next())
                    let software = CRC32C.software(slice, continuing: seed)
                    #expect(CRC32C.checksum(slice, continuing: seed) == software)
                }
            }
        }
    }

    @Test("A checksum continued over two parts is that of the whole")
    func continuation() {
        let bytes = Array(0..<UInt8(100))
        bytes.withUnsafeBytes { bytes in
            let whole = CRC32C.checksum(bytes)
            for cut in 0...bytes.count {
                let first = CRC32C.checksum(UnsafeRawBufferPointer(rebasing: bytes[..<cut]))
                let rest = UnsafeRawBufferPointer(rebasing: bytes[cut...])
                #expect(CRC32C.checksum(rest, continuing: first) == whole)
            }
        }
    }
}
