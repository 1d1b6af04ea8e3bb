import Base
import Testing

@testable import Replication

@Suite("Latencies and outcomes by keyspace")
struct LatencyTests {
    let a = NodeID(1)
    let b = NodeID(2)
    let c = NodeID(3)

    private func figures(
        _ cluster: Cluster, _ node: NodeID, _ keyspace: String = "default"
    ) -> KeyspaceFigures? {
        cluster.with(node) { $0.keyspaceFigures.first { $0.name == keyspace } }
    }

    private func memory(_ configuration: inout NodeConfiguration) {
        var settings = KeyspaceSettings()
        settings.replicationFactor = 1
        settings.durability = .memory
        configuration.keyspaces = [
            (Array("default".utf8), settings), (Array("other".utf8), settings),
        ]
    }

    @Test("what a turn answers takes from its clock reading to its end, whichever path it takes")
    func oneTurn() {
        let cluster = Cluster(1, memory)
        cluster.turnNanoseconds = 70_000
        _ = cluster.run(a, "SET k v")
        _ = cluster.run(a, "SET k v W 1")
        _ = cluster.run(a, "GET k")
        cluster.turnNanoseconds = 3_000_000
        _ = cluster.run(a, "GET other:k R 1")
        let reads = figures(cluster, a)?[.read].latency
        let writes = figures(cluster, a)?[.write].latency
        let others = figures(cluster, a, "other")?[.read].latency
        #expect(reads?.count == 1 && reads?.nanoseconds == 70_000)
        #expect(writes?.count == 2 && writes?.nanoseconds == 140_000)
        #expect(others?.count == 1 && others?.nanoseconds == 3_000_000)
        // 50 µs, 100 µs, …: 70 µs are in the second bucket, 3 ms in the seventh.
        #expect(writes?.counts[1] == 2)
        #expect(others?.counts[6] == 1)
    }

    @Test("a turn with many requests counts each of them")
    func pipeline() {
        let cluster = Cluster(1, memory)
        cluster.turnNanoseconds = 1_000
        let connection = ConnectionID(1)
        cluster.open(a, connection)
        let requests = String(repeating: "SET k v\r\nGET k\r\nGET other:k\r\n", count: 50)
        cluster.send(a, connection, Array(requests.utf8))
        #expect(figures(cluster, a)?[.write].count(.ok) == 50)
        #expect(figures(cluster, a)?[.read].count(.ok) == 50)
        #expect(figures(cluster, a, "other")?[.read].latency.nanoseconds == 50_000)
    }

    @Test("what waits for a disk or another node takes until the turn that answers it ends")
    func laterTurn() {
        let cluster = Cluster(1)
        cluster.slowDisks = [a]
        #expect(cluster.run(a, "SET k v") == "")
        #expect(figures(cluster, a)?[.write].count == 0)
        cluster.pass(milliseconds: 30)
        cluster.turnNanoseconds = 500
        cluster.finishSyncs(a)
        #expect(cluster.reply(a) == "+OK\r\n")
        #expect(figures(cluster, a)?[.write].latency.nanoseconds == 30_000_500)
    }

    @Test("each outcome is counted in its keyspace: unavailable, unknown, refused, forwarded")
    func outcomes() {
        let cluster = Cluster(3) { configuration in
            var one = KeyspaceSettings()
            one.replicationFactor = 1
            configuration.keyspaces = [(Array("one".utf8), one)]
        }
        _ = cluster.run(a, "SET k v")
        #expect(figures(cluster, a)?[.write].count(.ok) == 1)
        cluster.cut = [[b, a], [c, a]]
        _ = cluster.run(a, "SET k w")
        _ = cluster.run(a, "GET j")
        cluster.pass(milliseconds: 1_100)
        #expect(figures(cluster, a)?[.write].count(.unknown) == 1)
        #expect(figures(cluster, a)?[.read].count(.unavailable) == 1)
        cluster.cut = []
        for number in 0..<30 { _ = cluster.run(a, "SET one:\(number) v") }
        let one = figures(cluster, a, "one")
        let here = one?[.write].count(.ok) ?? 0
        let elsewhere = one?[.forward].count(.ok) ?? 0
        #expect(here > 0 && elsewhere > 0 && here + elsewhere == 30)
        let coordinated = [b, c].map { figures(cluster, $0, "one")?[.write].count(.ok) ?? 0 }
        #expect(coordinated.reduce(0, +) == elsewhere)
        cluster.unlink(a, b)
        cluster.unlink(a, c)
        _ = cluster.run(a, "SET k x")
        _ = cluster.run(a, "GET k")
        #expect(figures(cluster, a)?[.write].count(.unavailable) == 1)
        #expect(figures(cluster, a)?[.read].count(.unavailable) == 2)
        cluster.step(a, .disk(.deletions))
        _ = cluster.run(a, "SET k x")
        #expect(figures(cluster, a)?[.write].count(.refused) == 1)
    }

