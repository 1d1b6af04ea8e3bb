import Base
import Testing

@testable import Replication

@Suite("A node that is being refilled, in a keyspace with sloppy quorums")
struct SloppyRefillTests {
    private let a = NodeID(1)
    private let d = NodeID(4)

    /// Node 1 has lost its disk, and node 4, for which its refill waits, is away.
    private func refilling(_ conflict: String) throws -> Cluster {
        let cluster = Cluster(4)
        let create = "KEYSPACE CREATE s n=3 r=1 w=1 sloppy=on conflict=\(conflict)"
        #expect(cluster.run(a, create) == "+OK\r\n")
        for key in 0..<40 { #expect(cluster.run(a, "SET s:\(key) v") == "+OK\r\n") }
        cluster.isolate(d)
        for other in cluster.ids where other != d { cluster.unlink(d, other) }
        cluster.pass(milliseconds: 2_000, by: 20)
        try cluster.restart(a, epoch: 2, on: [])
        cluster.unlink(a, d)
        cluster.pass(milliseconds: 2_000, by: 20)
        #expect(cluster.with(a) { $0.isRefilling })
        return cluster
    }

    @Test("what it does not execute itself another node does", arguments: ["lww", "siblings"])
    func handedOn(conflict: String) throws {
        let cluster = try refilling(conflict)
        for key in 0..<40 {
            #expect(cluster.run(a, "SET s:\(key) w") == "+OK\r\n")
            #expect(cluster.run(a, "GET s:\(key)") == "$1\r\nw\r\n")
            #expect(cluster.run(a, "EXPIRE s:\(key) 100") == ":1\r\n")
            #expect(cluster.run(a, "DEL s:\(key)") == ":1\r\n")
        }
    }
}
