import Base
import Coding
import Testing

@testable import Causality

@Suite("Sibling sets and contexts as bytes")
struct EncodingTests {
    private func sample(_ random: inout PRNG) -> SiblingSet {
        var set = SiblingSet()
        for stamp in 1...(1 + random.below(6)) {
            let minted = dot(UInt16(1 + random.below(3)), UInt64(stamp), epoch: 1 << 40)
            let context = random.chance(perMille: 300) ? set.context : CausalContext()
            if random.chance(perMille: 200) {
                set.delete(dot: minted, context: context)
            } else {
                let value = (0..<random.below(40)).map { _ in UInt8(random.below(256)) }
                set.update(
                    dot: minted, value: value, expiry: UInt64(random.below(3)), context: context)
            }
        }
        return set
    }

    @Test("every set survives the round trip, as a body and as a record")
    func roundTrip() throws {
        var random = PRNG(seed: 1)
        for _ in 0..<2_000 {
            let set = sample(&random)
            var buffer = ByteBuffer()
            set.encode(into: &buffer)
            #expect(buffer.count == set.encodedBytes)
            #expect(try SiblingSet(encoded: buffer.bytes) == set)
            #expect(try validated(encoded(set)) == set)
        }
    }

    @Test("a lone write is a plain record, with its dot and expiry in the header")
    func compactForm() {
        let value = encoded(SiblingSet(dot: dot(1, 9), value: [7, 8], expiry: 42))
        #expect(value.count == 32 + 1 + 2)
        #expect(value[4] == RecordKind.value.rawValue)
        #expect(value[24] == 42)
        let tombstone = encoded(SiblingSet(dot: dot(1, 9), value: nil))
        #expect(tombstone.count == 32 + 1)
        #expect(tombstone[4] == RecordKind.tombstone.rawValue)
    }

    @Test("a set's record shows its newest dot, its last expiry, and whether anything is live")
    func header() {
        var set = SiblingSet(dot: dot(1, 1), value: [1], expiry: 50)
        set.join(SiblingSet(dot: dot(2, 2), value: [2], expiry: 30))
        encoded(set).withUnsafeBytes {
            let record = Record(at: $0.baseAddress!)
            #expect(record.isSiblingSet && !record.isTombstone)
            #expect(record.dot == dot(2, 2))
            #expect(record.expiry == 50)
        }
        set.join(SiblingSet(dot: dot(3, 1), value: [3]))
        #expect(set.expiry == 0, "a sibling that never expires keeps the key")
        set.delete(dot: dot(1, 3), context: set.context)
        encoded(set).withUnsafeBytes {
            let record = Record(at: $0.baseAddress!)
            #expect(record.isSiblingSet && record.isTombstone)
            #expect(record.dot == dot(1, 3))
        }
    }

    @Test("flipped, cut and stretched records never trap, and what is accepted is canonical")
    func mutatedRecords() {
        var random = PRNG(seed: 2)
        var accepted = 0
        for _ in 0..<8_000 {
            var bytes = encoded(sample(&random))
            switch random.below(4) {
            case 0: bytes.removeLast(random.below(bytes.count))
            case 1: bytes.append(UInt8(random.below(256)))
            default:
                for _ in 0...random.below(3) {
                    bytes[random.below(bytes.count)] = UInt8(random.below(256))
                }
            }
            if random.chance(perMille: 500), bytes.count >= 4 {
                bytes.replaceSubrange(
                    0..<4, with: withUnsafeBytes(of: UInt32(bytes.count)) { Array($0) })
            }
            guard let set = try? validated(bytes) else { continue }
            accepted += 1
            set.checkInvariants()
            if bytes[32..<bytes.count].first == key[0], bytes[6] == 1, bytes[7] == 0 {
                #expect(encoded(set) == bytes)
            }
        }
        #expect(accepted > 100)
    }

    @Test("a body is refused for each rule it breaks")
    func refusals() {
        func body(context: [Dot], siblings: [Dot]) -> DecodeError? {
            var set = SiblingSet()
            set.context.entries = context
            set.siblings = siblings.map { Sibling(dot: $0, expiry: 0, value: [1]) }
            var buffer = ByteBuffer()
            set.encode(into: &buffer)
            do throws(DecodeError) {
                _ = try SiblingSet(encoded: buffer.bytes)
                return nil
            } catch {
                return error
            }
        }
        let a = dot(1, 5)
        let b = dot(2, 6)
        #expect(body(context: [a, b], siblings: [a, b]) == nil)
        #expect(body(context: [b, a], siblings: []) == .invalid("causal context is out of order"))
        #expect(body(context: [a, a], siblings: []) == .invalid("causal context is out of order"))
        #expect(body(context: [a], siblings: [b]) == .invalid("sibling is not in its context"))
        #expect(body(context: [a, b], siblings: [b, a]) == .invalid("siblings are out of order"))
        #expect(body(context: [a, b], siblings: [a, a]) == .invalid("siblings are out of order"))
    }

