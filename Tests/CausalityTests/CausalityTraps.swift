import Base
import Testing

@testable import Causality

@Suite("TRAPS.md at the level of the algebra")
struct CausalityTraps {
    private let nothing = CausalContext()

    @Test("3: a replica that lost its copy mints under a new identity, and nothing is lost")
    func lostCopy() {
        let acknowledged = SiblingSet(dot: dot(1, 100), value: [1])
        var returned = SiblingSet()
        returned.update(dot: dot(1, 101, epoch: 2), value: [2], expiry: 0, context: nothing)
        var other = acknowledged
        other.join(returned)
        #expect(other.siblings.map(\.value) == [[1], [2]])
    }

    @Test("3: under its old identity the same write would swallow an acknowledged one")
    func lostCopyUnderTheOldIdentity() {
        var returned = SiblingSet()
        returned.update(dot: dot(1, 101), value: [2], expiry: 0, context: nothing)
        returned.join(SiblingSet(dot: dot(1, 100), value: [1]))
        #expect(returned.siblings.map(\.value) == [[2]], "this is why the identity has an epoch")
    }

    @Test("3: a counter that starts again below what was seen does no harm under a new identity")
    func counterStartsAgain() {
        var original = SiblingSet(dot: dot(1, 5_000), value: [1])
        let reader = original.context
        var returned = SiblingSet()
        returned.update(dot: dot(1, 1, epoch: 2), value: [2], expiry: 0, context: nothing)
        original.join(returned)
        original.update(dot: dot(2, 5_001), value: [3], expiry: 0, context: reader)
        #expect(original.siblings.map(\.value) == [[2], [3]])
    }

    @Test("4: a cloned disk and its original mint different dots, and both writes stay")
    func clonedDisk() {
        let before = SiblingSet(dot: dot(1, 10), value: [0])
        var original = before
        original.update(dot: dot(1, 11), value: [1], expiry: 0, context: before.context)
        var clone = before
        clone.update(dot: dot(1, 11, epoch: 2), value: [2], expiry: 0, context: before.context)
        original.join(clone)
        #expect(original.siblings.map(\.value) == [[1], [2]])
        #expect(dot(1, 11) != dot(1, 11, epoch: 2))
    }

    @Test("4: two contents under one dot, which must never be, still end the same everywhere")
    func oneDotTwice() {
        let dots = dot(1, 5)
        let states = [
            SiblingSet(dot: dots, value: [1]), SiblingSet(dot: dots, value: [2]),
            SiblingSet(dot: dots, value: [1], expiry: 7), SiblingSet(dot: dots, value: nil),
        ].map(encoded)
        for policy in [ConflictPolicy.lww, .siblings] {
            for (a, low) in states.enumerated() {
                for high in states[a...] {
                    #expect(merged(low, high, policy).bytes == high)
                    #expect(merged(high, low, policy).bytes == high)
                }
            }
        }
    }

