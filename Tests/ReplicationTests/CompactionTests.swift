import Base
import Causality
import Coding
import Ring
import Testing

@testable import Replication

@Suite("What is remembered of ended lives goes once every replica has what they did")
struct CompactionTests {
    let a = NodeID(1)
    let b = NodeID(2)
    let c = NodeID(3)

    private func cluster() -> Cluster {
        let cluster = Cluster(3) {
            $0.collectionGraceMilliseconds = 1_200
            $0.collectionMilliseconds = 400
            $0.hintMillisecondsMax = 3_000
        }
        cluster.pass(milliseconds: 600, by: 20)
        #expect(cluster.run(a, "KEYSPACE CREATE s conflict=siblings") == "+OK\r\n")
        #expect(cluster.run(a, "KEYSPACE CREATE t conflict=crdt") == "+OK\r\n")
        return cluster
    }

    private func settle(_ cluster: Cluster) { cluster.pass(milliseconds: 12_000, by: 50) }

    private let keys = ["s:k", "t:set", "t:hash", "t:list", "t:n"]

    /// How many identities each node's state of a key names.
    private func identities(_ cluster: Cluster, _ key: String) -> [Int] {
        cluster.ids.map { id in
            cluster.with(id) { node in
                Array(key.utf8).withUnsafeBytes { key in
                    node.store.find(node.store.address(of: key), key)
                        .map { node.context(of: $0).entries.count } ?? 0
                }
            }
        }
    }

    private func areEqual(_ cluster: Cluster) -> Bool {
        let roots = cluster.ids.map { id in
            cluster.with(id) { node in
                node.checkHoldings()
                var roots: [UInt64] = []
                for range in KeyRange.all { roots.append(node.tree(3, range).root) }
                return roots
            }
        }
        return roots.allSatisfy { $0 == roots[0] }
    }

    private func write(_ cluster: Cluster, _ node: NodeID, _ life: Int) {
        let written = [
            cluster.run(node, "SET s:k v\(life) W ALL"),
            cluster.run(node, "SADD t:set x\(life)"), cluster.run(node, "SREM t:set x\(life - 1)"),
            cluster.run(node, "HSET t:hash f v\(life)"),
            cluster.run(node, "RPUSH t:list v\(life)"),
            cluster.run(node, "DEL t:n"), cluster.run(node, "INCRBY t:n \(life)"),
        ]
        #expect(!written.contains { $0.hasPrefix("-") }, "\(written)")
        guard life > 1 else { return }
        let former = "v\(life - 1)"
        #expect(cluster.run(node, "LPOP t:list") == "$\(former.count)\r\n\(former)\r\n")
    }

    /// So many lives of two of the nodes write to each key.
    private func live(_ cluster: Cluster, _ lives: Int) throws {
        for life in 1...lives {
            let node = life % 2 == 0 ? b : c
            let epoch = UInt64(life) * 2_048
            try cluster.restart(
                node, epoch: epoch, on: cluster.journals[node, default: []],
                after: life > 2 ? epoch - 4_096 : 1)
            cluster.pass(milliseconds: 40, by: 20)
            write(cluster, node, life)
        }
    }

