import Base
import Coding
import Secrets
import Testing

@testable import Causality

@Suite("What a session has seen")
struct SessionHistoryTests {
    private static func seal(_ key: [UInt8]) -> Seal {
        Seal(key.withUnsafeBytes { MACKey($0) })
    }
    private static let seal = seal([7])

    private func dot(_ node: UInt16, _ stamp: UInt64) -> Dot {
        Dot(
            identity: ReplicaIdentity(node: NodeID(node), epoch: 1), stamp: Stamp(rawValue: stamp))
    }

    private func vector(_ dots: [Dot]) -> VersionVector {
        dots.reduce(into: VersionVector()) { $0.insert($1) }
    }

    private func token(_ history: SessionHistory, _ seal: Seal = seal) -> [UInt8] {
        var buffer = ByteBuffer()
        history.encodeToken(sealedBy: seal, into: &buffer)
        return Array(buffer.bytes)
    }

    private func history(
        _ token: [UInt8], keysMax: Int = SessionHistory.keysMax
    ) throws(DecodeError) -> SessionHistory {
        let result: Result<SessionHistory, DecodeError> = token.withUnsafeBytes { bytes in
            Result { () throws(DecodeError) in
                try SessionHistory(
                    token: bytes, sealedBy: SessionHistoryTests.seal, keysMax: keysMax)
            }
        }
        return try result.get()
    }

    private func drawn(_ random: inout PRNG, keysMax: Int) -> SessionHistory {
        var history = SessionHistory(keysMax: keysMax)
        for _ in 0..<random.below(40) {
            let dot = dot(UInt16(1 + random.below(4)), 1 + random.next() % 10_000)
            let key = UInt64(random.below(20))
            switch random.below(4) {
            case 0:
                random.below(2) == 0
                    ? history.read(key, VersionVector(dot)) : history.read(key, dot, expiry: dot)
            case 1:
                random.below(2) == 0
                    ? history.wrote(key, dot, replaces: random.below(2) == 0)
                    : history.wrote(key, dot, expiry: dot)
            case 2:
                let read = VersionVector(self.dot(5, 1 + random.next() % dot.stamp.rawValue))
                history.changed(key, dot, read: read)
            default: history.follow(dot.stamp)
            }
        }
        return history
    }

    @Test("a key that was never touched requires nothing, and one that was its dots")
    func requirement() {
        var history = SessionHistory(keysMax: 4)
        #expect(history.requirement(of: 1).isNone)
        history.wrote(1, dot(1, 10), replaces: true)
        history.wrote(1, dot(2, 20), replaces: true)
        #expect(history.requirement(of: 1).seen == vector([dot(1, 10), dot(2, 20)]))
        #expect(history.requirement(of: 2).isNone)
        history.read(1, vector([dot(1, 30), dot(2, 20), dot(3, 5)]))
        #expect(history.requirement(of: 1).seen.entries.count == 3)
        history.wrote(1, dot(1, 40), expiry: dot(1, 40))
        #expect(history.requirement(of: 1).seen == VersionVector(dot(1, 40)))
    }

    @Test("a change of an expiry is required beside the write, and does not stand for one")
    func expiry() {
        var history = SessionHistory(keysMax: 1)
        history.wrote(1, dot(1, 10), expiry: dot(1, 10))
        history.wrote(1, dot(1, 10), expiry: dot(2, 30))
        #expect(history.requirement(of: 1).seen == VersionVector(dot(1, 10)))
        #expect(history.requirement(of: 1).expiry == Stamp(rawValue: 30))
        history.read(1, dot(3, 20), expiry: dot(2, 30))
        #expect(history.requirement(of: 1).seen == VersionVector(dot(3, 20)))
        history.read(2, dot(3, 40), expiry: dot(3, 40))
        #expect(history.requirement(of: 1).floor == Stamp(rawValue: 30))
        #expect(history.requirement(of: 2).expiry == Stamp(rawValue: 0))
    }

