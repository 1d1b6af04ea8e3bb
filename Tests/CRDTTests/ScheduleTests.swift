import Base
import Glibc
import Testing

@testable import CRDT

@Suite("Random schedules against the oracle")
struct ScheduleTests {
    /// `QUORATE_SCHEDULES` asks for another number a type, `QUORATE_SEED` for one seed.
    static let count = number("QUORATE_SCHEDULES") ?? 200

    private static func number(_ name: String) -> UInt64? {
        getenv(name).flatMap { UInt64(String(cString: $0)) }
    }

    @Test(
        "replicas show what the operations they have seen mean, and converge",
        arguments: Profile.allCases)
    func schedules(_ profile: Profile) {
        let seeds = Self.number("QUORATE_SEED").map { $0..<($0 + 1) } ?? 0..<Self.count
        var reached: Set<World.Reach> = []
        for seed in seeds {
            var world = World(seed: seed)
            world.run(profile)
            if let failure = world.failure {
                Issue.record("\(profile) seed \(seed): \(failure)")
                return
            }
            reached.formUnion(world.reached)
        }
        if seeds.count < 200 { return }
        let missed = Set(World.Reach.allCases)
            .subtracting(reached).subtracting([.compacted, .refuted])
        #expect(missed.subtracting(profile == .mixed ? [] : [.conflict]) == [])
    }

    @Test(
        "so they do when each forgets what is settled in its own time, and end with equal bytes",
        arguments: Profile.allCases)
    func compacting(_ profile: Profile) {
        let seeds = Self.number("QUORATE_SEED").map { $0..<($0 + 1) } ?? 0..<Self.count
        var reached: Set<World.Reach> = []
        for seed in seeds {
            var world = World(seed: seed)
            world.compacts = true
            world.run(profile)
            world.compactAll()
            if let failure = world.failure {
                Issue.record("\(profile) seed \(seed): \(failure)")
                return
            }
            reached.formUnion(world.reached)
        }
        #expect(reached.contains(.compacted))
    }

    @Test(
        "a replica on an old copy, written to since, comes to show what all the others know",
        arguments: Profile.allCases)
    func oldCopies(_ profile: Profile) {
        let seeds = Self.number("QUORATE_SEED").map { $0..<($0 + 1) } ?? 0..<Self.count
        var reached: Set<World.Reach> = []
        for seed in seeds {
            var world = World(seed: seed)
            (world.compacts, world.returnsOld) = (true, true)
            world.run(profile)
            if let failure = world.failure {
                Issue.record("\(profile) seed \(seed): \(failure)")
                return
            }
            reached.formUnion(world.reached)
        }
        #expect(reached.contains(.refuted))
    }
}
