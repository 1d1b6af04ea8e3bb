import Base
import Testing

@testable import Causality

@Suite("Sibling sets")
struct SiblingSetTests {
    private func values(_ set: SiblingSet) -> [[UInt8]] { set.siblings.map(\.value) }

    @Test("a write replaces what its writer had read, and nothing else (Preguiça 2010, §3)")
    func writeReplacesWhatWasRead() {
        var set = SiblingSet(dot: dot(1, 1), value: [1])
        let read = set.context
        set.update(dot: dot(1, 2), value: [2], expiry: 0, context: read)
        #expect(values(set) == [[2]])
        set.update(dot: dot(1, 3), value: [3], expiry: 0, context: read)
        #expect(values(set) == [[2], [3]])
        set.update(dot: dot(1, 4), value: [4], expiry: 0, context: set.context)
        #expect(values(set) == [[4]])
    }

    @Test("two clients that read the same through one server both keep their writes")
    func oneServerTwoClients() {
        var set = SiblingSet()
        set.update(dot: dot(1, 1), value: [1], expiry: 0, context: CausalContext())
        set.update(dot: dot(1, 2), value: [2], expiry: 0, context: CausalContext())
        #expect(values(set) == [[1], [2]])
        #expect(set.context.entries == [dot(1, 2)])
    }

    @Test("a delete wins over what it saw, also where it arrives first, and over nothing else")
    func delete() {
        let first = SiblingSet(dot: dot(1, 1), value: [1])
        var deleted = first
        deleted.delete(dot: dot(2, 2), context: first.context)
        #expect(deleted.isTombstone && deleted.siblings.isEmpty)
        var late = deleted
        late.join(first)
        #expect(late == deleted)
        late.join(SiblingSet(dot: dot(3, 1), value: [3]))
        #expect(values(late) == [[3]])
    }

    @Test("every history of two replicas up to five steps, and of three up to four, is exact")
    func exhaustive() {
        #expect(explore(World(replicas: 2), depth: 5) > 70_000)
        #expect(explore(World(replicas: 3), depth: 4) > 70_000)
    }

    /// Walks all histories: blind and informed writes, informed deletes, messages.
    private func explore(_ world: World, depth: Int) -> Int {
        guard world.agree else {
            Issue.record("the sets differ from the histories: \(world)")
            return 0
        }
        guard depth > 0 else { return 1 }
        var count = 1
        for replica in world.sets.indices {
            var blind = world
            blind.write(at: replica, reader: 0, value: true)
            count += explore(blind, depth: depth - 1)
            for value in [true, false] {
                var informed = world
                informed.read(at: replica)
                informed.write(at: replica, reader: informed.contexts.count - 1, value: value)
                count += explore(informed, depth: depth - 1)
            }
            for target in world.sets.indices where target != replica {
                var sent = world
                sent.send(from: replica, to: target)
                count += explore(sent, depth: depth - 1)
            }
            if let stale = world.contexts.indices.dropFirst().first {
                var old = world
                old.write(at: replica, reader: stale, value: true)
                count += explore(old, depth: depth - 1)
            }
        }
        return count
    }

    @Test(
        "random histories with stale readers, restarts and lost memory are exact",
        arguments: 0..<8)
    func randomHistories(seed: UInt64) {
        var random = PRNG(seed: seed)
        for _ in 0..<40 {
            var world = World(replicas: 2 + random.below(4))
            for step in 0..<60 {
                randomStep(&world, &random, step)
                guard world.agree else {
                    Issue.record("seed \(seed), step \(step)")
                    return
                }
            }
            heal(&world)
            #expect(world.agree)
            #expect(Set(world.sets.map(\.siblings.count)).count == 1)
            #expect(world.sets.allSatisfy { $0 == world.sets[0] })
        }
    }

    private func randomStep(_ world: inout World, _ random: inout PRNG, _ step: Int) {
        let replica = random.below(world.sets.count)
        switch random.below(10) {
        case 0...3:
            let reader = random.below(world.contexts.count)
            world.write(at: replica, reader: reader, value: random.chance(perMille: 800))
        case 4, 5: world.read(at: replica)
        case 6:
            guard random.chance(perMille: 200) else { return }
            let node = world.identities[replica].node.rawValue
            world.lose(at: replica, identity: identity(node, UInt64(step) + 2))
        default: world.send(from: replica, to: random.below(world.sets.count))
        }
    }

    private func heal(_ world: inout World) {
        for replica in world.sets.indices { world.send(from: replica, to: 0) }
        for replica in world.sets.indices { world.send(from: 0, to: replica) }
    }
}
