import Base
import Coding
import Simulator
import Storage
import Testing

@Suite struct IdentityFileTests {
    private func claim(
        _ disk: SimulatedDisk, node: UInt16 = 1, cluster: UInt64 = 7, members: UInt64 = 0,
        at wall: UInt64
    ) throws(IdentityError) -> UInt64 {
        try IdentityFile.claim(
            on: disk,
            for: .init(node: NodeID(node), clusterID: cluster, memberDigest: members),
            wallMilliseconds: wall
        ).epoch
    }

    @Test(
        "an epoch is the wall clock, or 1,024 behind the last when that is later")
    func epochs() throws {
        let disk = SimulatedDisk(prng: PRNG(seed: 1))
        #expect(try claim(disk, at: 1000) == 1000)
        #expect(try claim(disk, at: 2000) == 1000 + 1_024)
        #expect(try claim(disk, at: 5) == 1000 + 2 * 1_024)
        disk.crash()
        #expect(try claim(disk, at: 90_000) == 90_000)
    }

    @Test("another node's and another cluster's directory is refused, and so is a damaged file")
    func refusals() throws {
        let disk = SimulatedDisk(prng: PRNG(seed: 1))
        _ = try claim(disk, at: 1000)
        #expect(throws: IdentityError.otherNode(stored: NodeID(1), claimed: NodeID(2))) {
            try claim(disk, node: 2, at: 1000)
        }
        #expect(throws: IdentityError.otherCluster(stored: 7, claimed: 8)) {
            try claim(disk, cluster: 8, at: 1000)
        }
        for bit in 0..<292 * 8 {
            disk.flip("identity", bit: bit)
            #expect(throws: IdentityError.damaged("identity")) { try claim(disk, at: 1000) }
            disk.flip("identity", bit: bit)
        }
        #expect(try claim(disk, at: 1000) == 1000 + 1_024)
    }

    @Test("a file that another version wrote is told from a damaged one, whatever its layout")
    func otherVersion() throws {
        for (size, checksum) in [(4_108, true), (4_108, false), (60, true), (12, false)] {
            let disk = SimulatedDisk(prng: PRNG(seed: 1))
            var buffer = ByteBuffer(capacity: 64)
            buffer.append(integer: UInt64(0x0A54_4E45_4449_5251))
            buffer.append(integer: UInt32(3))
            for byte in 12..<UInt8(min(size, 40)) { buffer.append(byte) }
            if checksum { buffer.append(integer: CRC32C.checksum(buffer.bytes)) }
            let rest = Array(repeating: UInt8(0), count: size - buffer.count)
            disk.place("identity", Array(buffer.bytes) + rest)
            #expect(throws: IdentityError.otherFormat("identity", 3)) {
                try claim(disk, at: 1000)
            }
        }
    }

    @Test("another member list is refused until somebody says that it changed, and then is known")
    func members() throws {
        let disk = SimulatedDisk(prng: PRNG(seed: 1))
        _ = try claim(disk, members: 5, at: 1000)
        #expect(throws: IdentityError.otherMembers) { try claim(disk, members: 6, at: 1000) }
        #expect(try claim(disk, members: 5, at: 1000) == 1000 + 1_024)
        let changed = IdentityFile.Owner(node: NodeID(1), clusterID: 7, memberDigest: 6)
        _ = try IdentityFile.claim(
            on: disk, for: changed, wallMilliseconds: 1000, takesOtherMembers: true)
        #expect(try claim(disk, members: 6, at: 1000) == 1000 + 3 * 1_024)
        #expect(throws: IdentityError.otherMembers) { try claim(disk, members: 5, at: 1000) }
    }

    @Test("a start needs no room on the disk, and takes no epoch twice there either")
    func fullDisk() throws {
        for seed in UInt64(1)...100 {
            let disk = SimulatedDisk(prng: PRNG(seed: seed))
            var last = try claim(disk, at: 1)
            disk.faults.capacityBytes = disk.usedBytes
            for cut in 0..<4 {
                disk.operationsUntilPowerCut = cut
                if let epoch = try? claim(disk, at: 1) {
                    #expect(epoch > last)
                    last = epoch
                }
                disk.crash()
            }
            #expect(try claim(disk, at: 1) > last, "seed \(seed)")
        }
    }

    @Test("records without an identity are refused: an epoch could be used twice")
    func missing() {
        let disk = SimulatedDisk(prng: PRNG(seed: 1))
        disk.place("journal-0000000000000001.segment", [])
        #expect(throws: IdentityError.missing("identity")) { try claim(disk, at: 1) }
    }

    @Test("after a crash at any operation an epoch that was returned is never taken again")
    func crashes() throws {
        for seed in UInt64(0)..<200 {
            let disk = SimulatedDisk(prng: PRNG(seed: seed))
            var last: UInt64 = 0
            for cut in 0..<8 {
                disk.operationsUntilPowerCut = cut
                if let epoch = try? claim(disk, at: 1) {
                    #expect(epoch > last)
                    last = epoch
                }
                disk.crash()
            }
            #expect(try claim(disk, at: 1) > last)
            #expect(last > 0)
        }
    }
}
