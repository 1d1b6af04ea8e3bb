import Base
import Causality
import Testing

@testable import Replication

/// What several nodes make of typed commands when they cannot hear each other, forget, or disagree.
@Suite struct TypedReplicationTests {
    private let one = NodeID(1)
    private let two = NodeID(2)
    private let three = NodeID(3)

    private func cluster(
        _ settings: [String] = ["r=1", "w=1"], nodes: Int = 3, recordBytesMax: Int = 1 << 20
    ) -> Cluster {
        Cluster(nodes) { configuration in
            var keyspace = KeyspaceSettings()
            for setting in ["n=3", "conflict=crdt"] + settings {
                #expect(keyspace.set(setting) == nil)
            }
            configuration.keyspaces = [(Array("c".utf8), keyspace)]
            configuration.recordBytesMax = recordBytesMax
        }
    }

    /// Nothing passes between node 3 and the others.
    private func split(_ cluster: Cluster) {
        for other in [one, two] { cluster.cut.formUnion([[three, other], [other, three]]) }
    }

    private func heal(_ cluster: Cluster) {
        cluster.cut = []
        cluster.pass(milliseconds: 7_000)
    }

    /// What every node answers, once; what they answer when they differ.
    private func everywhere(_ cluster: Cluster, _ line: String) -> String {
        let answers = cluster.ids.map { cluster.run($0, line) }
        for id in cluster.ids { cluster.with(id) { $0.checkInvariants(recounting: true) } }
        return answers.allSatisfy { $0 == answers[0] } ? answers[0] : "\(answers)"
    }

    private func bulks(_ words: String...) -> String {
        words.reduce("*\(words.count)\r\n") { $0 + "$\($1.utf8.count)\r\n\($1)\r\n" }
    }

    @Test("both sides of a partition count and add, and meet")
    func partition() {
        let cluster = cluster()
        #expect(cluster.run(one, "INCR c:n") == ":1\r\n")
        split(cluster)
        #expect(cluster.run(two, "INCRBY c:n 10") == ":11\r\n")
        #expect(cluster.run(three, "INCRBY c:n 100") == ":101\r\n")
        #expect(cluster.run(one, "SADD c:s a") == ":1\r\n")
        #expect(cluster.run(three, "SADD c:s b") == ":1\r\n")
        heal(cluster)
        #expect(everywhere(cluster, "GET c:n") == "$3\r\n111\r\n")
        #expect(everywhere(cluster, "SMEMBERS c:s") == bulks("a", "b"))
    }

    @Test("a delta behind a lost one asks for the state")
    func lostDelta() {
        let cluster = cluster()
        cluster.lostKinds = [Node.deltaKind]
        #expect(cluster.run(one, "SADD c:s a") == ":1\r\n")
        cluster.lostKinds = []
        #expect(cluster.run(two, "SCARD c:s") == ":0\r\n")
        #expect(cluster.run(one, "SADD c:s b") == ":1\r\n")
        #expect(cluster.counters(two).deltasUngrounded == 1)
        #expect(cluster.counters(one).statesSent == 2)
        #expect(everywhere(cluster, "SMEMBERS c:s") == bulks("a", "b"))
    }

    /// Takes a state from elsewhere in.
    ///
    /// - Returns: what that took of a turn.
    private func unitsToMerge(_ state: [UInt8], _ id: NodeID, _ cluster: Cluster) -> Int {
        cluster.with(id) { node in
            let before = node.turnUnits
            var effects = Effects()
            state.withUnsafeBytes { bytes in
                guard let base = bytes.baseAddress else { return }
                let record = Record(at: base)
                let keyspace = node.catalog.index(of: record.key)
                #expect(node.mergeState(record, keyspace, &effects) == .acknowledged)
            }
            return node.turnUnits - before
        }
    }

    @Test("a state that is known already is acknowledged without being built")
    func knownState() {
        let cluster = cluster()
        let members = (0..<2_000).map { "member\($0)" }.joined(separator: " ")
        #expect(cluster.run(one, "SADD c:s \(members)") == ":2000\r\n")
        let state = cluster.with(one) { node in
            Array("c:s".utf8).withUnsafeBytes { key in
                node.store.find(node.store.address(of: key), key)
                    .map { Array(node.whole($0).bytes) } ?? []
            }
        }
        #expect(unitsToMerge(state, two, cluster) == 0)
        #expect(cluster.run(two, "SCARD c:s") == ":2000\r\n")
        // Who has nothing takes it in, once.
        let empty = self.cluster()
        #expect(unitsToMerge(state, two, empty) > state.count / 256)
        #expect(unitsToMerge(state, two, empty) == 0)
        #expect(empty.run(two, "SCARD c:s R 1") == ":2000\r\n")
    }

