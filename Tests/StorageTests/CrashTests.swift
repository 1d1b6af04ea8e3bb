import Base
import Simulator
import Storage
import Testing

@Suite struct CrashTests {
    @Test("over random crashes every durable record survives, in order, and none is invented")
    func lives() throws {
        var dropped = 0
        var checkpoints = 0
        for seed in UInt64(1)...600 {
            var prng = PRNG(seed: seed)
            var world = World(seed: seed)
            for life in 0..<5 {
                live(&world, &prng)
                let durable = world.journal.durablePosition
                let appended = world.journal.lastPosition
                world.disk.crash()
                let before = world.accepted
                let recovered = try world.restart(salt: prng.next())
                let last = recovered.report.lastPosition
                #expect(last >= durable && last <= appended, "seed \(seed) life \(life)")
                let covered = Int(recovered.report.checkpointPosition ?? 0)
                dropped += recovered.report.droppedBytes > 0 ? 1 : 0
                checkpoints += covered > 0 ? 1 : 0
                #expect(recovered.fromCheckpoint.starts(with: before[..<covered]), "seed \(seed)")
                let tail = recovered.fromJournal
                #expect(Int(last) - tail.count <= covered, "seed \(seed) life \(life)")
                #expect(tail == Array(before[(Int(last) - tail.count)..<Int(last)]), "seed \(seed)")
            }
        }
        #expect(dropped > 10 && checkpoints > 10, "the rare branches were reached")
    }

    /// Appends, runs jobs, checkpoints, and stops in the middle of something.
    private func live(_ world: inout World, _ prng: inout PRNG) {
        for _ in 0..<prng.below(40) {
            switch prng.below(8) {
            case 0...2:
                let count = prng.below(10) == 0 ? 7000 : prng.below(600)
                world.append(payload(world.accepted.count, count: count))
            case 3: if world.journal.isCheckpointing { world.journal.finishCheckpoint() }
            case 4:
                if !world.accepted.isEmpty, world.journal.beginCheckpoint() {
                    world.feedCheckpoint()
                }
            default:
                if let job = world.journal.nextJob(flush: prng.below(3) > 0) { world.run(job) }
            }
        }
        world.disk.operationsUntilPowerCut = prng.below(16)
        world.settle()
    }

    private static let marker: [UInt8] = [0xAA, 0xBB]

    /// Ends a checkpoint that says something of records which are not durable yet.
    private func finish(_ world: inout World, after records: [[UInt8]]) {
        for record in records { world.append(record) }
        CrashTests.marker.withUnsafeBytes { world.journal.appendToCheckpoint($0) }
        world.journal.finishCheckpoint()
        world.settle()
    }

    /// Whether what it says is recovered without one of the records.
    private func standsAlone(_ world: inout World, _ records: [[UInt8]]) throws -> Bool {
        world.disk.crash()
        let recovered = try world.restart(salt: 3)
        let isThere = records.allSatisfy { recovered.payloads.contains($0) }
        return !isThere && recovered.fromCheckpoint.contains(CrashTests.marker)
    }

    @Test("a crash at any operation leaves no checkpoint without what it stands upon")
    func standing() throws {
        let large = JournalLimits(segmentBytes: 4 << 20, batchBytesMax: 1 << 20)
        for isLagging in [false, true] {
            var operations = 0
            var finished = false
            while !finished {
                var world = World(limits: large)
                world.sync([[1], [2]])
                _ = world.journal.beginCheckpoint()
                world.settle()
                world.feedCheckpoint()
                if isLagging { world.sync((0..<3).map { payload($0, count: 500_000) }) }
                let lags = world.journal.checkpointLagsBehind
                #expect(lags == isLagging)
                world.disk.operationsUntilPowerCut = operations
                let records = [payload(9, count: 6_000)]
                finish(&world, after: records)
                finished = world.journal.failure == nil
                let isAlone = try standsAlone(&world, records)
                #expect(!isAlone)
                operations += 1
                try #require(operations < 1_000, "the disk rests")
            }
            #expect(operations > 4)
        }
    }

    @Test("on a disk without room for the next segment a checkpoint holds what it stands upon")
    func standingOnFullDisk() throws {
        for room in stride(from: 0, to: 160 * 1024, by: 4 * 1024) {
            var world = World()
            world.sync((0..<4).map { payload($0, count: 6_000) })
            _ = world.journal.beginCheckpoint()
            world.settle()
            guard world.journal.isCheckpointing else { continue }
            world.disk.faults.capacityBytes = world.disk.usedBytes + room
            let records = (10..<16).map { payload($0, count: 7_000) }
            finish(&world, after: records)
            let isAlone = try standsAlone(&world, records)
            #expect(!isAlone)
        }
    }

