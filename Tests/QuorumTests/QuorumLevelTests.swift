import Testing

import Quorum

@Suite("Levels")
struct QuorumLevelTests {
    @Test("ONE, QUORUM and ALL follow the replication factor", arguments: [
        (1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (6, 4), (7, 4),
    ])
    func names(n: Int, majority: Int) throws {
        #expect(try QuorumLevel.one.resolve(replicationFactor: n, floor: 1) == 1)
        #expect(try QuorumLevel.quorum.resolve(replicationFactor: n, floor: 1) == majority)
        #expect(try QuorumLevel.all.resolve(replicationFactor: n, floor: 1) == n)
    }

    @Test("two quorums of one key always meet")
    func majoritiesMeet() throws {
        for n in 1...20 {
            let majority = try QuorumLevel.quorum.resolve(replicationFactor: n, floor: 1)
            #expect(2 * majority > n)
            #expect(2 * (majority - 1) <= n)
        }
    }

    @Test("a number is taken as it is, and refused outside floor…N")
    func numbers() throws {
        #expect(try QuorumLevel.count(2).resolve(replicationFactor: 3, floor: 1) == 2)
        #expect(try QuorumLevel.count(0).resolve(replicationFactor: 3, floor: 0) == 0)
        #expect(throws: QuorumLevelError.aboveReplicationFactor(4, replicationFactor: 3)) {
            try QuorumLevel.count(4).resolve(replicationFactor: 3, floor: 1)
        }
        #expect(throws: QuorumLevelError.belowFloor(0, floor: 1)) {
            try QuorumLevel.count(0).resolve(replicationFactor: 3, floor: 1)
        }
        #expect(throws: QuorumLevelError.belowFloor(-1, floor: 0)) {
            try QuorumLevel.count(-1).resolve(replicationFactor: 3, floor: 0)
        }
        #expect(throws: QuorumLevelError.belowFloor(1, floor: 2)) {
            try QuorumLevel.one.resolve(replicationFactor: 3, floor: 2)
        }
    }
}