    @Test("row 26: what is removed here and added again there stays, also as a present element")
    func readded() {
        let cluster = cluster()
        _ = cluster.run(one, "SADD c:s a b")
        split(cluster)
        #expect(cluster.run(one, "SREM c:s a b") == ":2\r\n")
        #expect(cluster.run(three, "SADD c:s a") == ":0\r\n")
        heal(cluster)
        #expect(everywhere(cluster, "SMEMBERS c:s") == bulks("a"))
    }

    @Test("a removal at R + W > N sees what another node had acknowledged")
    func catchesUp() {
        let cluster = cluster(["r=2", "w=2"])
        cluster.cut = [[one, three], [three, one], [two, three]]
        #expect(cluster.run(one, "INCR c:n R 1") == ":1\r\n")
        cluster.cut = []
        #expect(cluster.run(three, "GETDEL c:n") == "$1\r\n1\r\n")
        #expect(everywhere(cluster, "EXISTS c:n") == ":0\r\n")
    }

    @Test("of two types that meet the newer one is seen, and a delete takes both")
    func typeConflict() {
        let cluster = cluster()
        split(cluster)
        #expect(cluster.run(one, "SADD c:k a") == ":1\r\n")
        cluster.pass(milliseconds: 5)
        #expect(cluster.run(three, "RPUSH c:k x") == ":1\r\n")
        heal(cluster)
        #expect(everywhere(cluster, "TYPE c:k") == "+list\r\n")
        #expect(everywhere(cluster, "LRANGE c:k 0 -1") == bulks("x"))
        #expect(cluster.run(two, "SADD c:k b").hasPrefix("-WRONGTYPE"))
        #expect(cluster.run(two, "DEL c:k") == ":1\r\n")
        #expect(everywhere(cluster, "TYPE c:k") == "+none\r\n")
        #expect(cluster.run(one, "HSET c:k f v") == ":1\r\n")
        #expect(everywhere(cluster, "TYPE c:k") == "+hash\r\n")
    }

    @Test("every command on every type answers, and changes nothing where the type is wrong")
    func wrongTypes() {
        let cluster = cluster()
        let makers = [
            "SET c:k v", "SADD c:k a", "HSET c:k f v", "RPUSH c:k x", "ZADD c:k 1 m",
            "QBOUND CREATE c:k 5", "QFLAG c:k ENABLE",
        ]
        let askers = [
            "GET c:k", "APPEND c:k x", "INCR c:k", "INCRBYFLOAT c:k 0.5", "STRLEN c:k",
            "SETNX c:k v", "GETSET c:k v", "SADD c:k a", "SREM c:k a", "SPOP c:k", "SCARD c:k",
            "HSET c:k f v", "HINCRBY c:k f 1", "HDEL c:k f", "HGETALL c:k", "LPUSH c:k x",
            "LPOP c:k", "LSET c:k 0 y", "LINSERT c:k BEFORE x w", "LREM c:k 0 x", "LTRIM c:k 0 0",
            "ZADD c:k 2 m", "ZINCRBY c:k 1 m", "ZREM c:k m", "ZPOPMIN c:k", "ZRANGE c:k 0 -1",
            "QBOUND DECR c:k 1", "QBOUND INCR c:k 1", "QFLAG c:k DISABLE", "EXPIRE c:k 100",
            "PERSIST c:k", "TTL c:k", "GETDEL c:k", "QGET c:k",
        ]
        for maker in makers {
            for asker in askers {
                _ = cluster.run(one, "DEL c:k")
                #expect(!cluster.run(one, maker).hasPrefix("-"))
                let type = cluster.run(two, "TYPE c:k")
                let answer = cluster.run(two, asker)
                if answer.hasPrefix("-WRONGTYPE") {
                    #expect(everywhere(cluster, "TYPE c:k") == type, "\(maker), \(asker)")
                }
            }
        }
        _ = everywhere(cluster, "GET c:k")
    }