    @Test("a crash at any operation around two checkpoints leaves a recoverable directory")
    func checkpoints() throws {
        var operations = 0
        var finished = false
        while !finished {
            for variant in UInt64(0)..<4 {
                var world = World(seed: variant * 1000 + UInt64(operations))
                world.sync((0..<6).map { payload($0, count: 6000) })
                world.checkpoint()
                world.sync((6..<12).map { payload($0, count: 6000) })
                world.disk.operationsUntilPowerCut = operations
                world.append([1])
                world.checkpoint()
                world.sync([[2], [3]])
                finished = world.journal.failure == nil
                let durable = Int(world.journal.durablePosition)
                world.disk.crash()
                if operations % 2 == 1 { interruptRecovery(world.disk, after: operations % 5) }
                let before = world.accepted
                let recovered = try world.restart(salt: 3)
                let covered = Int(recovered.report.checkpointPosition ?? 0)
                #expect(covered >= 6 && Int(recovered.report.lastPosition) >= durable)
                #expect(recovered.fromCheckpoint.starts(with: before[..<covered]))
                let tail = recovered.fromJournal
                let present = before[..<Int(recovered.report.lastPosition)]
                #expect(present.suffix(tail.count) == tail[...])
                #expect(tail.count >= Int(recovered.report.lastPosition) - covered)
                world.settle()
                world.sync([[9]])
                #expect(try Recovered(world.disk).payloads.last == [9])
            }
            operations += 1
        }
        #expect(operations > 15)
    }

    private func interruptRecovery(_ disk: SimulatedDisk, after operations: Int) {
        disk.operationsUntilPowerCut = operations
        _ = Recovered(trying: disk)
        disk.crash()
    }

    @Test("a checkpoint lets the segments before it go, and only the newest is read")
    func removal() throws {
        var world = World()
        world.sync((0..<30).map { payload($0, count: 6000) })
        let before = try world.disk.list().count
        world.checkpoint()
        #expect(try world.disk.list().count < before)
        #expect(try world.disk.list().filter { $0.hasPrefix("journal-") }.count == 1)
        world.sync([[1]])
        world.checkpoint()
        let recovered = try Recovered(world.disk)
        #expect(recovered.report.checkpointPosition == 31)
        #expect(recovered.fromCheckpoint == world.accepted)
        #expect(recovered.fromJournal.isEmpty, "what the checkpoint covers is read once")
        #expect(try world.disk.list().filter { $0.hasPrefix("checkpoint-") }.count == 1)
    }

    @Test("what earlier lives left behind the checkpoint counts towards the next one")
    func growsOverLives() throws {
        var world = World()
        world.sync((0..<6).map { payload($0, count: 6000) })
        world.checkpoint()
        #expect(world.journal.bytesSinceCheckpoint == 0)
        for life in 1...3 {
            _ = try world.restart(salt: UInt64(life))
            #expect(world.journal.bytesSinceCheckpoint == (life - 1) * 32 * 1024)
            world.settle()
            world.sync([[UInt8(life)]])
        }
        world.checkpoint()
        #expect(world.journal.bytesSinceCheckpoint == 0)
        #expect(try world.disk.list().filter { $0.hasPrefix("journal-") }.count == 1)
    }

    @Test("a full disk abandons a checkpoint, and the next one works")
    func fullUnderCheckpoint() throws {
        var world = World()
        world.sync((0..<10).map { payload($0, count: 6000) })
        world.disk.faults.capacityBytes = 4096 * 40
        world.checkpoint()
        #expect(world.journal.counters.checkpointsAbandoned == 1)
        #expect(world.journal.failure == nil)
        #expect(try !world.disk.list().contains { $0.contains("checkpoint") })
        world.disk.faults.capacityBytes = nil
        world.journal.retryPreparing()
        world.settle()
        world.checkpoint()
        #expect(world.journal.checkpointPosition == 10)
        #expect(try Recovered(world.disk).fromCheckpoint == world.accepted)
    }

    @Test("what a failed sync left readable in memory counts only if it is on disk")
    func afterFailedSync() throws {
        for seed in UInt64(1)...60 {
            var world = World(seed: seed)
            world.sync([[1], [2]])
            world.append([3])
            world.disk.failNextSync = true
            world.settle()
            let recovered = try world.restart(salt: 5)
            world.disk.crash()
            let again = try Recovered(world.disk)
            #expect(again.payloads == recovered.payloads, "seed \(seed)")
            #expect(recovered.payloads.starts(with: [[1], [2]]))
        }
    }
}
