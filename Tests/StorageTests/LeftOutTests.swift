import Base
import Simulator
import Storage
import Testing

@Suite("What a recovery left out is known to every later start, whenever one ends")
struct LeftOutTests {
    /// Three batches, and one of them is rotten.
    private func rotten(_ batch: Int) -> World {
        var world = World()
        world.sync([[1], [2], [3]])
        world.disk.flip(RotTests.first, bit: (4096 + 512 * batch + 44) * 8)
        return world
    }

    private func marks(_ disk: SimulatedDisk) throws -> [String] {
        try disk.list().filter { $0.hasPrefix("distrust-") }
    }

    @Test("it is told behind what came before and before what came later", arguments: 0..<3)
    func place(_ batch: Int) throws {
        var world = rotten(batch)
        let first = try world.restart(salt: 2, .quarantine)
        #expect(first.payloads.count == 2 && first.distrusts == [2])
        world.settle()
        world.sync([[4]])
        for _ in 0..<3 {
            let later = try world.restart(salt: 3, .quarantine)
            #expect(later.payloads.count == 3 && later.payloads.last == [4])
            #expect(later.distrusts.contains(2), "before what was written since")
            #expect(try marks(world.disk).count >= 1)
            world.settle()
        }
    }

    @Test("a crash at any operation of the start that leaves it out", arguments: 0..<3)
    func start(_ batch: Int) throws {
        var operations = 0
        var finished = false
        while !finished {
            var world = rotten(batch)
            world.disk.operationsUntilPowerCut = operations
            if (try? world.restart(salt: 2, .quarantine)) != nil {
                world.settle()
                world.sync([[4]])
                finished = world.journal.failure == nil
            }
            world.disk.crash()
            for salt in UInt64(3)...5 {
                let later = try world.restart(salt: salt, .quarantine)
                #expect(!later.distrusts.isEmpty, "\(operations)")
                let place = later.payloads.firstIndex(of: [4]) ?? later.payloads.count
                #expect(later.distrusts.contains { $0 <= place }, "\(operations)")
                world.settle()
                world.sync([[UInt8(salt)]])
            }
            operations += 1
            try #require(operations < 200, "the disk rests")
        }
        #expect(operations > 6)
    }

    @Test("a crash at any operation around the checkpoint that holds what follows from it")
    func checkpoint() throws {
        var operations = 0
        var finished = false
        while !finished {
            var world = rotten(2)
            _ = try world.restart(salt: 2, .quarantine)
            world.settle()
            world.sync([[4]])
            world.disk.operationsUntilPowerCut = operations
            world.checkpoint()
            finished = world.journal.failure == nil
            world.disk.crash()
            if operations % 2 == 1 {
                // The start that removes the mark ends as well.
                world.disk.operationsUntilPowerCut = operations % 5
                _ = Recovered(trying: world.disk, .quarantine)
                world.disk.crash()
            }
            let later = try Recovered(world.disk, .quarantine)
            let isCovered = later.report.checkpointPosition ?? 0 > 3
            #expect(isCovered != !later.distrusts.isEmpty, "\(operations)")
            #expect(try marks(world.disk).isEmpty == isCovered, "\(operations)")
            operations += 1
            try #require(operations < 200, "the disk rests")
        }
        #expect(operations > 6)
    }

    @Test("a mark whose name is no position is left alone, and says nothing")
    func otherNames() throws {
        var world = World()
        world.sync([[1]])
        for name in ["distrust-", "distrust-1", "distrust-000000000000000g"] {
            world.disk.place(name, [])
        }
        let later = try world.restart(salt: 2)
        #expect(later.distrusts.isEmpty)
        #expect(try marks(world.disk).count == 3)
    }
}
