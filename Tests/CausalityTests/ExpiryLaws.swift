import Base
import Testing

@testable import Causality

@Suite("An expiry is merged apart from its value")
struct ExpiryLaws {
    /// Every plain state over two writes, one deletion and two changes of an expiry.
    private static let states: [[UInt8]] = {
        let written = [dot(1, 1), dot(2, 3)]
        let changes = [dot(1, 4), dot(2, 2), dot(2, 5)]
        var sets: [SiblingSet] = []
        for (write, value) in zip(written, [[1], [2]] as [[UInt8]]) {
            let original = SiblingSet(dot: write, value: value, expiry: 7)
            sets.append(original)
            for change in changes where write < change {
                var set = original
                set.expire(at: UInt64(change.stamp.rawValue), [write], dot: change)
                sets.append(set)
            }
        }
        sets.append(SiblingSet(dot: dot(1, 2), value: nil))
        for set in sets {
            var spent = set
            let isNew = spent.spend(before: 100)
            if isNew { sets.append(spent) }
        }
        // What each has seen of a change that was given to another value.
        for set in sets {
            for change in changes where set.newest.map({ $0 < change }) ?? false {
                var seen = set
                seen.expire(at: 9, [], dot: change)
                sets.append(seen)
            }
        }
        var distinct: [[UInt8]] = []
        for bytes in sets.map({ encoded($0) }) where !distinct.contains(bytes) {
            distinct.append(bytes)
        }
        return distinct
    }()

    @Test(
        "merging plain states is commutative, associative, idempotent and inflationary",
        arguments: [ConflictPolicy.lww, .siblings])
    func laws(policy: ConflictPolicy) {
        let states = ExpiryLaws.states
        #expect(states.count > 20)
        for a in states {
            if policy == .siblings || a[4] & 2 == 0 { #expect(merged(a, a, policy).bytes == a) }
            for b in states {
                let ab = merged(a, b, policy).bytes
                #expect(ab == merged(b, a, policy).bytes)
                #expect(merged(ab, a, policy).bytes == ab)
                for c in states {
                    let left = merged(ab, c, policy).bytes
                    guard left == merged(a, merged(b, c, policy).bytes, policy).bytes else {
                        Issue.record("\(a), \(b) and \(c) depend on the order")
                        return
                    }
                }
            }
        }
    }

    @Test("what one merge makes of plain states, a record can hold and give back")
    func validated() throws {
        for a in ExpiryLaws.states {
            for b in ExpiryLaws.states {
                for policy in [ConflictPolicy.lww, .siblings] {
                    let bytes = merged(a, b, policy).bytes
                    let set = try bytes.withUnsafeBytes {
                        try SiblingSet(record: try Record(validating: $0))
                    }
                    set.checkInvariants()
                    #expect(encoded(set) == bytes)
                }
            }
        }
    }

    /// A: v at 1, replaced by w at 3; B lets v expire at 4, and has not seen w.
    private let replaced = SiblingSet(dot: dot(1, 3), value: [2])
    private var given: SiblingSet {
        var set = SiblingSet(dot: dot(1, 1), value: [1])
        set.expire(at: 50, [dot(1, 1)], dot: dot(2, 4))
        return set
    }

    @Test("an expiry that was given to an older value changes nothing of a newer one")
    func olderValue() {
        let result = merged(encoded(replaced), encoded(given), .lww).bytes
        let set = decoded(result)
        #expect(set.siblings == [Sibling(dot: dot(1, 3), expiry: 0, value: [2])])
        #expect(set.newest == dot(2, 4))
    }

    @Test("it makes no sibling of a value that was replaced")
    func noSibling() {
        var newer = SiblingSet(dot: dot(1, 1), value: [1])
        newer.update(dot: dot(1, 3), value: [2], expiry: 0, context: newer.seen)
        let set = decoded(merged(encoded(newer), encoded(given), .siblings).bytes)
        #expect(set.siblings == [Sibling(dot: dot(1, 3), expiry: 0, value: [2])])
    }

    @Test("it brings back nothing that was deleted", arguments: [ConflictPolicy.lww, .siblings])
    func deleted(policy: ConflictPolicy) {
        var set = SiblingSet(dot: dot(1, 1), value: [1])
        set.delete(dot: dot(1, 3), context: set.seen)
        #expect(decoded(merged(encoded(set), encoded(given), policy).bytes).isTombstone)
    }

    @Test("of two expiries the later given one counts", arguments: [ConflictPolicy.lww, .siblings])
    func later(policy: ConflictPolicy) {
        var persisted = SiblingSet(dot: dot(1, 1), value: [1])
        persisted.expire(at: 0, [dot(1, 1)], dot: dot(1, 5))
        let set = decoded(merged(encoded(persisted), encoded(given), policy).bytes)
        #expect(set.siblings.map(\.expiry) == [0])
        #expect(set.siblings.map(\.value) == [[1]])
    }

    @Test(
        "what is left of an elapsed value wins over it, and gives way to a life that was prolonged",
        arguments: [ConflictPolicy.lww, .siblings])
    func spent(policy: ConflictPolicy) {
        var left = given
        _ = left.spend(before: 60)
        #expect(left.isTombstone)
        #expect(encoded(left).count == encoded(given).count - 1)
        #expect(decoded(merged(encoded(given), encoded(left), policy).bytes) == left)
        var prolonged = given
        prolonged.expire(at: 500, [dot(1, 1)], dot: dot(1, 6))
        let set = decoded(merged(encoded(left), encoded(prolonged), policy).bytes)
        #expect(set.siblings.map(\.value) == [[1]])
        #expect(set.siblings.map(\.expiry) == [500])
    }

    @Test("a plain value that nobody gave another expiry is as small as ever")
    func small() {
        let set = SiblingSet(dot: dot(1, 1), value: [1, 2], expiry: 5)
        #expect(encoded(set).count == Record.headerBytes + 1 + 2)
        var left = set
        _ = left.spend(before: 5)
        #expect(encoded(left).count == Record.headerBytes + 1)
        #expect(decoded(encoded(left)) == left)
    }

    @Test("replicas that let go of a value at different moments do not look different")
    func digests() {
        var left = given
        _ = left.spend(before: 60)
        for (a, b) in [(given, left)] {
            #expect(digest(a) == digest(b))
        }
        var other = given
        other.expire(at: 50, [dot(1, 1)], dot: dot(1, 6))
        #expect(digest(given) != digest(other))
    }

    private func digest(_ set: SiblingSet) -> UInt64 {
        encoded(set).withUnsafeBytes { bytes in
            bytes.baseAddress.map { Record(at: $0).digest } ?? 0
        }
    }

    private func decoded(_ bytes: [UInt8]) -> SiblingSet {
        bytes.withUnsafeBytes { bytes in
            bytes.baseAddress.map { SiblingSet(valid: Record(at: $0)) } ?? SiblingSet()
        }
    }
}
