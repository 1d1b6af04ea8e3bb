import Ring
import Testing

@testable import Replication

extension CollectionTests {
    @Test("a counter that expired and was forgotten elsewhere ends up the same everywhere")
    func expiredApart() throws {
        let cluster = cluster()
        #expect(cluster.run(a, "KEYSPACE CREATE t conflict=crdt r=1 w=1") == "+OK\r\n")
        for node in cluster.ids { #expect(cluster.run(node, "INCRBY t:k 5 W ALL").hasPrefix(":")) }
        #expect(cluster.run(b, "PEXPIRE t:k 500") == ":1\r\n")
        cluster.pass(milliseconds: 200, by: 20)
        let journal = cluster.journals[a] ?? []
        settle(cluster)
        for node in [b, c] { #expect(cluster.with(node) { $0.store.count } == 0) }
        // Its own removal was not on the disk yet.
        try cluster.restart(a, epoch: 2_000, on: journal, after: 1)
        #expect(cluster.with(a) { $0.store.count } == 1)
        #expect(cluster.run(a, "INCR t:k") == ":1\r\n")
        cluster.pass(milliseconds: 2_000, by: 20)
        let digests = cluster.ids.map { id in
            cluster.with(id) { node in KeyRange.all.map { node.tree(3, $0).root } }
        }
        #expect(digests[0] == digests[1] && digests[1] == digests[2])
    }
}
