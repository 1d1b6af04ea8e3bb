import Base
import Ring
import Testing

@testable import Replication

@Suite("A range whose expiries are gathered anew is walked some values a step")
struct ExpiryGatherTests {
    let a = NodeID(1)

    @Test("a queue takes a range's values in pieces, and knows then how many it has")
    func pieces() {
        var queue = ExpiryQueue()
        let range = KeyRange(7)
        for hash in 0..<200 { queue.note(1_000 + UInt64(hash), UInt64(hash), range) }
        #expect(queue.crowded == range)
        #expect(queue.beginGathering()?.hash == 0)
        #expect(queue.count == 0)
        let values = (0..<20).map { ExpiryQueue.Entry(expiry: 500, hash: UInt64($0)) }
        queue.gather(values, upTo: 20)
        #expect(queue.beginGathering()?.hash == 20)
        queue.note(400, 3, range)
        queue.gather(values, upTo: nil)
        #expect(queue.count == 41)
        #expect(queue.crowded == nil)
        #expect(queue.beginGathering() == nil)
        #expect(queue.take(through: 450, countMax: 100).map(\.hash) == [3])
        #expect(queue.take(through: 2_000, countMax: 100).count == 40)
    }

    @Test("no step looks at more values than the budget for one allows, and all expire in the end")
    func steps() {
        let cluster = Cluster(1) { $0.workUnitsMax = 256 }
        let keys = 2_000
        for round in 1...3 {
            for key in 0..<keys {
                let line = "SET {t}\(key) v PX \(60_000 + round * 10 + key)"
                #expect(cluster.run(a, line) == "+OK\r\n")
            }
        }
        var (most, before) = (0, cluster.with(a) { $0.expiries.count })
        var wasGathered = false
        for _ in 0..<2_000 {
            cluster.pass(milliseconds: 5, by: 5)
            let count = cluster.with(a) { $0.expiries.count }
            most = max(most, count < before ? count : count - before)
            wasGathered = wasGathered || count < before
            before = count
        }
        #expect(wasGathered)
        #expect(most <= 2 * 256 / WorkBudget.recordUnits)
        #expect(before <= 2 * keys + 64)
        cluster.pass(milliseconds: 80_000, by: 100)
        #expect(cluster.run(a, "DBSIZE") == ":0\r\n")
        #expect(cluster.with(a) { $0.store.count } == 0)
    }
}
