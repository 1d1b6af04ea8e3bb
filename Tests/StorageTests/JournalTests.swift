import Base
import Simulator
import Storage
import Testing

@Suite struct JournalTests {
    @Test("positions rise by one, and are durable only when the job that carries them is completed")
    func durability() throws {
        var world = World()
        let positions = [world.append([1]), world.append([2])]
        #expect(positions == [1, 2])
        let next = world.journal.nextJob()
        let job = try #require(next)
        #expect(world.journal.durablePosition == 0)
        try job.run(on: world.disk)
        #expect(world.journal.durablePosition == 0)
        world.journal.completed(.success(()))
        #expect(world.journal.durablePosition == 2)
        #expect(world.journal.counters.batches == 1)
        #expect(world.journal.counters.records == 2)
    }

    @Test("while one batch is on its way the next gathers, and no second job is handed out")
    func gathering() throws {
        var world = World()
        world.append([1])
        let next = world.journal.nextJob()
        let job = try #require(next)
        world.append([2])
        let idle1 = world.journal.nextJob()
        #expect(idle1?.operations.count == nil)
        #expect(world.journal.gatheredBytes > 0)
        world.run(job)
        #expect(world.journal.durablePosition == 1)
        world.settle()
        #expect(world.journal.durablePosition == 2)
        #expect(world.journal.gatheredBytes == 0)
        #expect(try Recovered(world.disk).payloads == [[1], [2]])
    }

    @Test("without flush nothing is written until it is asked for")
    func interval() {
        var world = World()
        world.append([1])
        let idle2 = world.journal.nextJob(flush: false)
        #expect(idle2?.operations.count == nil)
        #expect(world.journal.durablePosition == 0)
        world.settle()
        #expect(world.journal.durablePosition == 1)
    }

    @Test("more than a batch is split, and empty and largest records survive")
    func sizes() throws {
        var world = World()
        let largest = payload(1, count: world.limits.recordBytesMax)
        let payloads = [[], largest, [], largest, payload(2, count: 5000), payload(3, count: 5000)]
        for payload in payloads { world.append(payload) }
        world.settle()
        #expect(world.journal.durablePosition == 6)
        #expect(try Recovered(world.disk).payloads == payloads)
    }

    @Test("records of zeros, and of nearly nothing but zeros, survive")
    func zeros() throws {
        var world = World()
        var faint = [UInt8](repeating: 0, count: 3000)
        faint[1700] = 4
        let ones = [UInt8](repeating: 255, count: 2000)
        world.sync([[UInt8](repeating: 0, count: 4000), faint, ones])
        #expect(try Recovered(world.disk).payloads == world.accepted)
    }

    @Test("the directory holds the segments that its journal fills, one prepared ahead")
    func segments() throws {
        var world = World()
        world.sync((0..<20).map { payload($0, count: 6000) })
        #expect(world.journal.counters.segmentsPrepared > 5)
        let recovered = try world.restart(salt: 9)
        #expect(recovered.payloads == world.accepted)
        #expect(recovered.report.lastPosition == 20)
        world.settle()
        world.sync([[1, 2, 3]])
        #expect(try Recovered(world.disk).payloads == world.accepted)
    }

    @Test("a failed sync is never reported durable, and nothing is after it")
    func failedSync() {
        var world = World()
        world.sync([[1]])
        world.append([2])
        world.disk.failNextSync = true
        world.settle()
        #expect(world.journal.failure != nil)
        #expect(world.journal.durablePosition == 1)
        let before = world.disk.operations
        world.append([3])
        world.journal.retryPreparing()
        world.settle()
        #expect(world.journal.durablePosition == 1)
        #expect(world.disk.operations == before, "no retry")
    }

    @Test("a failed write ends the journal as well")
    func failedWrite() {
        var world = World()
        world.append([1])
        world.disk.failNextWrite = true
        world.settle()
        #expect(world.journal.failure != nil)
        #expect(world.journal.durablePosition == 0)
    }

    @Test("a full disk refuses ahead of need, keeps what was accepted, and clears by itself")
    func fullDisk() throws {
        var world = World()
        world.disk.faults.capacityBytes = 100 * 1024
        var number = 0
        while world.journal.room == .free, number < 100 {
            world.sync([payload(number, count: 3000)])
            number += 1
        }
        #expect(world.journal.room == .deletions)
        #expect(number > 8)
        #expect(world.journal.failure == nil)
        #expect(world.journal.durablePosition == UInt64(number), "all that was accepted fits")
        world.append(payload(500, count: world.limits.recordBytesMax))
        world.settle()
        #expect(world.journal.durablePosition == UInt64(number) + 1, "and so does the reserve")
        world.disk.faults.capacityBytes = nil
        let idle3 = world.journal.nextJob()
        #expect(idle3?.operations.count == nil, "the caller paces the retries")
        world.journal.retryPreparing()
        world.settle()
        #expect(world.journal.room == .free)
        world.sync([[1]])
        #expect(try Recovered(world.disk).payloads == world.accepted)
    }
}
