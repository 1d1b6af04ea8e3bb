import AntiEntropy
import Base
import Coding
import Testing

@Suite struct RefillMessageTests {
    private static func ranges(_ numbers: [UInt8]) -> RangeSet {
        var set = RangeSet()
        for number in numbers { set.insert(number) }
        return set
    }

    private static let state = KeyState(hash: .max, digest: 4, stamp: 5, merges: true)

    private static let examples: [RefillMessage] = [
        .inquiry(moment: 7, []),
        .inquiry(moment: .max, [.init(range: 0, root: 1), .init(range: 255, root: .max)]),
        .same(moment: 7, equal: ranges([0, 63, 64, 255]), whole: ranges([1, 200])),
        .sums(7, node: 0, Array(0..<32)),
        .sums(7, node: 32, Array(repeating: .max, count: 32)),
        .differing(255, node: 32, isWhole: true, .max),
        .differing(0, node: 0, isWhole: false, 0),
        .states(1, leaf: 0, isInDoubt: false, []),
        .states(1, leaf: 1_023, isInDoubt: true, [state]),
        .lacked(1, leaf: 1_023, .init(isWhole: true, isAll: false, records: [1, 2, 3])),
        .lacked(
            1, leaf: 1_023, .init(isWhole: true, isAll: true, refuted: [3, 9], records: [1, 2])),
        .lacked(1, leaf: 0, .init(isWhole: false, isAll: true, records: [])),
    ]

    private func encoded(_ message: RefillMessage) -> [UInt8] {
        var buffer = ByteBuffer(capacity: 16)
        message.encode(into: &buffer)
        return Array(buffer.bytes)
    }

    private func decoded(_ bytes: [UInt8]) throws(DecodeError) -> RefillMessage {
        var result: Result<RefillMessage, DecodeError> = .failure(.truncated)
        bytes.withUnsafeBytes { bytes in
            do throws(DecodeError) {
                result = .success(try RefillMessage(decoding: bytes))
            } catch { result = .failure(error) }
        }
        return try result.get()
    }

    @Test("what was encoded is read again", arguments: examples)
    func roundTrip(message: RefillMessage) throws {
        #expect(try decoded(encoded(message)) == message)
    }

    @Test("bytes that nobody encoded are refused or are another message, and trap nothing")
    func mutated() {
        var random = PRNG(seed: 3)
        for _ in 0..<20_000 {
            var bytes = encoded(Self.examples[random.below(Self.examples.count)])
            for _ in 0...random.below(3) where !bytes.isEmpty {
                let place = random.below(bytes.count)
                if random.below(4) == 0 {
                    bytes.removeLast(bytes.count - place)
                } else {
                    bytes[place] = UInt8(random.below(256))
                }
            }
            if let message = try? decoded(bytes) { #expect(encoded(message) == bytes) }
        }
    }
}
