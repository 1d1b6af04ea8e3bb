import Base
import Glibc
import Simulator
import Storage
import Testing

@Suite struct FuzzTests {
    static var count: Int {
        guard let text = getenv("QUORATE_FUZZ"), let count = Int(String(cString: text)) else {
            return 24_000
        }
        return min(count, 1_000_000)
    }

    @Test("mutated files never trap a recovery and never yield a record that was not written")
    func mutations() throws {
        var world = World()
        world.sync([payload(0, count: 100), payload(1, count: 1500)])
        world.checkpoint()
        world.sync([[UInt8](repeating: 0, count: 1000), [], payload(2, count: 30)])
        let names = try world.disk.list().filter { $0 != "prepared.segment" }
        let originals = try names.map { try #require(world.disk.content(of: $0)) }
        let written = Set(world.accepted)
        var prng = PRNG(seed: 4711)
        var errors = 0
        for round in 0..<FuzzTests.count {
            let disk = SimulatedDisk(prng: prng.split())
            for (name, content) in zip(names, originals) { disk.place(name, content) }
            let victim = prng.below(names.count)
            disk.place(names[victim], mutated(originals[victim], &prng))
            let recovered = Recovered(trying: disk, round % 2 == 0 ? .refuse : .quarantine)
            if recovered.error != nil || !recovered.report.quarantined.isEmpty { errors += 1 }
            for payload in recovered.payloads where !written.contains(payload) {
                Issue.record("round \(round) invented \(payload.count) bytes")
            }
        }
        #expect(errors > FuzzTests.count / 4, "the mutations hit something")
    }

    private func mutated(_ original: [UInt8], _ prng: inout PRNG) -> [UInt8] {
        var bytes = original
        // Most mutations aim at the first bytes of a sector, where the headers are.
        func place() -> Int {
            if prng.below(4) == 0 { return prng.below(bytes.count) }
            return min(
                bytes.count - 1,
                (prng.below(2) == 0 ? 0 : 4096 + prng.below(16) * 512) + prng.below(64))
        }
        for _ in 0...prng.below(4) where !bytes.isEmpty {
            switch prng.below(5) {
            case 0: bytes[place()] = UInt8(truncatingIfNeeded: prng.next())
            case 1: bytes[place()] ^= 1 << UInt8(prng.below(8))
            case 2: bytes.removeLast(prng.below(bytes.count))
            case 3:
                let start = place()
                let end = min(start + prng.below(600), bytes.count)
                for offset in start..<end { bytes[offset] = 0 }
            default:
                let (from, to) = (place() & ~511, place() & ~511)
                for offset in 0..<512 where max(from, to) + offset < bytes.count {
                    bytes[to + offset] = bytes[from + offset]
                }
            }
        }
        return bytes
    }
}
