import Base
import Simulator
import Testing

@Suite struct SimulatedDiskTests {
    private func disk(_ seed: UInt64 = 1) -> SimulatedDisk { SimulatedDisk(prng: PRNG(seed: seed)) }

    private func write(_ disk: SimulatedDisk, _ name: String, at offset: Int, _ bytes: [UInt8])
        throws(DiskError)
    {
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
        defer { copy.deallocate() }
        copy.copyBytes(from: bytes)
        try disk.write(name, at: offset, UnsafeRawBufferPointer(copy))
    }

    @Test("what was synced survives a crash, file and name each by its own sync")
    func synced() throws {
        for seed in UInt64(1)...50 {
            let disk = disk(seed)
            try disk.create("a", size: 4)
            try write(disk, "a", at: 2, [1, 2, 3])
            try disk.sync("a")
            try disk.syncDirectory()
            disk.crash()
            #expect(disk.content(of: "a") == [0, 0, 1, 2, 3])
        }
    }

    @Test("an unsynced write is lost, kept, or torn between sectors and never inside one")
    func torn() throws {
        var outcomes = Set<[Bool]>()
        for seed in UInt64(1)...200 {
            let disk = disk(seed)
            try disk.create("a", size: 1536)
            try disk.sync("a")
            try disk.syncDirectory()
            try write(disk, "a", at: 0, [UInt8](repeating: 7, count: 1536))
            disk.crash()
            let content = try #require(disk.content(of: "a"))
            let sectors = stride(from: 0, to: 1536, by: 512).map { Set(content[$0..<$0 + 512]) }
            #expect(sectors.allSatisfy { $0.count == 1 })
            outcomes.insert(sectors.map { $0 == [7] })
        }
        #expect(outcomes.count == 8, "every choice of sectors occurs")
    }

    @Test("an unsynced name may be lost, and a rename is never half done")
    func names() throws {
        var outcomes = Set<[String]>()
        for seed in UInt64(1)...100 {
            let disk = disk(seed)
            try disk.create("old", size: 0)
            try disk.syncDirectory()
            try disk.rename("old", to: "new")
            try disk.create("other", size: 0)
            disk.crash()
            outcomes.insert(try disk.list())
        }
        #expect(outcomes == [["old"], ["new"], ["old", "other"], ["new", "other"]])
    }

    @Test("after a failed sync the bytes can be read, and a later sync does not write them")
    func failedSync() throws {
        var lost = 0
        for seed in UInt64(1)...100 {
            let disk = disk(seed)
            try disk.create("a", size: 512)
            try disk.sync("a")
            try disk.syncDirectory()
            try write(disk, "a", at: 0, [9])
            disk.failNextSync = true
            #expect(throws: DiskError.failed("a", errno: 5)) { try disk.sync("a") }
            #expect(disk.content(of: "a")?.first == 9)
            try disk.sync("a")
            disk.crash()
            if disk.content(of: "a")?.first == 0 { lost += 1 }
        }
        #expect(lost > 10 && lost < 90)
    }

    @Test("a full disk refuses growth, and writes into what is there go on")
    func full() throws {
        let disk = disk()
        disk.faults.capacityBytes = 1000
        try disk.create("a", size: 900)
        #expect(throws: DiskError.full("b")) { try disk.create("b", size: 101) }
        #expect(throws: DiskError.full("a")) { try write(disk, "a", at: 1000, [1]) }
        try write(disk, "a", at: 899, [1])
        try disk.remove("a")
        try disk.create("b", size: 1000)
        #expect(try disk.list() == ["b"])
    }

    @Test("reads and writes fail by rate, and a missing file is named")
    func rates() throws {
        let disk = disk()
        try disk.create("a", size: 10)
        disk.faults.readFailurePerMille = 1000
        disk.faults.writeFailurePerMille = 1000
        let target = UnsafeMutableRawBufferPointer.allocate(byteCount: 4, alignment: 1)
        defer { target.deallocate() }
        #expect(throws: DiskError.failed("a", errno: 5)) { try disk.read("a", at: 0, into: target) }
        #expect(throws: DiskError.failed("a", errno: 5)) { try write(disk, "a", at: 0, [1]) }
        #expect(throws: DiskError.notFound("b")) { try disk.size(of: "b") }
    }

    @Test("one seed, one history")
    func deterministic() throws {
        func history() throws -> [[UInt8]?] {
            let disk = disk(5)
            try disk.create("a", size: 5000)
            try disk.create("b", size: 5000)
            for round in 0..<20 {
                if disk.content(of: "a") == nil { try disk.create("a", size: 5000) }
                try write(disk, "a", at: round * 200, [UInt8](repeating: 1, count: 900))
                if round % 7 == 0 { disk.crash() }
                disk.flipRandomBit()
            }
            return [disk.content(of: "a"), disk.content(of: "b")]
        }
        #expect(try history() == history())
    }
}
