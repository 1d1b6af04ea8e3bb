import Base
import Simulator
import Storage
import Testing

/// What a journal takes of the disk, and what it does when there is no more.
@Suite struct GrowthTests {
    private let small = [UInt8](repeating: 7, count: 60)

    private func checkpoint(_ world: inout World, of state: [[UInt8]]) {
        guard world.journal.beginCheckpoint() else { return }
        for payload in state { payload.withUnsafeBytes { world.journal.appendToCheckpoint($0) } }
        world.journal.finishCheckpoint()
        world.settle()
    }

    @Test("small batches share the blocks of the file system: 512 bytes for each, not 4,096")
    func sharedBlocks() throws {
        var world = World(limits: JournalLimits(segmentBytes: 1 << 20, batchBytesMax: 8 * 1024))
        world.sync((0..<1_000).map { [UInt8(truncatingIfNeeded: $0), 1] })
        #expect(world.journal.counters.batches == 1_000)
        #expect(world.journal.counters.diskBytes == 1_000 * 512)
        #expect(try Recovered(world.disk).payloads == world.accepted)
    }

    @Test("a batch that is torn by a power cut takes no earlier batch of its block along")
    func tornBesideSynced() throws {
        var torn = 0
        for seed in UInt64(1)...400 {
            var world = World(seed: seed)
            world.sync((0..<Int(seed % 9)).map { payload($0, count: 40 + $0) })
            let durable = world.accepted
            world.append(payload(100, count: 300 + Int(seed % 7) * 400))
            world.disk.operationsUntilPowerCut = 2
            world.settle()
            world.disk.crash()
            let recovered = try Recovered(world.disk)
            #expect(recovered.payloads.starts(with: durable), "seed \(seed)")
            if recovered.report.droppedBytes > 0 { torn += 1 }
        }
        #expect(torn > 20, "some batches were torn")
    }