    private func expectLast(_ cluster: Cluster, _ life: Int) {
        for node in cluster.ids {
            let last = "v\(life)"
            #expect(cluster.run(node, "GET s:k R 1") == "$\(last.count)\r\n\(last)\r\n")
            #expect(cluster.run(node, "SMEMBERS t:set") == "*1\r\n$\(last.count)\r\nx\(life)\r\n")
            #expect(cluster.run(node, "HGET t:hash f") == "$\(last.count)\r\n\(last)\r\n")
            #expect(
                cluster.run(node, "LRANGE t:list 0 -1") == "*1\r\n$\(last.count)\r\n\(last)\r\n")
            #expect(cluster.run(node, "GET t:n") == "$\("\(life)".count)\r\n\(life)\r\n")
        }
    }

    @Test("keys that fifty lives have written name one or two of them in the end")
    func lives() throws {
        let cluster = cluster()
        try live(cluster, 50)
        for key in keys { #expect(identities(cluster, key).allSatisfy { $0 > 20 }, "\(key)") }
        settle(cluster)
        for key in keys { #expect(identities(cluster, key).allSatisfy { $0 <= 2 }, "\(key)") }
        #expect(areEqual(cluster))
        expectLast(cluster, 50)
        for node in cluster.ids {
            #expect(cluster.counters(node).contextsCompacted == keys.count)
            #expect(cluster.with(node) { $0.collection.compactible.isEmpty })
        }
    }

    /// What a checkpoint says.
    private func checkpoint(of id: NodeID, in cluster: Cluster) -> [[UInt8]] {
        var buffer = ByteBuffer(capacity: 4_096)
        cluster.with(id) { node in
            var cursor: UInt64?
            repeat {
                cursor = node.exportState(from: cursor, bytesMax: 1 << 20, into: &buffer)
            } while cursor != nil
        }
        var rest = Array(buffer.bytes)[...]
        var payloads: [[UInt8]] = []
        while !rest.isEmpty {
            let length = rest.prefix(4).reversed().reduce(0) { $0 << 8 | Int($1) }
            payloads.append(Array(rest.dropFirst(4).prefix(length)))
            rest = rest.dropFirst(4 + length)
        }
        return payloads
    }

    @Test("a replica that remembers and writes on is brought along, also by what asks for a state")
    func lagging() throws {
        let cluster = cluster()
        try live(cluster, 9)
        let before = checkpoint(of: b, in: cluster)
            .filter { $0[0] == JournalKind.record.rawValue }
        settle(cluster)
        #expect(identities(cluster, "t:set")[1] <= 2)
        for record in before {
            try cluster.with(b) { node in try record.withUnsafeBytes { try node.restore($0) } }
        }
        #expect(identities(cluster, "t:set")[1] > 5)
        #expect(cluster.run(b, "DEL t:set") == ":1\r\n")
        #expect(cluster.run(b, "SADD t:set again") == ":1\r\n")
        #expect(cluster.counters(a).deltasUngrounded > 0)
        #expect(cluster.run(b, "SET s:k again W ALL") == "+OK\r\n")
        settle(cluster)
        #expect(areEqual(cluster))
        for key in keys { #expect(identities(cluster, key).allSatisfy { $0 <= 2 }, "\(key)") }
        for node in cluster.ids {
            #expect(cluster.run(node, "SMEMBERS t:set") == "*1\r\n$5\r\nagain\r\n")
            #expect(cluster.run(node, "GET s:k R ALL") == "$5\r\nagain\r\n")
        }
    }

    @Test("while a replica is away nothing is forgotten, and what it then brings is not lost")
    func away() throws {
        let cluster = cluster()
        #expect(cluster.run(c, "SADD t:set old") == ":1\r\n")
        #expect(cluster.run(c, "SET s:k old W ALL") == "+OK\r\n")
        cluster.isolate(c)
        cluster.pass(milliseconds: 2_000, by: 20)
        #expect(cluster.run(a, "SREM t:set old") == ":1\r\n")
        #expect(cluster.run(a, "SADD t:set new") == ":1\r\n")
        #expect(cluster.run(a, "SET s:k new") == "+OK\r\n")
        settle(cluster)
        #expect(identities(cluster, "t:set") == [2, 2, 1])
        #expect(identities(cluster, "s:k") == [2, 2, 1])
        cluster.cut = []
        settle(cluster)
        #expect(identities(cluster, "t:set") == [1, 1, 1])
        #expect(identities(cluster, "s:k") == [1, 1, 1])
        for node in cluster.ids {
            #expect(cluster.run(node, "SMEMBERS t:set") == "*1\r\n$3\r\nnew\r\n")
            #expect(cluster.run(node, "GET s:k R 1") == "$3\r\nnew\r\n")
        }
    }

    @Test("a session that has seen what is forgotten is answered, also through a node without it")
    func sessions() throws {
        let cluster = cluster()
        for conflict in ["siblings", "crdt"] {
            let name = "two\(conflict)"
            #expect(
                cluster.run(a, "KEYSPACE CREATE \(name) n=2 r=1 conflict=\(conflict)") == "+OK\r\n")
            for node in cluster.ids { #expect(cluster.run(node, "SESSION ON") == "+OK\r\n") }
            for key in 0..<12 {
                for node in cluster.ids {
                    #expect(cluster.run(node, "SET \(name):\(key) v\(node.rawValue)") == "+OK\r\n")
                    let seen = cluster.run(node, "GET \(name):\(key)")
                    #expect(seen == "$2\r\nv\(node.rawValue)\r\n")
                }
            }
            settle(cluster)
            for key in 0..<12 {
                #expect(cluster.with(a) { $0.counters.contextsCompacted } > 0)
                for node in cluster.ids {
                    #expect(cluster.run(node, "GET \(name):\(key) R 1") == "$2\r\nv3\r\n")
                }
            }
        }
    }

    @Test("with one replica there is nobody to ask")
    func alone() throws {
        let cluster = cluster()
        #expect(cluster.run(a, "KEYSPACE CREATE one n=1 conflict=siblings") == "+OK\r\n")
        #expect(cluster.run(a, "SET one:k v0") == "+OK\r\n")
        let owner = try #require(
            cluster.ids.first { id in
                cluster.with(id) { $0.keyspaceFigures.contains { $0.contents.records > 0 } }
            })
        for life in 1...5 as ClosedRange<UInt64> {
            try cluster.restart(
                owner, epoch: life * 2_048, on: cluster.journals[owner, default: []],
                after: life > 1 ? (life - 1) * 2_048 : 1)
            cluster.pass(milliseconds: 40, by: 20)
            #expect(cluster.run(owner, "SET one:k v\(life)") == "+OK\r\n")
        }
        #expect(identities(cluster, "one:k").max() == 6)
        settle(cluster)
        #expect(identities(cluster, "one:k").max() == 1)
        #expect(cluster.run(owner, "GET one:k") == "$2\r\nv5\r\n")
    }

    @Test("a replay behind a checkpoint that left identities out takes nothing of theirs for news")
    func checkpointed() throws {
        let cluster = cluster()
        let begun = try #require(cluster.journals[a]).count
        #expect(cluster.run(c, "SADD t:set x") == ":1\r\n")
        #expect(cluster.run(c, "INCRBY t:n 5") == ":5\r\n")
        #expect(cluster.run(b, "SADD t:set y") == ":1\r\n")
        #expect(cluster.run(b, "SREM t:set x") == ":1\r\n")
        #expect(cluster.run(b, "DEL t:n") == ":1\r\n")
        #expect(cluster.run(b, "INCRBY t:n 1") == ":1\r\n")
        settle(cluster)
        #expect(identities(cluster, "t:set") == [1, 1, 1])
        let suffix = try #require(cluster.journals[a])[begun...]
        let state = checkpoint(of: a, in: cluster)
        try cluster.restart(a, epoch: 2_048, on: state + suffix, after: 1)
        settle(cluster)
        #expect(areEqual(cluster))
        for node in cluster.ids {
            #expect(cluster.run(node, "SMEMBERS t:set") == "*1\r\n$1\r\ny\r\n")
            #expect(cluster.run(node, "GET t:n") == "$1\r\n1\r\n")
        }
    }

    private func range(_ key: String, _ cluster: Cluster) -> UInt8 {
        cluster.with(a) { node in
            Array(key.utf8).withUnsafeBytes { node.store.address(of: $0).range.rawValue }
        }
    }

    @Test("what was not compacted while it could not be is compacted afterwards, on all replicas")
    func definedAnew() throws {
        let cluster = cluster()
        try live(cluster, 4)
        #expect(cluster.run(a, "KEYSPACE ALTER s conflict=lww") == "+OK\r\n")
        let neighbour = try #require(
            (0..<10_000).map { "d\($0)" }.first { range($0, cluster) == range("s:k", cluster) })
        #expect(cluster.run(a, "SET \(neighbour) v") == "+OK\r\n")
        #expect(cluster.run(a, "DEL \(neighbour)") == ":1\r\n", "the range is to be settled")
        settle(cluster)
        #expect(cluster.run(a, "KEYSPACE CREATE u") == "+OK\r\n", "everything is looked at again")
        settle(cluster)
        #expect(identities(cluster, "s:k").allSatisfy { $0 > 2 })
        #expect(cluster.run(a, "KEYSPACE ALTER s conflict=siblings") == "+OK\r\n")
        try cluster.restart(
            c, epoch: 99 * 2_048, on: cluster.journals[c, default: []], after: 3 * 2_048)
        settle(cluster)
        #expect(identities(cluster, "s:k") == [1, 1, 1])
        #expect(areEqual(cluster))
    }

    @Test("with one replica a session goes on though what it saw was replaced and forgotten")
    func sessionAlone() throws {
        let cluster = cluster()
        #expect(
            cluster.run(a, "KEYSPACE CREATE one n=1 conflict=crdt durability=fsync") == "+OK\r\n")
        let owner = try #require(
            cluster.ids.first { id in
                cluster.with(id) { node in
                    Array("one:k".utf8).withUnsafeBytes { node.isReplica(of: node.place(of: $0)) }
                }
            })
        let other = try #require(cluster.ids.first { $0 != owner })
        #expect(cluster.run(other, "SESSION ON") == "+OK\r\n")
        #expect(cluster.run(other, "SET one:k old") == "+OK\r\n")
        #expect(cluster.run(other, "GET one:k") == "$3\r\nold\r\n")
        try cluster.restart(owner, epoch: 2_048, on: cluster.journals[owner] ?? [], after: 1)
        cluster.pass(milliseconds: 400, by: 20)
        #expect(cluster.run(owner, "SET one:k new") == "+OK\r\n")
        settle(cluster)
        #expect(identities(cluster, "one:k").max() == 1)
        #expect(cluster.run(other, "GET one:k") == "$3\r\nnew\r\n")
    }
}
