import AntiEntropy
import Base
import Coding
import Testing

@Suite struct ExchangeMessageTests {
    private static let examples: [ExchangeMessage] = [
        .roots([]),
        .roots([.init(range: 0, root: 1), .init(range: 255, root: .max)]),
        .branches(7, Array(0..<32)),
        .leaves(7, branch: 31, Array(repeating: .max, count: 32)),
        .keys(1, leaf: 0, []),
        .keys(
            1, leaf: 1_023,
            [
                KeyState(hash: .max - 1, digest: 2, stamp: 3, merges: false),
                KeyState(hash: .max, digest: 4, stamp: 5, merges: true),
            ]),
        .wanted(255, leaf: 9, [1, 2, 3]),
        .held(.max),
    ]

    private func encoded(_ message: ExchangeMessage) -> [UInt8] {
        var buffer = ByteBuffer(capacity: 16)
        message.encode(into: &buffer)
        return Array(buffer.bytes)
    }

    private func decoded(_ bytes: [UInt8]) throws(DecodeError) -> ExchangeMessage {
        var result: Result<ExchangeMessage, DecodeError> = .failure(.truncated)
        bytes.withUnsafeBytes { bytes in
            do throws(DecodeError) {
                result = .success(try ExchangeMessage(decoding: bytes))
            } catch { result = .failure(error) }
        }
        return try result.get()
    }

    @Test("what was encoded is read again", arguments: examples)
    func roundTrip(message: ExchangeMessage) throws {
        #expect(try decoded(encoded(message)) == message)
    }

    @Test("damaged bytes are refused or are another message that encodes to themselves")
    func damaged() {
        var random = PRNG(seed: 4)
        for _ in 0..<20_000 {
            var bytes = encoded(ExchangeMessageTests.examples[random.below(8)])
            for _ in 0...random.below(3) {
                switch random.below(3) {
                case 0: bytes[random.below(bytes.count)] = UInt8(truncatingIfNeeded: random.next())
                case 1: bytes.append(UInt8(truncatingIfNeeded: random.next()))
                default: bytes.removeLast(min(bytes.count - 1, random.below(9)))
                }
            }
            do throws(DecodeError) {
                let message = try decoded(bytes)
                #expect(encoded(message) == bytes)
            } catch {}
        }
    }

    @Test("an order, a leaf, a branch or a flag that cannot be is refused")
    func impossible() {
        let wrong: [[UInt8]] = [
            [], [9], [9, 0], [5, 0],
            [4, 0, 0, 0] + [UInt8](repeating: 0, count: 16),
            [2, 0, 32] + [UInt8](repeating: 0, count: 256),
            [1, 0] + [UInt8](repeating: 0, count: 255),
            [0, 5] + [UInt8](repeating: 0, count: 8) + [5] + [UInt8](repeating: 0, count: 8),
            [3, 0, 0, 4], [4, 0, 0, 4],
            [3, 0, 1, 0] + [UInt8](repeating: 0, count: 25),
            [3, 0, 0, 0] + [UInt8](repeating: 0, count: 24) + [2],
        ]
        for bytes in wrong { #expect(throws: DecodeError.self) { try decoded(bytes) } }
    }
}
