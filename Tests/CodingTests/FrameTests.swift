import Base
import Testing

@testable import Coding

@Suite("Frames")
struct FrameTests {
    func framed(_ payloads: [UInt8]...) -> [UInt8] {
        var buffer = ByteBuffer()
        for payload in payloads {
            let start = Frame.begin(&buffer)
            buffer.append(payload)
            Frame.finish(&buffer, from: start)
        }
        return [UInt8](buffer.bytes)
    }

    @Test("The layout: length, checksum over length and payload, payload")
    func layout() {
        let stream = framed(Array("abc".utf8))
        #expect(Array(stream[..<4]) == [3, 0, 0, 0] && Array(stream[8...]) == Array("abc".utf8))
        let covered: [UInt8] = [3, 0, 0, 0] + Array("abc".utf8)
        let checksum = covered.withUnsafeBytes { CRC32C.software($0) }
        let bytes = (0..<4).map { UInt8(truncatingIfNeeded: checksum >> ($0 * 8)) }
        #expect(Array(stream[4..<8]) == bytes)
    }

    @Test("Frames come off a stream in order; a cut one waits")
    func sequence() throws {
        let stream = framed([1, 2, 3], [], [4])
        try stream.withUnsafeBytes { stream in
            var rest = stream
            for expected: [UInt8] in [[1, 2, 3], [], [4]] {
                for cut in 0..<(Frame.headerBytes + expected.count) {
                    let part = UnsafeRawBufferPointer(rebasing: rest[..<cut])
                    #expect(try Frame.next(in: part, payloadMax: 3) == nil)
                }
                let frame = try #require(try Frame.next(in: rest, payloadMax: 3))
                #expect([UInt8](frame.payload) == expected)
                rest = UnsafeRawBufferPointer(rebasing: rest[frame.consumed...])
            }
            #expect(rest.isEmpty)
        }
    }

    @Test("A length above the limit is refused before its bytes arrive")
    func limit() {
        let header: [UInt8] = [255, 255, 255, 255, 0, 0, 0, 0]
        #expect(throws: DecodeError.invalid("frame is larger than the limit")) {
            _ = try header.withUnsafeBytes { try Frame.next(in: $0, payloadMax: 1 << 20) }
        }
    }

    @Test("Any single flipped bit is found out, or leaves the frame incomplete")
    func flippedBits() {
        let stream = framed(Array("some payload".utf8))
        for bit in 0..<stream.count * 8 {
            var damaged = stream
            damaged[bit / 8] ^= 1 << UInt8(bit % 8)
            let accepted = damaged.withUnsafeBytes { bytes in
                (try? Frame.next(in: bytes, payloadMax: 1 << 30)) ?? nil
            }
            #expect(accepted == nil)
        }
    }

    @Test("Random bytes never trap")
    func randomBytes() {
        var random = PRNG(seed: 4)
        for _ in 0..<20_000 {
            let bytes = (0..<random.below(24)).map { _ in UInt8(random.below(4)) }
            let isFrame = bytes.withUnsafeBytes { bytes in
                ((try? Frame.next(in: bytes, payloadMax: 64)) ?? nil) != nil
            }
            #expect(!isFrame)
        }
    }
}
