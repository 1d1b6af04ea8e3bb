import Base
import Coding
import Simulator
import Storage
import Testing

@Suite struct RotTests {
    static let first = "journal-0000000000000001.segment"

    @Test("any flipped bit of a synced journal is detected, also in its last batch")
    func everyBit() throws {
        let lasts = [payload(1, count: 1100), [UInt8](repeating: 0, count: 1500), [7]]
        for last in lasts {
            var world = World()
            world.sync([payload(2, count: 90), last])
            let extents = [0..<44, 4096..<4096 + 44 + 90, 4608..<4608 + 44 + last.count]
            for extent in extents {
                for bit in extent.lowerBound * 8..<extent.upperBound * 8 {
                    world.disk.flip(RotTests.first, bit: bit)
                    let recovered = Recovered(trying: world.disk)
                    if recovered.error == nil { Issue.record("bit \(bit) of \(last.count)") }
                    world.disk.flip(RotTests.first, bit: bit)
                }
            }
            #expect(try Recovered(world.disk).payloads == world.accepted)
        }
    }

    @Test("rot is named by segment, offset and what was found")
    func named() {
        var world = World()
        world.sync([[1], [2], [3]])
        world.disk.flip(RotTests.first, bit: (4608 + 44) * 8)
        let expected = Damage(
            file: RotTests.first, offset: 4608, byteCount: 512, finding: .batchBody)
        #expect(Recovered(trying: world.disk).error == .damaged(expected))
    }

    @Test("zeros in the middle are rot, and at the end they are a torn tail")
    func zeros() throws {
        var world = World()
        world.sync([[1], [2], [3]])
        var content = try #require(world.disk.content(of: RotTests.first))
        let whole = content
        for offset in 4608..<5120 { content[offset] = 0 }
        world.disk.place(RotTests.first, content)
        #expect(Recovered(trying: world.disk).finding == .zeros)
        content = whole
        for offset in 5120..<5632 { content[offset] = 0 }
        world.disk.place(RotTests.first, content)
        #expect(try Recovered(world.disk).payloads == [[1], [2]])
        for offset in 4096..<4608 { content[offset] = 0 }
        world.disk.place(RotTests.first, content)
        #expect(Recovered(trying: world.disk).finding == .zeros)
    }

    @Test("a tail that lost a sector is dropped and counted, and never comes back as rot")
    func tornTail() throws {
        var world = World()
        world.sync([[1], payload(1, count: 2000)])
        var content = try #require(world.disk.content(of: RotTests.first))
        for offset in 5632..<6144 { content[offset] = 0 }
        world.disk.place(RotTests.first, content)
        let recovered = try world.restart(salt: 2)
        #expect(recovered.payloads == [[1]])
        #expect(recovered.report.droppedBytes == 2048)
        world.settle()
        world.sync([[5], [6]])
        #expect(try Recovered(world.disk).payloads == [[1], [5], [6]])
        #expect(try Recovered(world.disk).report.droppedBytes == 0)
    }