    /// One key overwritten for ever: the state stays, the journal would grow.
    @Test("checkpoints write no more than the journal did, and bound the directory")
    func amplification() throws {
        for stateBytes in [100, 20_000, 200_000] {
            var world = World()
            let state = (0..<max(1, stateBytes / 5_000)).map { _ in
                payload(1, count: min(stateBytes, 5_000))
            }
            let limit = 64 * 1024
            var written = 0
            var most = 0
            for _ in 0..<4_000 {
                world.append(small)
                world.settle()
                world.journal.checkpointBytesExpected = stateBytes + 4096
                if world.journal.checkpointIsDue(after: limit) {
                    checkpoint(&world, of: state)
                    written += stateBytes + 4096
                }
                most = max(most, world.disk.usedBytes)
            }
            #expect(world.journal.counters.checkpointsFinished > 2, "state of \(stateBytes)")
            #expect(
                written <= world.journal.counters.diskBytes + stateBytes + 4096,
                "state of \(stateBytes)")
            #expect(
                most <= 3 * (stateBytes + 4096) + limit + 5 * world.limits.segmentBytes,
                "state of \(stateBytes)")
        }
    }

    @Test("state that is gone gives its checkpoint back, however little was written since")
    func shrinks() throws {
        var world = World()
        world.journal.checkpointBytesExpected = 400_000
        checkpoint(&world, of: (0..<80).map { payload($0, count: 5_000) })
        let before = world.journal.checkpointIsDue(after: 64 * 1024)
        world.journal.checkpointBytesExpected = 4096
        let after = world.journal.checkpointIsDue(after: 64 * 1024)
        #expect(!before && after)
    }

    /// A disk that the journal has filled: nothing but a checkpoint can help, and nothing else has
    /// to.
    private func filled(_ capacity: Int) -> World {
        var world = World()
        world.disk.faults.capacityBytes = capacity
        var tries = 0
        while world.journal.room == .free, tries < 1_000 {
            world.sync([small])
            tries += 1
        }
        return world
    }

    @Test("a full disk takes deletions, is freed by a checkpoint, and goes on by itself")
    func freedByCheckpoint() throws {
        for capacity in stride(from: 76_000, through: 160_000, by: 1_000) {
            var world = filled(capacity)
            #expect(world.journal.room == .deletions, "\(capacity)")
            #expect(world.journal.failure == nil)
            world.sync([[1, 2, 3]])
            #expect(world.journal.durablePosition == world.journal.lastPosition, "\(capacity)")
            world.journal.checkpointBytesExpected = 64
            let isDue = world.journal.checkpointIsDue(after: 1 << 30)
            #expect(isDue, "\(capacity)")
            checkpoint(&world, of: [[9]])
            #expect(world.journal.counters.checkpointsFinished == 1, "\(capacity)")
            world.journal.retryPreparing()
            world.settle()
            #expect(world.journal.room == .free, "\(capacity)")
            world.sync([[4]])
            let recovered = try Recovered(world.disk)
            #expect(recovered.payloads == [[9], [4]], "\(capacity)")
        }
    }

    @Test("a crash at any operation while a full disk is freed loses nothing")
    func crashWhileFreed() throws {
        for capacity in [66_000, 80_000, 129_000] {
            for cut in 0..<24 {
                var world = filled(capacity)
                let last = UInt64(world.accepted.count)
                world.disk.operationsUntilPowerCut = cut
                world.journal.checkpointBytesExpected = 64
                checkpoint(&world, of: [[9]])
                world.disk.crash()
                let recovered = try world.restart(salt: 5)
                #expect(recovered.report.lastPosition == last, "\(capacity) \(cut)")
                let whole = recovered.report.checkpointPosition == last ? [[9]] : world.accepted
                #expect(recovered.payloads == whole, "\(capacity) \(cut)")
            }
        }
    }

    @Test("a node starts on a disk without any room, and a checkpoint frees it")
    func startsWhenFull() throws {
        for capacity in stride(from: 76_000, through: 130_000, by: 2_000) {
            var world = filled(capacity)
            // Another program takes the rest.
            world.disk.faults.capacityBytes = world.disk.usedBytes
            world.disk.crash()
            _ = try world.restart(salt: 2)
            world.journal.checkpointBytesExpected = 64
            world.settle()
            #expect(world.journal.failure == nil, "\(capacity)")
            world.sync([[1]])
            #expect(world.journal.durablePosition == world.journal.lastPosition, "\(capacity)")
            checkpoint(&world, of: [[9]])
            world.journal.retryPreparing()
            world.settle()
            #expect(world.journal.room == .free, "\(capacity)")
            world.sync([[4]])
            let recovered = try Recovered(world.disk)
            #expect(recovered.fromCheckpoint == [[9]], "\(capacity)")
            #expect(recovered.payloads.last == [4], "\(capacity)")
        }
    }

    @Test("while the next segment is not ready nothing more is taken, and that is no full disk")
    func busy() throws {
        var world = World()
        for _ in 0..<3 { world.append(payload(1, count: 7_000)) }
        #expect(world.journal.room == .busy)
        world.settle()
        #expect(world.journal.room == .free)
    }

    @Test("a checkpoint under way keeps up with whatever is written")
    func keepsUp() throws {
        var world = World(
            limits: JournalLimits(segmentBytes: 16 << 20, batchBytesMax: 4 << 20))
        let large = [UInt8](repeating: 5, count: 3 << 20)
        world.sync([large])
        let hasBegun = world.journal.beginCheckpoint()
        #expect(hasBegun)
        let before = world.journal.counters.diskBytes
        var fed = 0
        while fed < 24 << 20 {
            // Always more to write than the disk can take.
            while world.journal.gatheredBytes < 8 << 20 { world.append(large) }
            while world.journal.checkpointHasRoom, fed < 24 << 20 {
                [UInt8](repeating: 1, count: 256 << 10).withUnsafeBytes {
                    world.journal.appendToCheckpoint($0)
                }
                fed += 256 << 10
            }
            let job = world.journal.nextJob()
            world.run(try #require(job))
        }
        #expect(world.journal.counters.diskBytes - before <= 2 * fed)
    }
}