    @Test("7: what a clock an hour ahead stamps is refused elsewhere and restamped at home")
    func clockAnHourAhead() {
        let now: UInt64 = 1_700_000_000_000
        var ahead = HybridLogicalClock(milliseconds: now)
        let future = ahead.tick(now + 3_600_000)
        var stored = SiblingSet(dot: Dot(identity: identity(1), stamp: future), value: nil)

        var other = HybridLogicalClock(milliseconds: now)
        #expect(other.observe(future, now) == false)
        let write = SiblingSet(dot: Dot(identity: identity(2), stamp: other.tick(now)), value: [1])
        #expect(merged(encoded(stored), encoded(write), .lww).bytes != encoded(write))

        ahead.restart(now)
        let limit = Stamp(milliseconds: now + ahead.forwardDriftMax)
        #expect(ahead.observe(limit, now) == true)
        stored.restamp(retired: [identity(1)], after: limit) { _ in
            Dot(identity: identity(1, 2), stamp: ahead.tick(now))
        }
        stored.checkInvariants()
        #expect(stored.isTombstone)
        for entry in stored.context.entries { #expect(other.observe(entry.stamp, now) == true) }
        let next = SiblingSet(dot: Dot(identity: identity(2), stamp: other.tick(now)), value: [2])
        #expect(merged(encoded(stored), encoded(next), .lww).bytes == encoded(next))
    }

    @Test("7: restamping renames what is ahead, keeps the rest, and resurrects nothing")
    func restamp() {
        var set = SiblingSet(dot: dot(1, 10), value: [0])
        let replaced = set
        set.update(dot: dot(2, 20), value: [1], expiry: 3, context: nothing)
        set.update(dot: dot(1, 900), value: [2], expiry: 4, context: replaced.context)
        set.update(dot: dot(1, 950), value: [3], expiry: 5, context: nothing)
        let untouched = set
        set.restamp(retired: [identity(3)], after: Stamp(rawValue: 100)) { _ in
            dot(3, 101, epoch: 2)
        }
        set.restamp(retired: [identity(1)], after: Stamp(rawValue: 950)) { _ in
            dot(1, 951, epoch: 2)
        }
        #expect(set == untouched)
        var next: UInt64 = 100
        set.restamp(retired: [identity(1)], after: Stamp(rawValue: 100)) { _ in
            next += 1
            return dot(1, next, epoch: 2)
        }
        set.checkInvariants()
        #expect(
            set.siblings.map(\.dot) == [
                dot(2, 20), dot(1, 101, epoch: 2), dot(1, 102, epoch: 2),
            ])
        #expect(set.siblings.map(\.expiry) == [3, 4, 5])
        #expect(set.context.newest == dot(1, 102, epoch: 2))
        var healed = set
        healed.join(replaced)
        #expect(healed == set)
    }

    @Test("8: equal stamps are decided by identity, the same in every merge order")
    func equalStamps() {
        let states = (1...4).map { node in
            encoded(SiblingSet(dot: dot(UInt16(node), 5), value: [UInt8(10 - node)]))
        }
        var random = PRNG(seed: 3)
        for _ in 0..<50 {
            let order = states.shuffled(using: &random)
            var held: [UInt8]?
            for record in order { held = merged(held, record, .lww).bytes }
            #expect(held == states[3])
        }
    }

    @Test("lww says how many concurrent values it dropped when it meets sibling sets")
    func droppedValues() {
        var set = SiblingSet(dot: dot(1, 1), value: [1])
        set.join(SiblingSet(dot: dot(2, 2), value: [2]))
        set.join(SiblingSet(dot: dot(3, 3), value: [3]))
        let alone = merged(nil, encoded(set), .lww)
        #expect(alone.bytes == encoded(SiblingSet(dot: dot(3, 3), value: [3])))
        #expect(alone.droppedValues == 2)
        let newer = encoded(SiblingSet(dot: dot(4, 4), value: [4]))
        #expect(merged(encoded(set), newer, .lww) == Merged(bytes: newer, droppedValues: 3))
        var replacing = set
        replacing.update(dot: dot(4, 4), value: [4], expiry: 0, context: set.context)
        #expect(merged(encoded(set), encoded(replacing), .lww).droppedValues == 0)
    }

    @Test("7: where the newest write counts, restamping keeps the value and its expiry, renamed")
    func restampNewest() {
        let late = dot(1, 900)
        for (written, given) in [(late, dot(1, 950)), (dot(2, 50), late), (late, nil)] {
            for value in [[1], nil] as [[UInt8]?] {
                var set = SiblingSet(dot: written, value: value, expiry: given == nil ? 5 : 0)
                if let given { set.expire(at: 7, [written], dot: given) }
                let before = set
                var minted: UInt64 = 100
                set.restampNewest(
                    where: { $0.identity == identity(1) && $0.stamp > Stamp(rawValue: 500) },
                    mint: { _ in
                        minted += 1
                        return dot(1, minted, epoch: 2)
                    })
                set.checkInvariants()
                #expect(set.siblings.map(\.value) == before.siblings.map(\.value))
                #expect(set.expiry == before.expiry)
                #expect(set.newest.map { $0.stamp < Stamp(rawValue: 500) } == true)
                #expect(set.seen.entries.allSatisfy { $0.stamp < Stamp(rawValue: 500) })
                #expect(set.siblings.allSatisfy { $0.dot == set.context.newest })
            }
        }
    }