    @Test("counts that the bytes do not hold are refused before anything is reserved")
    func hugeCounts() {
        for (identities, siblings) in [(UInt32.max, 0), (0, UInt32.max), (4_096, 0), (0, 4_096)] {
            var buffer = ByteBuffer()
            buffer.append(integer: UInt32(identities))
            buffer.append(integer: UInt32(siblings))
            #expect(throws: DecodeError.self) { try SiblingSet(encoded: buffer.bytes) }
        }
    }

    @Test("a union beyond the limits is refused, not cut")
    func limits() {
        func wide(_ first: Int) -> SiblingSet {
            let dots = (first..<first + 3_000).map { dot(1, 1, epoch: UInt64($0)) }
            var context = CausalContext()
            context.entries = dots
            return SiblingSet(context: context, siblings: [])
        }
        let outcome = merged(encoded(wide(1)), encoded(wide(10_000)), .siblings)
        #expect(outcome.bytes.isEmpty, "refused")
        let answers = summed([encoded(wide(1)), encoded(wide(10_000))], .siblings)
        #expect(answers.merge.result == .refused)
        #expect(merged(encoded(wide(1)), encoded(wide(500)), .siblings).bytes.count > 3_000 * 16)
    }

    @Test("the digest tells states apart and equal states not")
    func digest() {
        let one = encoded(SiblingSet(dot: dot(1, 1), value: [1]))
        let same = encoded(SiblingSet(dot: dot(1, 1), value: [1]))
        let other = encoded(SiblingSet(dot: dot(1, 1), value: [2]))
        func digest(_ bytes: [UInt8]) -> UInt64 {
            bytes.withUnsafeBytes { Record(at: $0.baseAddress!).digest }
        }
        #expect(digest(one) == digest(same))
        #expect(digest(one) != digest(other))
    }

    @Test("a state has one record only: another kind, dot or expiry in the header is refused")
    func canonicalHeader() throws {
        let plain = SiblingSet(dot: dot(1, 9), value: [7])
        var many = plain
        many.join(SiblingSet(dot: dot(2, 10), value: [8], expiry: 4))
        var cleared = many
        cleared.delete(dot: dot(2, 11), context: many.context)
        func record(
            _ set: SiblingSet, _ kind: RecordKind, _ header: Dot, _ expiry: UInt64 = 0
        ) -> [UInt8] {
            var body = ByteBuffer()
            set.encode(into: &body)
            let length = Record.length(keyBytes: key.count, bodyBytes: body.count)
            var bytes = [UInt8](repeating: 0, count: length)
            bytes.withUnsafeMutableBytes { target in
                key.withUnsafeBytes {
                    Record.write(
                        to: target.baseAddress!, kind: kind, dot: header, expiry: expiry, key: $0,
                        body: body.bytes)
                }
            }
            return bytes
        }
        #expect(try validated(record(many, .siblings, dot(2, 10))) == many)
        #expect(try validated(record(cleared, .siblingTombstone, dot(2, 11))) == cleared)
        for bytes in [
            record(plain, .siblings, dot(1, 9)), record(many, .siblingTombstone, dot(2, 10)),
            record(cleared, .siblings, dot(2, 11)), record(many, .siblings, dot(1, 9)),
            record(many, .siblings, dot(2, 10), 4),
            record(SiblingSet(), .siblingTombstone, dot(1, 1)),
        ] {
            #expect(throws: DecodeError.self) { try validated(bytes) }
        }
    }

    @Test("a tombstone with a value is no record, nor a deletion that was given an expiry")
    func tombstones() throws {
        var bytes = encoded(SiblingSet(dot: dot(1, 9), value: [7]))
        bytes[4] = RecordKind.tombstone.rawValue
        #expect(throws: DecodeError.invalid("tombstone carries a value")) { try validated(bytes) }
        bytes = encoded(SiblingSet(dot: dot(1, 9), value: nil))
        bytes[24] = 1
        let left = Sibling(dot: dot(1, 9), expiry: 1, isSpent: true, value: [])
        #expect(try validated(bytes).siblings == [left])
        var set = SiblingSet(dot: dot(1, 9), value: [7], expiry: 5)
        set.expire(at: 6, [dot(1, 9)], dot: dot(1, 10))
        _ = set.spend(before: 6)
        bytes = encoded(set)
        #expect(try validated(bytes) == set)
        bytes[24] = 0
        #expect(throws: DecodeError.invalid("a deletion was given an expiry")) {
            try validated(bytes)
        }
    }
}
