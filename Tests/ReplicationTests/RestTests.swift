import Base
import Testing

@testable import Replication

/// An idle thing costs nothing: a node that waits for nobody asks to be woken by its own deadlines
/// alone, and each of them is done when it has come.
@Suite struct RestTests {
    /// Steps whichever node is due first at its own deadline, for so many seconds.
    ///
    /// - Returns: how often each node was stepped, messages included.
    private func rest(_ cluster: Cluster, seconds: UInt64) -> Int {
        let end = cluster.time + seconds * 1_000_000_000
        cluster.frames = []
        var steps = 0
        while true {
            let due = cluster.ids.map { id in cluster.with(id) { $0.nextDeadline ?? .max } }
            guard let first = due.min(), first < end else { break }
            #expect(first > cluster.time || steps < cluster.ids.count, "the loop never sleeps")
            guard steps < 1_000_000 else { break }
            let later = max(first, cluster.time)
            for id in cluster.ids {
                cluster.wall[id, default: 0] += later / 1_000_000 - cluster.time / 1_000_000
            }
            cluster.time = later
            for (id, due) in zip(cluster.ids, due) where due <= later {
                cluster.step(id, .deadline)
                steps += 1
                let next = cluster.with(id) { $0.nextDeadline ?? .max }
                #expect(next > later, "what was due has been done")
            }
            cluster.settle()
        }
        return steps + (cluster.frames?.count ?? 0)
    }

    @Test("an idle node is woken less than 100 times a second", arguments: [1, 2, 3, 5])
    func idle(count: Int) {
        let cluster = Cluster(count)
        cluster.pass(milliseconds: 3_000, by: 10)
        #expect(rest(cluster, seconds: 10) <= 100 * 10 * count)
    }

    @Test("operations that wait wake a node no more often than none do")
    func waiting() {
        let count = 1_000
        let steps = [0, count].map { waiting in
            let cluster = Cluster(3)
            cluster.pass(milliseconds: 3_000, by: 10)
            // The other replicas take every write, and no acknowledgement comes back.
            cluster.lostKinds = [2]
            let request = Array("SET k v W ALL TIMEOUT 60000\r\n".utf8)
            for number in 0..<waiting {
                let connection = ConnectionID(UInt32(number))
                cluster.open(NodeID(1), connection)
                #expect(cluster.send(NodeID(1), connection, request) == request.count)
            }
            cluster.settle()
            let steps = rest(cluster, seconds: 10)
            #expect(cluster.with(NodeID(1)) { $0.writes.count } == waiting)
            return steps
        }
        #expect(steps[1] <= steps[0] + 100)
    }

    @Test("so is one that waits for a node which is away, and one that was taken out")
    func withoutOne() {
        let cluster = Cluster(3)
        #expect(cluster.run(NodeID(1), "SET k v") == "+OK\r\n")
        cluster.unlink(NodeID(1), NodeID(3))
        cluster.unlink(NodeID(2), NodeID(3))
        cluster.pass(milliseconds: 30_000, by: 50)
        #expect(rest(cluster, seconds: 10) <= 100 * 10 * 3)
        #expect(cluster.run(NodeID(1), "CLUSTER FORGET 3") == "+OK\r\n")
        #expect(rest(cluster, seconds: 10) <= 100 * 10 * 3)
    }
}