    @Test("whatever the table has no room for is required as a floor")
    func eviction() {
        var history = SessionHistory(keysMax: 2)
        for key in 1...3 as ClosedRange<UInt64> {
            history.read(key, dot(1, key * 10), expiry: dot(1, key * 10))
        }
        #expect(history.count == 2)
        #expect(history.floor == Stamp(rawValue: 10))
        // The oldest was pushed out; it and every unknown key may have been touched up to then.
        #expect(history.requirement(of: 1).floor == Stamp(rawValue: 10))
        #expect(history.requirement(of: 99).floor == Stamp(rawValue: 10))
        // A key that was read since covers what was seen before; one only written does not.
        #expect(history.requirement(of: 2).floor == Stamp(rawValue: 0))
        history.wrote(1, dot(2, 40), replaces: true)
        #expect(history.requirement(of: 1).floor == Stamp(rawValue: 10))
    }

    /// A history without a limit, as dumb as it can be.
    private struct Oracle {
        var dots: [UInt64: [Dot]] = [:]
    }

    @Test("with whatever limit, what was seen is in the table or not above the floor")
    func nothingForgotten() {
        var random = PRNG(seed: 21)
        for keysMax in [1, 2, 3, 7] {
            var history = SessionHistory(keysMax: keysMax)
            var oracle = Oracle()
            for _ in 0..<400 {
                let dot = dot(UInt16(1 + random.below(3)), 1 + random.next() % 1_000)
                let key = UInt64(random.below(12))
                oracle.dots[key, default: []].append(dot)
                if random.below(2) == 0 {
                    history.wrote(key, dot, replaces: true)
                } else {
                    // A read covers what was required of it.
                    let all = vector(oracle.dots[key] ?? [])
                    history.read(key, all)
                }
                for (key, dots) in oracle.dots {
                    let required = history.requirement(of: key)
                    for dot in dots {
                        #expect(required.seen.contains(dot) || dot.stamp <= required.floor)
                    }
                }
            }
            #expect(history.count == keysMax)
        }
    }

    @Test("a session that takes another one's token requires what either of them did")
    func join() {
        var random = PRNG(seed: 22)
        for _ in 0..<300 {
            let a = drawn(&random, keysMax: 3)
            let b = drawn(&random, keysMax: 5)
            var both = a
            both.join(b)
            #expect(both.order == max(a.order, b.order))
            for key in 0..<20 as Range<UInt64> {
                let required = both.requirement(of: key)
                for part in [a.requirement(of: key), b.requirement(of: key)] {
                    #expect(part.floor <= required.floor)
                    for dot in part.seen.entries {
                        #expect(required.seen.contains(dot) || dot.stamp <= required.floor)
                    }
                }
            }
            var again = both
            again.join(b)
            #expect(again.floor >= both.floor)
        }
    }

    @Test("a write may replace what the session has read or written over, not written beside")
    func replaceable() {
        var history = SessionHistory(keysMax: 4)
        #expect(history.replaceable(of: 1).isEmpty)
        history.wrote(1, dot(1, 10), replaces: true)
        #expect(history.replaceable(of: 1) == VersionVector(dot(1, 10)))
        // Node 1 may hold siblings with earlier dots that this write left alone.
        history.wrote(1, dot(1, 20), replaces: false)
        #expect(history.replaceable(of: 1) == VersionVector(dot(1, 10)))
        history.read(1, VersionVector(dot(1, 20)))
        #expect(history.replaceable(of: 1) == VersionVector(dot(1, 20)))
    }

    @Test("what goes along with a command is that key's part")
    func excerpt() {
        var history = SessionHistory(keysMax: 2)
        for key in 1...4 as ClosedRange<UInt64> {
            history.wrote(key, dot(1, key), expiry: dot(1, key))
        }
        history.follow(Stamp(rawValue: 50))
        for key in 1...5 as ClosedRange<UInt64> {
            let part = history.excerpt(of: key)
            #expect(part.requirement(of: key) == history.requirement(of: key))
            #expect(part.order == history.order)
            #expect(part.count <= 1)
        }
    }

