import Base
import Causality
import Testing

@testable import Replication

@Suite("The name of a dropped keyspace is forgotten once all nodes have emptied it")
struct ForgettingTests {
    let a = NodeID(1)
    let b = NodeID(2)
    let c = NodeID(3)

    @Test("what was written before stays gone, what was written since stays, under any definition")
    func forgotten() {
        let cluster = Cluster(3)
        #expect(cluster.run(a, "KEYSPACE CREATE k") == "+OK\r\n")
        #expect(cluster.run(a, "SET k:1 old") == "+OK\r\n")
        #expect(cluster.run(b, "KEYSPACE DROP k") == "+OK\r\n")
        #expect(cluster.run(c, "SET k:2 since") == "+OK\r\n")
        cluster.pass(milliseconds: 5_000)
        for node in cluster.ids { #expect(cluster.names(node) == ["default"]) }
        cluster.checkNames()
        #expect(cluster.run(a, "GET k:1 R ALL") == "$-1\r\n")
        #expect(cluster.run(a, "GET k:2 R ALL") == "$5\r\nsince\r\n")
        #expect(cluster.run(a, "DBSIZE") == ":1\r\n")
        // The index is another's.
        #expect(cluster.run(b, "KEYSPACE CREATE other r=1 w=all") == "+OK\r\n")
        #expect(cluster.run(b, "SET other:1 v") == "+OK\r\n")
        #expect(cluster.with(a) { $0.catalog.active.count } == 2)
        #expect(cluster.run(c, "KEYSPACE CREATE k") == "+OK\r\n")
        #expect(cluster.run(b, "GET k:1 R ALL") == "$-1\r\n")
        #expect(cluster.run(b, "GET k:2 R ALL") == "$5\r\nsince\r\n")
        #expect(cluster.run(b, "GET other:1 R ALL") == "$1\r\nv\r\n")
        cluster.pass(milliseconds: 1_000)
        cluster.checkNames()
    }

    @Test("commands on its former keys go on where one node has forgotten it and others have not")
    func goesOn() {
        let cluster = Cluster(3)
        #expect(cluster.run(a, "KEYSPACE ALTER default conflict=crdt") == "+OK\r\n")
        #expect(cluster.run(a, "KEYSPACE CREATE k conflict=crdt") == "+OK\r\n")
        #expect(cluster.run(a, "KEYSPACE DROP k") == "+OK\r\n")
        #expect(cluster.run(a, "INCR k:1") == ":1\r\n")
        cluster.with(a) { node in
            var forgotten = node.catalog.forgotten
            forgotten.known = node.catalog.definitions[1].newest
            forgotten.emptiedAt = node.catalog.active[1].drop.emptiedAt
            node.catalog.learn(forgotten)
            node.catalog.vacate([1])
        }
        #expect(cluster.names(a) == ["default"] && cluster.names(b) == ["default", "k"])
        #expect(cluster.run(a, "INCR k:2") == ":1\r\n")
    }

    @Test("a node that is away holds it up, and is named, until it has emptied it too")
    func away() {
        let cluster = Cluster(3)
        #expect(cluster.run(a, "KEYSPACE CREATE k") == "+OK\r\n")
        #expect(cluster.run(a, "SET k:1 old W 3") == "+OK\r\n")
        // It does not learn of the drop.
        cluster.lostKinds = [7]
        #expect(cluster.run(a, "KEYSPACE DROP k") == "")
        cluster.unlink(a, c)
        cluster.unlink(b, c)
        cluster.lostKinds = []
        cluster.pass(milliseconds: 60_000)
        #expect(cluster.run(b, "INFO collection").contains("dropped_keyspaces_wait_for:3\r\n"))
        #expect(cluster.names(a) == ["default", "k"])
        #expect(cluster.names(b) == ["default", "k"])
        for (x, y) in [(a, c), (c, a), (b, c), (c, b)] { cluster.link(x, y) }
        cluster.settle()
        cluster.pass(milliseconds: 6_000)
        for node in cluster.ids {
            #expect(cluster.names(node) == ["default"])
            #expect(cluster.run(node, "GET k:1 R ALL") == "$-1\r\n")
        }
        cluster.checkNames()
    }

    @Test("an old disk brings back neither the keyspace nor what it held")
    func oldDisk() throws {
        let cluster = Cluster(3)
        #expect(cluster.run(a, "KEYSPACE CREATE k") == "+OK\r\n")
        #expect(cluster.run(a, "SET k:1 old W 3") == "+OK\r\n")
        let journal = cluster.journals[c] ?? []
        #expect(cluster.run(a, "KEYSPACE DROP k") == "+OK\r\n")
        #expect(cluster.run(a, "SET k:2 since W 3") == "+OK\r\n")
        cluster.pass(milliseconds: 5_000)
        #expect(cluster.names(a) == ["default"])
        try cluster.restart(c, epoch: 2_000_000, on: journal, after: 1)
        #expect(cluster.names(c) == ["default", "k"])
        for (x, y) in [(c, a), (a, c), (c, b), (b, c)] { cluster.link(x, y) }
        cluster.settle()
        cluster.pass(milliseconds: 10_000)
        for node in cluster.ids {
            #expect(cluster.names(node) == ["default"])
            #expect(cluster.run(node, "GET k:1 R ALL") == "$-1\r\n")
            #expect(cluster.run(node, "GET k:2 R ALL") == "$5\r\nsince\r\n")
        }
        cluster.checkNames()
    }

    @Test("an old disk adds nothing to a keyspace that was made anew since, and takes nothing away")
    func oldDiskOfName() throws {
        let cluster = Cluster(3)
        #expect(cluster.run(a, "KEYSPACE CREATE k") == "+OK\r\n")
        #expect(cluster.run(a, "SET k:1 old W 3") == "+OK\r\n")
        let journal = cluster.journals[c] ?? []
        #expect(cluster.run(a, "KEYSPACE DROP k") == "+OK\r\n")
        #expect(cluster.run(a, "KEYSPACE CREATE other") == "+OK\r\n")
        #expect(cluster.run(a, "SET k:2 since W 3") == "+OK\r\n")
        cluster.pass(milliseconds: 100)
        #expect(cluster.run(a, "KEYSPACE DROP other") == "+OK\r\n")
        cluster.pass(milliseconds: 5_000)
        #expect(cluster.run(a, "KEYSPACE CREATE k r=1 w=all") == "+OK\r\n")
        #expect(cluster.run(a, "SET k:3 new W 3") == "+OK\r\n")
        try cluster.restart(c, epoch: 2_000_000, on: journal, after: 1)
        for (x, y) in [(c, a), (a, c), (c, b), (b, c)] { cluster.link(x, y) }
        cluster.settle()
        cluster.pass(milliseconds: 10_000)
        for node in cluster.ids {
            #expect(cluster.names(node) == ["default", "k"])
            #expect(cluster.run(node, "GET k:1 R ALL") == "$-1\r\n")
            #expect(cluster.run(node, "GET k:2 R ALL") == "$5\r\nsince\r\n")
            #expect(cluster.run(node, "GET k:3 R ALL") == "$3\r\nnew\r\n")
            #expect(cluster.run(node, "KEYSPACE GET k").contains("conflicted\r\n$2\r\nno"))
        }
        cluster.checkNames()
        #expect(cluster.run(c, "KEYSPACE ALTER k r=2") == "+OK\r\n")
        let held = cluster.journals[c] ?? []
        try cluster.restart(c, epoch: 3_000_000, on: held, after: 2_000_000)
        for (x, y) in [(c, a), (a, c), (c, b), (b, c)] { cluster.link(x, y) }
        cluster.settle()
        cluster.pass(milliseconds: 10_000)
        #expect(cluster.run(c, "GET k:2 R ALL") == "$5\r\nsince\r\n")
        #expect(cluster.run(c, "GET k:1 R ALL") == "$-1\r\n")
        cluster.checkNames()
    }

    @Test("a name that is made anew by who has forgotten it meets who has not")
    func madeAnew() {
        let cluster = Cluster(3)
        #expect(cluster.run(a, "KEYSPACE CREATE k") == "+OK\r\n")
        #expect(cluster.run(a, "SET k:1 old W 3") == "+OK\r\n")
        #expect(cluster.run(a, "KEYSPACE DROP k") == "+OK\r\n")
        #expect(cluster.run(c, "SET k:2 since W 3") == "+OK\r\n")
        // Node 3 does not hear how far node 2 is, and remembers.
        cluster.cut = [[b, c]]
        cluster.pass(milliseconds: 1_900)
        cluster.cut = []
        #expect(cluster.run(a, "KEYSPACE CREATE k") == "+OK\r\n")
        cluster.pass(milliseconds: 6_000)
        for node in cluster.ids {
            #expect(cluster.run(node, "GET k:1 R ALL") == "$-1\r\n")
            #expect(cluster.run(node, "GET k:2 R ALL") == "$5\r\nsince\r\n")
            #expect(cluster.run(node, "KEYSPACE GET k").contains("conflicted\r\n$2\r\nno"))
        }
        cluster.checkNames()
    }

    @Test("what is configured is remembered: it comes back with every start")
    func configured() {
        let cluster = Cluster(3) {
            $0.keyspaces = [(Array("k".utf8), KeyspaceSettings())]
        }
        #expect(cluster.run(a, "KEYSPACE DROP k") == "+OK\r\n")
        cluster.pass(milliseconds: 10_000)
        for node in cluster.ids { #expect(Set(cluster.names(node)) == ["default", "k"]) }
    }

    @Test("names come and go without end, and a journal of more than are remembered is read")
    func endless() throws {
        let cluster = Cluster(1)
        func make(_ command: String) {
            let reply = cluster.run(a, command)
            guard reply.isEmpty else { return #expect(reply == "+OK\r\n") }
            cluster.pass(milliseconds: 2)
            #expect(cluster.reply(a) == "+OK\r\n")
        }
        for round in 0..<30 {
            for name in 0..<50 {
                let name = "k\(round)-\(name)"
                make("KEYSPACE CREATE \(name) n=1 r=1 w=1")
                make("SET \(name):1 v")
                make("KEYSPACE DROP \(name)")
            }
            #expect(cluster.run(a, "SET k\(round)-0:2 since") == "+OK\r\n")
            cluster.pass(milliseconds: 3_000)
        }
        #expect(cluster.names(a) == ["default"])
        #expect(cluster.with(a) { $0.catalog.active.count } <= 101)
        try cluster.restart(a, epoch: 2_000_000, on: cluster.journals[a] ?? [], after: 1)
        #expect(cluster.with(a) { $0.catalog.taken } < 1_100)
        cluster.pass(milliseconds: 3_000)
        #expect(cluster.names(a) == ["default"])
        #expect(cluster.run(a, "DBSIZE") == ":30\r\n")
        #expect(cluster.run(a, "GET k7-0:1") == "$-1\r\n")
        #expect(cluster.run(a, "GET k7-0:2") == "$5\r\nsince\r\n")
        cluster.checkNames()
    }

    @Test("who makes more names than are remembered is told how many there are, and what to do")
    func full() {
        let cluster = Cluster(3) { $0.keyspaceNamesMax = 4 }
        for name in ["x", "y", "z"] {
            #expect(cluster.run(a, "KEYSPACE CREATE \(name)") == "+OK\r\n")
            #expect(cluster.run(a, "KEYSPACE DROP \(name)") == "+OK\r\n")
        }
        #expect(
            cluster.run(a, "KEYSPACE CREATE w").hasPrefix(
                "-ERR 1 keyspaces exist and the names of 3 dropped ones are remembered until every "
                    + "node has emptied them; try again once "))
        #expect(cluster.run(a, "KEYSPACE CREATE y") == "+OK\r\n")
        cluster.pass(milliseconds: 5_000)
        #expect(cluster.run(a, "KEYSPACE CREATE w") == "+OK\r\n")
    }

    @Test("an index of fingerprints finds what was put in and not taken out")
    func index() {
        var random = PRNG(seed: 5)
        // Few homes, so that many places are not at home.
        let fingerprints = (0..<300).map { _ in random.next() & ~7 }
        var index = FingerprintIndex()
        var there = Set<Int>()
        for _ in 0..<20_000 {
            let place = random.below(fingerprints.count)
            if there.remove(place) != nil {
                index.remove(place) { fingerprints[$0] }
            } else {
                there.insert(place)
                index.insert(place) { fingerprints[$0] }
            }
            let asked = random.below(fingerprints.count)
            let found = index.find(fingerprints[asked]) { fingerprints[$0] }
            #expect((found == asked) == there.contains(asked))
        }
    }
}

extension Cluster {
    /// The keyspaces that a node remembers, dropped ones included.
    func names(_ node: NodeID) -> [String] {
        with(node) { node in
            node.catalog.definitions.indices.filter { !node.catalog.active[$0].isVacant }.map {
                String(decoding: node.catalog.definitions[$0].name, as: UTF8.self)
            }
        }
    }

    func checkNames() {
        let digests = ids.map { id in with(id) { $0.definitionsDigest } }
        #expect(Set(digests).count == 1)
        for id in ids { with(id) { $0.checkInvariants(recounting: true) } }
    }
}
