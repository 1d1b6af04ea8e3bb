import Causality
import Testing

@testable import Replication

extension ClockTests {
    @Test("what was promised by a clock that was proved wrong is promised no more")
    func withdraws() throws {
        let cluster = cluster {
            ($0.collectionMilliseconds, $0.collectionGraceMilliseconds) = (1_000, 2_000)
        }
        let day = 24 * ClockTests.hour
        #expect(cluster.run(b, "SET l:k v W ALL") == "+OK\r\n")
        #expect(cluster.run(b, "SADD t:set v") == ":1\r\n")
        // All are a day ahead for long enough to promise something.
        step(cluster, cluster.ids, by: day, back: false)
        #expect(cluster.run(b, "DEL l:gone") == ":0\r\n")
        #expect(cluster.run(b, "SET l:gone v W ALL") == "+OK\r\n")
        #expect(cluster.run(b, "DEL l:gone") == ":1\r\n")
        cluster.pass(milliseconds: 10_000, by: 50)
        step(cluster, cluster.ids, by: day, back: true)
        let ahead = Stamp(milliseconds: (cluster.wall[a] ?? 0) + day / 2).rawValue
        #expect(cluster.with(a) { $0.collection.latestPromise } > ahead)
        // The others lose what they have, so nobody but the first has been there.
        for node in [b, c] {
            cluster.journals[node] = []
            try cluster.restartAlone(node, epoch: 3_000)
        }
        cluster.link(b, c)
        cluster.link(c, b)
        cluster.pass(milliseconds: 2_000, by: 50)
        try cluster.restart(a, epoch: 2_000, on: cluster.journals[a] ?? [], after: 1)
        cluster.pass(milliseconds: 5_000, by: 50)
        #expect(cluster.counters(a).identitiesRenewed == 1)
        #expect(cluster.with(a) { $0.collection.latestPromise } < ahead)
        let old = cluster.journals[a] ?? []
        #expect(cluster.run(b, "DEL l:k") == ":1\r\n")
        #expect(cluster.run(b, "DEL t:set") == ":1\r\n")
        cluster.pass(milliseconds: 20_000, by: 50)
        for node in cluster.ids { #expect(cluster.with(node) { $0.store.count } == 0) }
        try cluster.restart(a, epoch: 4_000, on: old, after: 2_000, 1)
        cluster.pass(milliseconds: 20_000, by: 50)
        for node in cluster.ids { #expect(cluster.with(node) { $0.store.count } == 0) }
    }
}
