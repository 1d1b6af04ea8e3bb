import Base
import Testing

@testable import Causality

@Suite("Too many concurrent values of one key")
struct OverflowTests {
    private static let elements = [
        "", "a", "b", "ab", "\"", "\\", "é", "e\u{301}", "😀", "\n", "\u{1}", "/", "z",
    ]

    /// A list that says its elements in a way drawn at random: order, repetition, blanks, escapes.
    private func list(_ random: inout PRNG) -> (json: [UInt8], elements: Set<[UInt8]>) {
        var elements: Set<[UInt8]> = []
        var words: [String] = []
        for _ in 0..<random.below(6) {
            let element = OverflowTests.elements[random.below(OverflowTests.elements.count)]
            elements.insert(Array(element.utf8))
            words.append("\"\(spelled(element, &random))\"")
        }
        let blank = ["", " ", "\n\t", "\r "][random.below(4)]
        let inside = words.joined(separator: "\(blank),\(blank)")
        return (Array("\(blank)[\(blank)\(inside)\(blank)]\(blank)".utf8), elements)
    }

    private func spelled(_ element: String, _ random: inout PRNG) -> String {
        var text = ""
        for scalar in element.unicodeScalars {
            let must = scalar == "\"" || scalar == "\\" || scalar.value < 32
            if must || random.below(3) == 0 {
                for unit in String(scalar).utf16 {
                    let digits = String(unit, radix: 16, uppercase: random.below(2) == 0)
                    text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
                }
            } else {
                text.unicodeScalars.append(scalar)
            }
        }
        return text
    }

    /// The form that equal sets share, said a second time.
    private func form(_ elements: Set<[UInt8]>) -> [UInt8] {
        let sorted = elements.sorted { $0.lexicographicallyPrecedes($1) }
        let words = sorted.map { element in
            let scalars = String(decoding: element, as: UTF8.self).unicodeScalars.map { scalar in
                switch scalar {
                case "\"": "\\\""
                case "\\": "\\\\"
                case "\n": "\\u000a"
                case "\u{1}": "\\u0001"
                default: String(scalar)
                }
            }
            return "\"\(scalars.joined())\""
        }
        return Array("[\(words.joined(separator: ","))]".utf8)
    }

    private func siblings(_ values: [[UInt8]]) -> [Sibling] {
        values.enumerated().map {
            Sibling(dot: dot(1, UInt64($0.offset + 1)), expiry: 0, value: $0.element)
        }
    }

    private func union(_ values: [UInt8]...) -> [UInt8]? { SiblingSet.union(siblings(values)) }

    private func largest(_ values: [UInt8]...) -> [UInt8]? { SiblingSet.largest(siblings(values)) }

    @Test("the union is that of the sets: commutative, associative, idempotent, in one form")
    func unionLaws() throws {
        var random = PRNG(seed: 5)
        for _ in 0..<2_000 {
            let (a, b, c) = (list(&random), list(&random), list(&random))
            let all = a.elements.union(b.elements).union(c.elements)
            let ab = try #require(union(a.json, b.json))
            let bc = try #require(union(b.json, c.json))
            #expect(ab == form(a.elements.union(b.elements)))
            #expect(union(b.json, a.json) == ab)
            #expect(union(ab, c.json) == form(all) && union(a.json, bc) == form(all))
            #expect(union(a.json, b.json, c.json) == form(all))
            #expect(union(ab, ab) == ab && union(ab, a.json) == ab)
        }
    }

    @Test("the largest number is commutative, associative and idempotent")
    func largestLaws() throws {
        var random = PRNG(seed: 6)
        for _ in 0..<2_000 {
            let bits = random.below(64)
            let numbers = (0..<3).map { _ in Int64(bitPattern: random.next()) >> Int64(bits) }
            let texts = numbers.map { Array("\($0)".utf8) }
            let ab = try #require(largest(texts[0], texts[1]))
            let bc = try #require(largest(texts[1], texts[2]))
            #expect(ab == texts[numbers[0] < numbers[1] ? 1 : 0])
            #expect(largest(texts[1], texts[0]) == ab && largest(ab, ab) == ab)
            #expect(largest(ab, texts[2]) == largest(texts[0], bc))
            #expect(largest(ab, texts[2]) == Array("\(numbers.max() ?? 0)".utf8))
        }
    }

    @Test(
        "what is no array of strings is not merged",
        arguments: [
            "", "[", "]", "[\"a\"", "[\"a\",]", "[,]", "[\"a\"]x", "[\"a\"][\"b\"]", "[1]",
            "[null]", "[[\"a\"]]", "{\"a\":\"b\"}", "\"a\"", "[\"\\ud800\"]", "[\"\\udc00\"]",
            "[\"\\ud800\\u0061\"]", "[\"\\u00g0\"]", "[\"\\u00\"]", "[\"\\x\"]", "[\"\n\"]", "a,b",
            "[\"a\" \"b\"]", "[\"\\",
        ])
    func noList(text: String) {
        #expect(union(Array("[\"a\"]".utf8), Array(text.utf8)) == nil)
    }

