import Base
import Testing

@testable import Coding

/// The buffer's bytes as text.
func text(_ body: (inout ByteBuffer) -> Void) -> String {
    var buffer = ByteBuffer(capacity: 1)
    body(&buffer)
    return String(decoding: buffer.bytes, as: UTF8.self)
}

@Suite("Byte buffers")
struct ByteBufferTests {
    @Test("What is appended stands behind what was there, however often the buffer grows")
    func growth() {
        var buffer = ByteBuffer(capacity: 1)
        var expected: [UInt8] = []
        for round in 0..<200 {
            let piece = [UInt8](repeating: UInt8(round), count: round)
            buffer.append(piece)
            buffer.append(UInt8(round))
            expected += piece + [UInt8(round)]
        }
        #expect([UInt8](buffer.bytes) == expected)
        #expect(buffer.capacity >= buffer.count)
    }

    @Test("Integers are little-endian and as wide as their type")
    func integers() {
        var buffer = ByteBuffer()
        buffer.append(integer: UInt16(0x0102))
        buffer.append(integer: UInt64(0x0102_0304_0506_0708))
        buffer.append(integer: Int32(-2))
        #expect([UInt8](buffer.bytes) == [2, 1, 8, 7, 6, 5, 4, 3, 2, 1, 254, 255, 255, 255])
        buffer.store(UInt16(0xAABB), at: 1)
        #expect([UInt8](buffer[0..<4]) == [2, 0xBB, 0xAA, 7])
    }

    @Test(
        "Decimal digits",
        arguments: [
            0, 1, 9, 10, 99, 100, 101, 999, 1000, 12_345, -1, -9, -10, -100, Int.max, Int.min,
            Int.max - 1, Int.min + 1, 1_000_000_000_000_000_000,
        ])
    func digits(_ value: Int) {
        #expect(text { $0.append(decimal: value) } == String(value))
    }

    @Test("Removing the front keeps the rest, truncating keeps the front")
    func removal() {
        var buffer = ByteBuffer(capacity: 4)
        buffer.append("0123456789")
        buffer.removeFirst(3)
        #expect(String(decoding: buffer.bytes, as: UTF8.self) == "3456789")
        buffer.truncate(to: 2)
        #expect(String(decoding: buffer.bytes, as: UTF8.self) == "34")
        buffer.removeFirst(2)
        #expect(buffer.count == 0)
    }

    @Test("Memory is given back after a burst, never what is written")
    func shrinking() {
        var buffer = ByteBuffer(capacity: 16)
        buffer.append([UInt8](repeating: 1, count: 5000))
        buffer.shrink(to: 64)
        #expect(buffer.count == 5000)
        buffer.truncate(to: 10)
        buffer.shrink(to: 64)
        #expect(buffer.capacity == 64)
        #expect([UInt8](buffer.bytes) == [UInt8](repeating: 1, count: 10))
    }

    @Test("Reserved bytes count once they are advanced over")
    func reserving() {
        var buffer = ByteBuffer(capacity: 1)
        let target = buffer.reserve(8)
        target.storeBytes(of: 0x6867_6665_6463_6261, as: UInt64.self)
        #expect(buffer.count == 0)
        buffer.advance(3)
        #expect(String(decoding: buffer.bytes, as: UTF8.self) == "abc")
    }
}

@Suite("Byte readers")
struct ByteReaderTests {
    @Test("Fields are read in order and the end is checked")
    func fields() throws {
        let bytes: [UInt8] = [1, 2, 0, 3, 4, 5, 6]
        try bytes.withUnsafeBytes { bytes in
            var reader = ByteReader(bytes)
            #expect(try reader.integer(UInt8.self) == 1)
            #expect(try reader.integer(UInt16.self) == 2)
            #expect([UInt8](try reader.slice(2)) == [3, 4])
            #expect(reader.offset == 5 && reader.remaining == 2)
            #expect(throws: DecodeError.invalid("bytes after the last field")) { try reader.end() }
            #expect([UInt8](reader.rest()) == [5, 6])
            try reader.end()
        }
    }

    @Test("Nothing is read past the end, and a refused field leaves the reader where it was")
    func truncation() {
        let bytes: [UInt8] = [1, 2, 3]
        bytes.withUnsafeBytes { bytes in
            var reader = ByteReader(bytes)
            #expect(throws: DecodeError.truncated) { _ = try reader.integer(UInt32.self) }
            #expect(throws: DecodeError.truncated) { _ = try reader.slice(4) }
            #expect(throws: DecodeError.truncated) { _ = try reader.slice(-1) }
            #expect(throws: DecodeError.truncated) { _ = try reader.slice(.max) }
            #expect(reader.offset == 0)
        }
        var empty = ByteReader(UnsafeRawBufferPointer(start: nil, count: 0))
        #expect(throws: DecodeError.truncated) { _ = try empty.integer(UInt8.self) }
        #expect(empty.rest().isEmpty)
    }
}