    @Test("every history survives the round trip in printable characters")
    func roundTrip() throws {
        var random = PRNG(seed: 23)
        for _ in 0..<300 {
            let original = drawn(&random, keysMax: SessionHistory.keysMax)
            let text = token(original)
            #expect(text.count <= SessionHistory.tokenBytesMax)
            #expect(
                text.allSatisfy { character in
                    (48...57).contains(character) || (65...90).contains(character)
                        || (97...122).contains(character) || character == 45 || character == 95
                })
            #expect(try history(text) == original)
        }
    }

    @Test("a smaller node takes a larger node's token and forgets nothing of it")
    func smaller() throws {
        var random = PRNG(seed: 24)
        for _ in 0..<100 {
            let original = drawn(&random, keysMax: SessionHistory.keysMax)
            let small = try history(token(original), keysMax: 2)
            #expect(small.count <= 2)
            for key in 0..<20 as Range<UInt64> {
                let required = small.requirement(of: key)
                for dot in original.requirement(of: key).seen.entries {
                    #expect(required.seen.contains(dot) || dot.stamp <= required.floor)
                }
            }
        }
    }

    @Test("a token as long as there can be has each of its keys looked at once, not once a key")
    func evictionWork() throws {
        var random = PRNG(seed: 27)
        var large = SessionHistory(keysMax: SessionHistory.keysMax)
        for key in 0..<UInt64(SessionHistory.keysMax) {
            let dots = (1...4).map { dot($0, 1 + random.next() % 1_000_000) }
            large.read(key << 8, vector(dots))
        }
        let text = token(large)
        #expect(text.count > 113_000)
        let taken = try history(text, keysMax: 256)
        #expect(taken.count == 256)
        #expect(taken.evictionWork == SessionHistory.keysMax)
        var own = SessionHistory(keysMax: 256)
        for key in 0..<256 as Range<UInt64> { own.read(key << 8 | 1, vector([dot(1, key + 1)])) }
        #expect(own.evictionWork == 0)
        own.join(taken)
        #expect(own.count == 256 && own.evictionWork == 512)
    }

    @Test("another cluster's token is refused by name, as is one of another format")
    func foreign() {
        let foreign = token(SessionHistory(keysMax: 1), SessionHistoryTests.seal([8]))
        let refusal = DecodeError.invalid(
            "session token was not given out by this cluster, or was changed")
        #expect(throws: refusal) { try history(foreign) }
        #expect(throws: DecodeError.self) { try history([]) }
        #expect(throws: DecodeError.self) { try history(Array("hello".utf8)) }
    }

    @Test("any changed, missing or added character is an error, never a trap or another history")
    func damaged() {
        var random = PRNG(seed: 25)
        for _ in 0..<3_000 {
            let original = token(drawn(&random, keysMax: 8))
            var text = original
            switch random.below(3) {
            case 0: text.removeLast(1 + random.below(text.count))
            case 1: text.append(65)
            default: text[random.below(text.count)] = UInt8(random.below(256))
            }
            if text == original { continue }
            #expect(throws: DecodeError.self) { try history(text) }
        }
    }

    @Test("a token gives away no hash of a key, and no identity")
    func opaque() throws {
        var original = SessionHistory(keysMax: 4)
        original.wrote(0x1234_5678_9ABC_DEF0, dot(1, 77), expiry: dot(1, 77))
        var plain = ByteBuffer()
        original.encode(into: &plain)
        var sealed = ByteBuffer()
        let text = token(original)
        try text.withUnsafeBytes { bytes in try Base64URL.decode(bytes, into: &sealed) }
        let (open, closed) = (Array(plain.bytes), Array(sealed.bytes))
        for start in 0...(open.count - 4) {
            let run = open[start..<start + 4]
            for place in 0...(closed.count - 4) {
                #expect(closed[place..<place + 4] != run)
            }
        }
    }

    @Test("random bytes that are sealed rightly never trap")
    func forged() {
        var random = PRNG(seed: 26)
        var accepted = 0
        for _ in 0..<5_000 {
            var plain = ByteBuffer()
            plain.append(3)
            plain.append(integer: random.next())
            plain.append(integer: random.next())
            plain.append(integer: UInt16(random.below(3)))
            for _ in 0..<random.below(90) {
                plain.append(random.below(3) == 0 ? UInt8(random.below(256)) : 0)
            }
            var text = ByteBuffer()
            let nowhere = UnsafeRawBufferPointer(start: nil, count: 0)
            let sealed = SessionHistoryTests.seal.close(plain.bytes, for: nowhere)
            sealed.withUnsafeBytes { Base64URL.encode($0, into: &text) }
            if let taken = try? history(Array(text.bytes), keysMax: 1) {
                accepted += 1
                #expect(taken.count <= 1)
            }
        }
        #expect(accepted > 0)
    }
}