    @Test("a node that keeps no replica passes commands on")
    func forwards() {
        let cluster = cluster(["r=2", "w=2"], nodes: 5)
        for id in cluster.ids { #expect(cluster.run(id, "INCR c:n") == ":\(id.rawValue)\r\n") }
        for id in cluster.ids { _ = cluster.run(id, "SADD c:s \(id.rawValue)") }
        #expect(everywhere(cluster, "GET c:n") == "$1\r\n5\r\n")
        #expect(everywhere(cluster, "SMEMBERS c:s") == bulks("1", "2", "3", "4", "5"))
        #expect(cluster.ids.reduce(0) { $0 + cluster.counters($1).forwarded } > 0)
    }

    @Test("two sides that each fill a value to its limit still meet")
    func limits() {
        let cluster = cluster(recordBytesMax: 24_000)
        split(cluster)
        let element = String(repeating: "x", count: 300)
        for (number, id) in [one, two, three].enumerated() {
            if id == two { cluster.cut.formUnion([[one, two], [two, one]]) }
            for step in 0..<60 { _ = cluster.run(id, "SADD c:s \(number)-\(step)-\(element)") }
            let last = cluster.run(id, "SADD c:s \(number)-\(element)")
            #expect(last.hasPrefix("-ERR the value would be larger"))
        }
        heal(cluster)
        let count = everywhere(cluster, "SCARD c:s")
        #expect((Int(count.dropFirst().dropLast()) ?? 0) > 20, "\(count)")
        #expect(cluster.run(one, "DEL c:s") == ":1\r\n")
        #expect(everywhere(cluster, "SCARD c:s") == ":0\r\n")
    }

    @Test("a siblings keyspace becomes crdt online; one that does not know what it replaced, empty")
    func altered() {
        let cluster = cluster()
        _ = cluster.run(one, "KEYSPACE CREATE l n=3 r=2 w=2 conflict=lww")
        _ = cluster.run(one, "KEYSPACE CREATE s n=3 r=1 w=1 conflict=siblings")
        #expect(cluster.run(one, "SET l:n 5") == "+OK\r\n")
        #expect(cluster.run(one, "SET s:n 5 W 3") == "+OK\r\n")
        split(cluster)
        #expect(cluster.run(one, "QSET s:k a") == "+OK\r\n")
        #expect(cluster.run(three, "QSET s:k b") == "+OK\r\n")
        heal(cluster)
        #expect(cluster.run(two, "KEYSPACE ALTER l conflict=crdt").hasPrefix("-ERR n can only"))
        #expect(cluster.run(two, "KEYSPACE ALTER s conflict=crdt") == "+OK\r\n")
        #expect(everywhere(cluster, "GET s:n") == "$1\r\n5\r\n")
        #expect(cluster.run(three, "INCRBY s:n 2") == ":7\r\n")
        #expect(everywhere(cluster, "GET s:n") == "$1\r\n7\r\n")
        let siblings = everywhere(cluster, "QGET s:k")
        #expect(siblings.hasPrefix("*3\r\n") && siblings.contains("$1\r\na\r\n"))
        #expect(siblings.contains("$1\r\nb\r\n"))
        #expect(cluster.run(one, "KEYSPACE ALTER s conflict=lww").hasPrefix("-ERR"))
        heal(cluster)
        #expect(everywhere(cluster, "GET s:n") == "$1\r\n7\r\n")
    }

    @Test("sampled reads of a large value that others change compare it without sending it")
    func sampledLargeValue() {
        let cluster = cluster(["r=1", "w=1", "readrepair=1000"])
        let filling = String(repeating: "x", count: 100)
        for member in 0..<300 { _ = cluster.run(one, "SADD c:s \(member)\(filling)") }
        cluster.pass(milliseconds: 7_000)
        let journaled = { cluster.journals.values.joined().reduce(0) { $0 + $1.count } }
        let states = {
            cluster.ids.reduce(0) { sum, id in sum + cluster.with(id) { $0.counters.statesSent } }
        }
        let before = (journaled(), states())
        for member in 300..<340 {
            #expect(cluster.run(one, "SADD c:s \(member)\(filling)") == ":1\r\n")
            #expect(cluster.run(two, "SISMEMBER c:s 1\(filling)") == ":1\r\n")
            #expect(cluster.run(three, "SCARD c:s") == ":\(member + 1)\r\n")
        }
        cluster.pass(milliseconds: 7_000)
        #expect(states() == before.1)
        // Each node keeps each delta once.
        #expect(journaled() - before.0 < 3 * 40 * 300)
        #expect(everywhere(cluster, "SCARD c:s") == ":340\r\n")
    }

    @Test("a command that waits while its keyspace gets another n runs by what holds then")
    func alteredMeanwhile() {
        for wishes in ["CONSISTENCY RESET", "CONSISTENCY W 2"] {
            for key in 0..<6 {
                let cluster = cluster()
                #expect(
                    cluster.run(one, "KEYSPACE CREATE k conflict=crdt r=2 w=2") == "+OK\r\n")
                #expect(cluster.run(one, wishes) == "+OK\r\n")
                cluster.lostKinds = [4]
                #expect(cluster.run(one, "SADD k:\(key) x") == "")
                cluster.open(two, ConnectionID(1))
                cluster.send(
                    two, ConnectionID(1), Array("KEYSPACE ALTER k n=1 r=1 w=1\r\n".utf8))
                cluster.settle()
                #expect(cluster.reply(two, ConnectionID(1)) == "+OK\r\n")
                cluster.lostKinds = []
                cluster.pass(milliseconds: 2_000)
                let reply = cluster.reply(one)
                #expect(reply == ":1\r\n" || reply.hasPrefix("-"), "\(reply)")
                for node in [one, two, three] {
                    cluster.with(node) { $0.checkInvariants(recounting: true) }
                }
            }
        }
    }
}