    @Test("INFO tells counts, quantiles and outcomes, of the node and of each keyspace")
    func told() {
        let cluster = Cluster(1, memory)
        cluster.turnNanoseconds = 40_000
        for _ in 0..<3 { _ = cluster.run(a, "SET other:k v") }
        _ = cluster.run(a, "GET k")
        let lines = cluster.run(a, "INFO").split(separator: "\r\n")
        // Three of three in the bucket up to 50 µs: the second ends at two thirds of it.
        #expect(lines.contains("write_count:3") && lines.contains("write_p50_us:33"))
        #expect(lines.contains("write_p99_us:50") && lines.contains("read_count:1"))
        #expect(lines.contains("latency_other:write_count=3,write_p50_us=33,write_p99_us=50"))
        #expect(
            lines.contains("writes_other:ok=3,unavailable=0,unknown=0,overloaded=0,refused=0"))
        #expect(
            lines.contains(
                "keyspace_other:keys=1,records=1,tombstones=0,siblings=0,"
                    + "siblings_max=0,crowded_keys=0,bytes=40"))
        #expect(cluster.run(a, "INFO latency").contains("# Latency\r\nread_count:1\r\n"))
    }

    @Test("a background comparison is no client's read")
    func comparisons() {
        let cluster = Cluster(3) { configuration in
            var settings = KeyspaceSettings()
            settings.readQuorum = .one
            settings.readRepairPerMille = 1_000
            configuration.keyspaces = [(Array("default".utf8), settings)]
        }
        _ = cluster.run(a, "SET k v")
        for _ in 0..<10 { _ = cluster.run(a, "GET k") }
        #expect(figures(cluster, a)?[.read].count == 10)
    }

    @Test("a driver that never ends a turn costs bounded memory")
    func withoutEndings() {
        let cluster = Cluster(3)
        cluster.endsTurns = false
        for _ in 0..<20_000 {
            _ = cluster.run(a, "SET k v")
            cluster.time += 1_000
        }
        let counted = figures(cluster, a)?[.write].count ?? 0
        #expect(counted < 20_000)
        cluster.with(a) { $0.endTurn(at: cluster.time) }
        #expect(figures(cluster, a)?[.write].count == 20_000)
    }
}

@Suite("A latency histogram")
struct LatencyHistogramTests {
    @Test("bounds are inclusive, double from 50 µs, and one bucket takes the rest")
    func buckets() {
        var latency = LatencyHistogram()
        for (index, bound) in LatencyHistogram.bounds.enumerated() {
            #expect(bound == 50_000 << UInt64(index))
            latency.record(bound)
            latency.record(bound + 1)
        }
        #expect(latency.counts == [1] + Array(repeating: 2, count: 18) + [1])
        #expect(LatencyHistogram.bounds.last.map { $0 > 10_000_000_000 } == true)
    }

    @Test("a quantile is within its bucket, and the same as among the sorted values")
    func quantiles() {
        #expect(LatencyHistogram().quantile(perMille: 500) == nil)
        var random = PRNG(seed: 3)
        for count in [1, 2, 10, 1_000] {
            var latency = LatencyHistogram()
            let values = (0..<count).map { _ in UInt64(random.below(20_000_000)) }.sorted()
            for value in values { latency.record(value) }
            for perMille in [1, 500, 990, 999, 1_000] {
                let exact = values[(count * perMille + 999) / 1_000 - 1]
                let estimate = latency.quantile(perMille: perMille) ?? 0
                let bucket = LatencyHistogram.bounds.firstIndex { exact <= $0 } ?? 0
                let least = bucket == 0 ? 0 : LatencyHistogram.bounds[bucket - 1]
                #expect(least...LatencyHistogram.bounds[bucket] ~= estimate)
            }
        }
    }

    @Test("added up is the same as recorded together")
    func sums() {
        var (left, right, both) = (LatencyHistogram(), LatencyHistogram(), LatencyHistogram())
        for number in 0..<100 as Range<UInt64> {
            left.record(number * 1_000_000)
            right.record(number, times: 2)
            both.record(number * 1_000_000)
            both.record(number, times: 2)
        }
        left.add(right)
        #expect(left == both)
    }
}

@Suite("What a keyspace's records amount to")
struct ContentsTests {
    let node = NodeID(1)

    private func contents(_ cluster: Cluster) -> [KeyspaceContents] {
        cluster.with(node) { node in
            node.checkInvariants(recounting: true)
            return node.keyspaceFigures.map(\.contents)
        }
    }

    @Test("records, tombstones, siblings and bytes follow every change")
    func follow() {
        let cluster = Cluster(3) { configuration in
            var settings = KeyspaceSettings()
            settings.conflict = .siblings
            configuration.keyspaces = [(Array("s".utf8), settings)]
        }
        _ = cluster.run(node, "SET k 12345")
        _ = cluster.run(node, "SET l 1")
        #expect(contents(cluster)[0].records == 2)
        #expect(contents(cluster)[0].bytes == 2 * 33 + 6)
        _ = cluster.run(node, "DEL l")
        #expect(contents(cluster)[0].tombstones == 1)
        #expect(contents(cluster)[0].bytes == 2 * 33 + 5)
        for number in 0..<4 { _ = cluster.run(node, "QSET s:k v\(number)") }
        #expect(contents(cluster)[1].records == 1)
        #expect(contents(cluster)[1].siblings == 3)
        _ = cluster.run(node, "SET s:k merged")
        #expect(contents(cluster)[1].siblings == 0)
    }

    @Test("keys move with their prefix to a keyspace that is made later")
    func moved() {
        let cluster = Cluster(1)
        _ = cluster.run(node, "SET late:k 1")
        #expect(contents(cluster).map(\.records) == [1])
        _ = cluster.run(node, "KEYSPACE CREATE late")
        #expect(contents(cluster).map(\.records) == [0, 1])
    }

    @Test("a restart sums up what the journal brings")
    func restarted() throws {
        let cluster = Cluster(1)
        for number in 0..<20 { _ = cluster.run(node, "SET k\(number % 7) \(number)") }
        _ = cluster.run(node, "DEL k1")
        let before = contents(cluster)
        try cluster.restart(node, epoch: 2, on: cluster.journals[node] ?? [])
        #expect(contents(cluster) == before)
    }
}
