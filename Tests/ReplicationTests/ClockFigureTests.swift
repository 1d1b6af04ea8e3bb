import Base
import Testing

@testable import Replication

@Suite("What is told of a wrong clock while it is wrong, and afterwards")
struct ClockFigureTests {
    private let a = NodeID(1)
    private let b = NodeID(2)
    private let c = NodeID(3)

    private func step(_ cluster: Cluster, _ nodes: [NodeID], by milliseconds: Int64) {
        for node in nodes {
            cluster.wall[node] = UInt64(Int64(cluster.wall[node, default: 0]) + milliseconds)
        }
    }

    private func field(_ cluster: Cluster, _ node: NodeID, _ name: String) -> String {
        let lines = cluster.run(node, "INFO clock").split(separator: "\r\n")
        return lines.first { $0.hasPrefix(name + ":") }.map { String($0.dropFirst(name.count + 1)) }
            ?? ""
    }

    @Test("all clocks 15 s ahead, written under, set right: by how much stamps are ahead")
    func all() {
        let cluster = Cluster(3)
        cluster.pass(milliseconds: 2_000, by: 20)
        for node in cluster.ids { #expect(field(cluster, node, "clock_stamps_ahead_ms") == "0") }
        step(cluster, cluster.ids, by: 15_000)
        cluster.pass(milliseconds: 1_000, by: 20)
        for node in cluster.ids {
            #expect(cluster.run(node, "SET k\(node.rawValue) v") == "+OK\r\n")
        }
        step(cluster, cluster.ids, by: -15_000)
        cluster.pass(milliseconds: 1_000, by: 20)
        for node in cluster.ids {
            let ahead = cluster.with(node) { $0.clockFigures.stampsAheadMilliseconds }
            #expect((13_000...15_000).contains(ahead), "\(ahead)")
            #expect(field(cluster, node, "clock_stamps_ahead_ms") == "\(ahead)")
        }
        cluster.pass(milliseconds: 150_000, by: 100)
        for node in cluster.ids { #expect(field(cluster, node, "clock_stamps_ahead_ms") == "0") }
    }

    @Test(
        "one clock 15 s wrong: which one and by how much, at it and at the others",
        arguments: [1, -1])
    func one(sign: Int64) {
        let cluster = Cluster(3)
        cluster.pass(milliseconds: 2_000, by: 20)
        for node in cluster.ids { #expect(field(cluster, node, "clock_trouble") == "none") }
        step(cluster, [c], by: 15_000 * sign)
        cluster.pass(milliseconds: 1_000, by: 20)
        #expect(cluster.run(c, "SET k v") == "+OK\r\n")
        let offset = "15000 ms \(sign > 0 ? "ahead of" : "behind")"
        #expect(field(cluster, c, "clock_wall_ahead_ms") == "\(15_000 * sign)")
        #expect(
            field(cluster, c, "clock_trouble")
                == "the clock of node 3 is \(offset) the majority's, whose time is used here; set "
                + "it right")
        for node in [a, b] {
            #expect(field(cluster, node, "clock_wall_ahead_ms") == "0")
            #expect(
                field(cluster, node, "clock_trouble")
                    == "the clock of node 3 is \(offset) the time here; set it right")
            let link = cluster.with(node) { $0.linkFigures.first { $0.node == NodeID(3) } }
            #expect(link?.clockAheadMilliseconds == 15_000 * sign)
        }
        step(cluster, [c], by: -15_000 * sign)
        cluster.pass(milliseconds: 1_000, by: 20)
        for node in cluster.ids { #expect(field(cluster, node, "clock_trouble") == "none") }
    }

    @Test("a life that began alone an hour ahead: its records stamped anew are counted")
    func futureLife() throws {
        let cluster = Cluster(3)
        cluster.isolate(c)
        for other in [a, b] { cluster.unlink(c, other) }
        try cluster.restartAlone(c, epoch: 2, ahead: 3_600_000)
        for key in 0..<5 { #expect(cluster.run(c, "SET k\(key) v W 1 R 1") == "+OK\r\n") }
        cluster.cut = []
        cluster.meet(c)
        cluster.pass(milliseconds: 5_000, by: 20)
        #expect(cluster.counters(c).identitiesRenewed == 1)
        #expect(cluster.counters(c).overruledAhead == 5)
        #expect(cluster.run(a, "GET k3 R ALL") == "$1\r\nv\r\n")
    }
}