    @Test("a missing segment, a foreign file and an unknown format are named")
    func files() throws {
        var world = World()
        world.sync((0..<16).map { payload($0, count: 6000) })
        let names = try world.disk.list().filter { $0.hasPrefix("journal-") }
        try #require(names.count > 3)
        let gap = world.disk.copy(prng: PRNG(seed: 1))
        try gap.remove(names[1])
        guard case .missing? = Recovered(trying: gap).finding else {
            Issue.record("the gap was not seen")
            return
        }
        let headless = world.disk.copy(prng: PRNG(seed: 1))
        try headless.remove(names[0])
        guard case .missing? = Recovered(trying: headless).finding else {
            Issue.record("the missing start was not seen")
            return
        }
        var content = try #require(world.disk.content(of: names[2]))
        content[8] = 9
        world.disk.place(names[2], content)
        #expect(Recovered(trying: world.disk).finding == .fileHeader)
        let checksum = content.withUnsafeBytes {
            CRC32C.checksum(UnsafeRawBufferPointer(rebasing: $0[..<40]))
        }
        withUnsafeBytes(of: checksum.littleEndian) { content.replaceSubrange(40..<44, with: $0) }
        world.disk.place(names[2], content)
        #expect(Recovered(trying: world.disk).finding == .format(9))
        #expect(
            Recovered(trying: world.disk, .quarantine).finding == .format(9),
            "what another version wrote is never left out")
        content[0] = 0
        world.disk.place(names[2], content)
        #expect(Recovered(trying: world.disk).finding == .foreignFile)
    }

    @Test("quarantine skips what is rotten, keeps a copy, and reports it")
    func quarantine() throws {
        var world = World()
        world.sync([[1], [2], [3]])
        world.disk.flip(RotTests.first, bit: (4608 + 44) * 8)
        let recovered = try Recovered(world.disk, .quarantine)
        #expect(recovered.payloads == [[1], [3]])
        #expect(recovered.report.quarantined.map(\.offset) == [4608])
        let copy = "quarantine-\(RotTests.first)-0000000000001200"
        #expect(world.disk.content(of: copy)?.count == 512)
        world.disk.flip(RotTests.first, bit: 4096 * 8)
        #expect(try Recovered(world.disk, .quarantine).payloads == [[3]])
    }

    @Test("a segment of which nothing could be read is replaced by one of its name, and goes once")
    func replaced() throws {
        var world = World()
        world.sync([[1]])
        world.disk.flip(RotTests.first, bit: (4096 + 44) * 8)
        let recovered = try world.restart(salt: 2, .quarantine)
        #expect(recovered.payloads.isEmpty && recovered.report.segments == [1])
        world.sync((0..<10).map { payload($0, count: 6000) })
        world.checkpoint()
        #expect(world.journal.failure == nil)
        #expect(try world.disk.list().filter { $0.hasPrefix("journal-") }.count == 1)
        #expect(try Recovered(world.disk).fromCheckpoint == world.accepted)
    }

    @Test("a value that looks like a batch does not pass for one")
    func forged() throws {
        var other = World(seed: 77)
        other.sync([[1], [2], [3], [4]])
        let foreign = try #require(other.disk.content(of: RotTests.first))
        var world = World(seed: 1)
        let inner = [UInt8](repeating: 9, count: 512 - 44) + foreign[5632..<5632 + 48]
        world.sync([[1], inner])
        var content = try #require(world.disk.content(of: RotTests.first))
        for offset in 4608..<5120 { content[offset] = 0 }
        world.disk.place(RotTests.first, content)
        #expect(try Recovered(world.disk).payloads == [[1]])
    }

    @Test("a rotten or cut checkpoint is named")
    func checkpoint() throws {
        var world = World()
        world.sync([[1], [2]])
        world.checkpoint()
        let name = "checkpoint-0000000000000002.checkpoint"
        let content = try #require(world.disk.content(of: name))
        world.disk.place(name, Array(content[..<4096]))
        #expect(Recovered(trying: world.disk).finding == .incompleteCheckpoint)
        world.disk.place(name, content)
        world.disk.flip(name, bit: 4145 * 8)
        #expect(Recovered(trying: world.disk).finding == .batchBody)
    }
}

@Suite struct MalformedRecordTests {
    /// Recovers and takes every record for malformed whose first byte is 9.
    private func recover(
        _ disk: SimulatedDisk, _ policy: RecoveryPolicy
    ) throws(RecoveryError) -> (payloads: [[UInt8]], report: RecoveryReport) {
        var payloads: [[UInt8]] = []
        let report = try Recovery.run(
            on: disk, policy: policy
        ) { (payload) throws(DecodeError) in
            guard payload.first != 9 else { throw .invalid("a nine") }
            payloads.append(Array(payload))
        }
        return (payloads, report)
    }

    @Test("a malformed record is left out alone, with its place, and refused unless asked for")
    func leftOutAlone() throws {
        var world = World()
        world.sync([[1, 1], [9, 2, 2, 2], [3]])
        world.sync([[4], [5]])
        let damage = Damage(
            file: RotTests.first, offset: 4096 + 44, byteCount: 0,
            finding: .malformedRecords(count: 1, .invalid("a nine")))
        var refused: RecoveryError?
        do throws(RecoveryError) { _ = try recover(world.disk, .refuse) } catch { refused = error }
        guard case .damaged(let found) = refused else {
            Issue.record("a malformed record is damage")
            return
        }
        #expect(found.file == damage.file)
        #expect(found.finding == damage.finding)
        let (payloads, report) = try recover(world.disk, .quarantine)
        #expect(payloads == [[1, 1], [3], [4], [5]])
        #expect(report.quarantined == [found])
        #expect(report.journalRecords == 4)
        #expect(report.lastPosition == 5)
    }

    @Test("as many malformed records as there are are left out, also when it is done again")
    func many() throws {
        var world = World()
        world.sync([[9], [1], [9], [2], [9]])
        world.sync([[9]])
        let (payloads, report) = try recover(world.disk, .quarantine)
        #expect(payloads == [[1], [2]])
        #expect(report.quarantined.count == 4)
        let again = try recover(world.disk, .quarantine)
        #expect(again.payloads == payloads)
    }
}
