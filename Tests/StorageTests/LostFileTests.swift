import Base
import Simulator
import Storage
import Testing

@Suite struct LostFileTests {
    /// A directory with several segments, the newest one named by the identity file.
    private func written() throws -> SimulatedDisk {
        var world = try World(owned: 1)
        world.sync((0..<16).map { payload($0, count: 6000) })
        #expect(try Recovered(world.disk).payloads == world.accepted)
        return world.disk.copy(prng: PRNG(seed: 1))
    }

    private func segments(_ disk: SimulatedDisk) throws -> [String] {
        try disk.list().filter { $0.hasPrefix("journal-") }
    }

    @Test("a segment cut at a batch's end, inside its padding or behind it is named")
    func cut() throws {
        for name in try segments(written()) {
            for end in [4096 + 8192, 4096 + 7000, 4096 + 6050, 32 * 1024 - 1] {
                let disk = try written()
                try disk.truncate(name, to: end)
                let recovered = Recovered(trying: disk)
                let expected = Damage(
                    file: name, offset: end, byteCount: 0, finding: .cutShort(from: 32 * 1024))
                #expect(recovered.error == .damaged(expected), "\(name) cut at \(end)")
                #expect(try !Recovered(disk, .quarantine).report.quarantined.isEmpty)
            }
        }
    }

    @Test("a deleted last segment is named, and so is a journal that is gone altogether")
    func deleted() throws {
        for count in 1...3 {
            let disk = try written()
            let names = try segments(disk)
            for name in count == 3 ? names[...] : names.suffix(count) { try disk.remove(name) }
            try World.claim(disk)
            guard case .newestMissing? = Recovered(trying: disk).finding else {
                Issue.record("\(count) segments were not missed")
                continue
            }
            #expect(try Recovered(disk, .quarantine).report.quarantined.count == 1)
        }
    }

    @Test("quarantine goes on behind a lost segment, and later starts are clean")
    func goesOn() throws {
        let disk = try written()
        try disk.remove(try #require(segments(disk).last))
        let left = try Recovered(disk, .quarantine)
        var journal = Journal(resuming: left.report, limits: World.small, salt: 9)
        _ = [UInt8](repeating: 5, count: 9).withUnsafeBytes { journal.append($0) }
        while let job = journal.nextJob() {
            try job.run(on: disk)
            journal.completed(.success(()))
        }
        #expect(try Recovered(disk).payloads.count == left.payloads.count + 1)
    }

    @Test("a start that wrote nothing is no damage, however often it is repeated")
    func empty() throws {
        let world = try World(owned: 3)
        for _ in 0..<3 {
            world.disk.crash()
            try World.claim(world.disk)
            #expect(try Recovered(world.disk).payloads.isEmpty)
        }
    }

    @Test("a crash at any operation is no damage; a segment that goes afterwards is")
    func crashes() throws {
        for seed in UInt64(1)...40 {
            for cut in 0..<40 {
                var world = try World(owned: seed)
                world.disk.operationsUntilPowerCut = cut
                world.sync((0..<5).map { payload($0, count: 6000) })
                let durable = Int(world.journal.durablePosition)
                world.disk.crash()
                world.disk.operationsUntilPowerCut = Int(seed) % 12
                if (try? World.claim(world.disk)) != nil { _ = Recovered(trying: world.disk) }
                world.disk.crash()
                try World.claim(world.disk)
                let recovered = try Recovered(world.disk)
                #expect(recovered.payloads.count >= durable, "seed \(seed) cut \(cut)")
                guard let last = try segments(world.disk).last else { continue }
                try world.disk.remove(last)
                #expect(Recovered(trying: world.disk).error != nil, "seed \(seed) cut \(cut)")
            }
        }
    }
}