    @Test("bytes that are not UTF-8 are no list, random bytes never trap")
    func noText() {
        #expect(union([0x5B, 0x22, 0xFF, 0x22, 0x5D]) == nil)
        var random = PRNG(seed: 7)
        let alphabet = Array("[\"\\u0d8,] a".utf8)
        for _ in 0..<20_000 {
            let bytes = (0..<random.below(12)).map { _ in alphabet[random.below(alphabet.count)] }
            guard let merged = union(bytes) else { continue }
            #expect(union(merged) == merged)
        }
    }

    @Test("what is no whole number of 64 bits is not merged")
    func noNumber() {
        for text in ["", "1.0", "+1", "01", "-0", "9223372036854775808", "a", " 1"] {
            #expect(largest(Array("7".utf8), Array(text.utf8)) == nil)
        }
    }

    private func set(_ count: Int, bytes: Int = 1) -> SiblingSet {
        var set = SiblingSet()
        for number in 1...UInt64(count) {
            set.update(
                dot: dot(UInt16(number % 3 + 1), number),
                value: Array(repeating: UInt8(number), count: bytes), expiry: number,
                context: CausalContext())
        }
        return set
    }

    private let wide = SiblingLimits(
        siblingsMax: 3, valueBytesMax: 1_000, bodyBytesMax: 1 << 20,
        share: .init(node: NodeID(1), bytesMax: .max))

    private func limits(values: Int = 1_000, record: Int) -> SiblingLimits {
        SiblingLimits(
            siblingsMax: 3, valueBytesMax: values, bodyBytesMax: record, share: wide.share)
    }

    @Test("lww drops the oldest, as many as it takes, and the context keeps them replaced")
    func dropOldest() {
        let before = set(8)
        var after = before
        #expect(after.bringWithin(wide, .lww) == SiblingOverflow(dropped: 5))
        #expect(after.siblings == before.siblings.suffix(3) && after.context == before.context)
        var joined = after
        joined.join(before)
        #expect(joined == after)
    }

    @Test("lww also drops what exceeds a record, but never the write itself")
    func dropForBytes() {
        var after = set(3, bytes: 100)
        let room = after.encodedBytes - 1
        #expect(after.bringWithin(limits(record: room), .lww) == SiblingOverflow(dropped: 1))
        #expect(after.bringWithin(limits(record: 90), .lww) == nil)
    }

    @Test("refuse changes nothing; within limits no policy does")
    func refuse() {
        var after = set(4)
        #expect(after.bringWithin(wide, .refuse) == nil && after == set(4))
        for policy in OverflowPolicy.allCases {
            var small = set(3)
            #expect(small.bringWithin(wide, policy) == SiblingOverflow.none && small == set(3))
        }
    }

    @Test("a merged value stands under the write's dot, as long as the last of them lives")
    func merged() {
        var before = SiblingSet()
        for number in 1...4 as ClosedRange<UInt64> {
            before.update(
                dot: dot(1, number), value: Array("[\"\(number % 2)\"]".utf8), expiry: 9 - number,
                context: CausalContext())
        }
        var after = before
        #expect(after.bringWithin(wide, .union) == SiblingOverflow(merged: 4))
        #expect(
            after.siblings == [
                Sibling(dot: dot(1, 4), expiry: 8, value: Array("[\"0\",\"1\"]".utf8))
            ])
        #expect(after.context == before.context)
        let tight = limits(values: 8, record: 1 << 20)
        #expect(before.bringWithin(tight, .union) == nil)
        let large = Array("[\"\(String(repeating: "x", count: 1 << 20))\"]".utf8)
        before.update(dot: dot(1, 5), value: large, expiry: 0, context: CausalContext())
        let room = limits(values: 8 << 20, record: 9 << 20)
        #expect(before.bringWithin(room, .union) == nil)
    }

    @Test(
        "what nodes write apart, each within its share, fits together whatever meets whatever when",
        arguments: OverflowPolicy.allCases)
    func shares(_ policy: OverflowPolicy) {
        let nodes = 3
        let (room, shareBytes) = (nodes * 400 + 8 + nodes * 16, 400)
        for seed in 1...40 as ClosedRange<UInt64> {
            var random = PRNG(seed: seed)
            var states = Array(repeating: SiblingSet(), count: nodes)
            var contexts = [CausalContext()]
            for time in 1...200 as ClosedRange<UInt64> {
                let (here, other) = (random.below(nodes), random.below(nodes))
                if random.below(4) == 0 {
                    states[here].join(states[other])
                    #expect(states[here].encodedBytes <= room)
                    continue
                }
                var written = states[here]
                written.update(
                    dot: dot(UInt16(here + 1), time),
                    value: Array(repeating: 120, count: random.below(350)), expiry: 0,
                    context: contexts[random.below(contexts.count)])
                let limits = SiblingLimits(
                    siblingsMax: 100, valueBytesMax: 1_000, bodyBytesMax: room,
                    share: .init(node: NodeID(UInt16(here + 1)), bytesMax: shareBytes))
                guard written.bringWithin(limits, policy) != nil else { continue }
                states[here] = written
                contexts.append(written.context)
            }
        }
    }
}