    /// What three replicas may hold of a key.
    private func states(_ random: inout PRNG) -> [SiblingSet] {
        var world = World(replicas: 3)
        for _ in 0..<(1 + random.below(14)) {
            let (replica, other) = (random.below(3), random.below(3))
            switch random.below(6) {
            case 0, 1:
                let reader = random.below(world.contexts.count)
                world.write(at: replica, reader: reader, value: random.below(4) > 0)
            case 2: world.read(at: replica)
            case 3: world.expire(at: replica, UInt64(1 + random.below(9)))
            default: world.send(from: replica, to: other)
            }
        }
        return world.sets.filter { !$0.context.isEmpty }
    }

    @Test("7: what is restamped is a state that can be written down, and holds the same values")
    func restampedStates() {
        var random = PRNG(seed: 7)
        for _ in 0..<3_000 {
            for before in states(&random) {
                let limit = Stamp(rawValue: UInt64(1 + random.below(14)))
                let retired = (1...3).filter { _ in random.below(2) == 0 }.map { identity($0) }
                func isLate(_ dot: Dot) -> Bool {
                    limit < dot.stamp && retired.contains(dot.identity)
                }
                var last = UInt64(random.below(14))
                func mint(_ kept: Stamp) -> Dot {
                    last = max(last, kept.rawValue) + 1
                    return dot(9, last, epoch: 2)
                }
                var all = before
                all.restamp(retired: retired, after: limit, mint: mint)
                var newest = before
                newest.keepNewest()
                let written = newest
                newest.restampNewest(where: isLate, mint: mint)
                for (set, old) in [(all, before), (newest, written)] {
                    set.checkInvariants()
                    #expect((try? validated(encoded(set))) == set)
                    #expect(!set.seen.entries.contains(where: isLate))
                    let (left, had) = (set.siblings.map(\.value[0]), old.siblings.map(\.value[0]))
                    #expect(left.sorted() == had.sorted())
                    #expect(set.expiry == old.expiry)
                }
                var reduced = newest
                reduced.keepNewest()
                #expect(reduced == newest)
            }
        }
    }

    @Test("7: a session's history follows a correction, and demands nothing that no state covers")
    func correctedHistory() {
        let correction = ClockCorrection(
            retired: identity(1), limit: Stamp(milliseconds: 90), bound: 100)
        let late = Dot(identity: identity(1), stamp: Stamp(milliseconds: 900))
        let other = Dot(identity: identity(2), stamp: Stamp(milliseconds: 80))
        var history = SessionHistory(keysMax: 4)
        history.wrote(1, late, replaces: true)
        history.read(2, VersionVector(other))
        history.read(3, other, expiry: late)
        history.follow(late.stamp)
        history.correct(correction)
        #expect(history.newest == correction.limit)
        #expect(history.order == correction.limit)
        let name = Dot(identity: correction.successor, stamp: correction.limit)
        #expect(history.requirement(of: 1).seen == VersionVector(name))
        #expect(history.requirement(of: 2).seen == VersionVector(other))
        #expect(history.requirement(of: 3).expiry == correction.limit)
        let once = history
        history.correct(correction)
        #expect(history == once)
    }

    @Test("7: the last stamp has no next one, and a clock that stands there does not trap")
    func lastStamp() {
        let last = Stamp(rawValue: .max)
        #expect(last.next == last)
        var clock = HybridLogicalClock(milliseconds: 1 << 48 - 1)
        for _ in 0..<(1 << 17) { _ = clock.tick(0) }
        #expect(clock.last == last)
        for wall in [0, 1 << 47, 1 << 48, 1 << 62, UInt64.max] {
            var clock = ClusterClock(
                nodes: 3, own: 0, now: Instant(monotonic: 0, wallMilliseconds: wall))
            for other in [UInt64.max, 0, 5, UInt64.max] {
                _ = clock.advance(to: Instant(monotonic: 1_000_000, wallMilliseconds: other))
                clock.resume(after: last)
                _ = clock.observe(last)
                #expect(clock.tick() <= clock.last)
                _ = clock.reading(for: 1)
                _ = clock.correctionLimit
            }
        }
    }
}
