import Base
import Coding
import Testing

@testable import Replication

@Suite("Keyspaces in configuration files")
struct ConfiguredKeyspacesTests {
    private let a = NodeID(1)
    private let b = NodeID(2)
    private let c = NodeID(3)

    /// What each node's file says of keyspaces, in the order of their names.
    private final class Files {
        var said: [NodeID: [String: String]] = [:]

        init(_ ids: [UInt16], _ keyspaces: [String: String]) {
            for id in ids { said[NodeID(id)] = keyspaces }
        }

        func defaulted(_ node: NodeID) -> [(keyspace: [UInt8], settings: [String])] {
            (said[node] ?? [:]).sorted { $0.key < $1.key }.map { name, words in
                let named = words.split(separator: " ").map { $0.prefix { $0 != "=" } }
                let rest = KeyspaceSettings.fieldNames.filter { !named.contains(Substring($0)) }
                return (Array(name.utf8), rest)
            }
        }

        func settings(_ node: NodeID, members: Int) -> [(name: [UInt8], settings: KeyspaceSettings)]
        {
            (said[node] ?? [:]).sorted { $0.key < $1.key }.map { name, words in
                var settings = KeyspaceSettings()
                settings.replicationFactor = min(3, members)
                for word in words.split(separator: " ") { _ = settings.set(String(word)) }
                return (Array(name.utf8), settings)
            }
        }
    }

    @Test("what a file does not name is told as a default, not as what the file says")
    func defaulted() throws {
        let files = Files([1, 2, 3], ["k": "r=1"])
        let cluster = cluster(3, files)
        #expect(cluster.run(a, "KEYSPACE ALTER k durability=memory r=2") == "+OK\r\n")
        #expect(
            cluster.with(a) { $0.configurationDifferences }.map(\.said)
                == ["says r=1", "names no durability, which leaves its default fsync"])
        for (words, told) in [
            ("", "the configuration names no conflict, which leaves its default lww, and the data"),
            ("conflict=lww", "the configuration says conflict=lww, and the data"),
        ] {
            files.said[a] = ["k": "conflict=crdt"]
            let one = self.cluster(1, files)
            #expect(one.run(a, "SADD k:1 x") == ":1\r\n")
            files.said[a] = ["k": words]
            try one.restartAlone(a, epoch: 2)
            let obstacles = one.with(a) { $0.takeUpConfiguration() }.map { "\($0)" }
            #expect(obstacles.count == 1 && obstacles[0].contains(told), "\(obstacles)")
        }
    }

    private func cluster(_ count: Int, _ files: Files) -> Cluster {
        Cluster(count) {
            $0.keyspaces = files.settings($0.node, members: $0.members.count)
            $0.defaulted = files.defaulted($0.node)
            $0.collectionGraceMilliseconds = 1_000
            $0.collectionMilliseconds = 1_000
        }
    }

    /// Starts a node again on its journal and compares its file.
    private func restart(_ cluster: Cluster, _ node: NodeID, _ epoch: UInt64) throws -> [String] {
        try cluster.restartAlone(node, epoch: epoch)
        return cluster.with(node) { $0.takeUpConfiguration() }
            .map { "\($0.keyspace).\($0.setting)=\($0.configured) not \($0.stored)" }
    }

    private func rejoin(_ cluster: Cluster, _ node: NodeID, _ epoch: UInt64) throws {
        #expect(try restart(cluster, node, epoch) == [])
        cluster.meet(node)
        cluster.pass(milliseconds: 1_000, by: 20)
    }

    private func field(_ name: String, _ keyspace: String, _ cluster: Cluster, _ node: NodeID)
        -> String
    {
        let lines = cluster.run(node, "KEYSPACE GET \(keyspace)").split(separator: "\r\n")
        guard let index = lines.firstIndex(of: Substring(name)) else { return "" }
        return String(lines[index + 2])
    }

    @Test(
        "what KEYSPACE ALTER refuses for a keyspace with keys keeps a node from starting",
        arguments: [
            ("conflict=crdt", "SADD k:1 x", "conflict=lww", "k.conflict=lww not crdt"),
            ("conflict=crdt", "SADD k:1 x", "conflict=siblings", "k.conflict=siblings not crdt"),
            ("conflict=lww", "SET k:1 x", "conflict=crdt", "k.conflict=crdt not lww"),
            ("n=3", "SET k:1 x", "n=2", "k.n=2 not 3"), ("n=1", "SET k:1 x", "n=3", "k.n=3 not 1"),
        ])
    func refused(before: String, write: String, after: String, told: String) throws {
        let files = Files([1, 2, 3], ["k": before])
        let cluster = cluster(3, files)
        // Keys on every node, also where each has one replica.
        for key in 0..<50 {
            let command = write.replacing("k:1", with: "k:\(key)")
            #expect(!cluster.run(a, command).hasPrefix("-"))
        }
        for node in [a, b, c] { files.said[node] = ["k": after] }
        for node in [a, b, c] {
            #expect(try restart(cluster, node, 2) == [told])
        }
        files.said[a] = ["k": before]
        #expect(try restart(cluster, a, 3) == [])
    }

    @Test("a new name that takes in keys of default which it could not go on with does as well")
    func newName() throws {
        for (given, write) in [("conflict=lww", "SET k:1 x"), ("conflict=crdt", "SADD k:1 x")] {
            let other = given == "conflict=lww" ? "conflict=crdt" : "conflict=lww"
            let files = Files([1], ["default": given])
            let cluster = cluster(1, files)
            #expect(!cluster.run(a, write).hasPrefix("-"))
            files.said[a] = ["default": given, "k": other]
            #expect(try restart(cluster, a, 2).count == 1)
            files.said[a] = ["default": given, "k": given]
            #expect(try restart(cluster, a, 3) == [])
            #expect(cluster.run(a, "EXISTS k:1") == ":1\r\n")
            files.said[a] = ["default": given, "other": other]
            #expect(try restart(cluster, a, 4) == [])
        }
    }

    @Test("an empty keyspace may come to merge by its file")
    func empty() throws {
        let files = Files([1], ["k": "conflict=lww"])
        let cluster = cluster(1, files)
        #expect(cluster.run(a, "SET k:1 x") == "+OK\r\n")
        #expect(cluster.run(a, "FLUSHALL") == "+OK\r\n")
        files.said[a] = ["k": "conflict=crdt"]
        #expect(try restart(cluster, a, 2) == [])
        #expect(cluster.run(a, "SADD k:1 x") == ":1\r\n")
        #expect(cluster.run(a, "FLUSHALL") == "+OK\r\n")
        files.said[a] = ["k": "conflict=lww"]
        #expect(try restart(cluster, a, 3) == [])
        #expect(field("conflict", "k", cluster, a) == "crdt")
    }

    @Test(
        "what a changed file makes safer counts from the next start on, on all nodes; the rest not")
    func rolling() throws {
        let files = Files([1, 2, 3], ["k": "r=1 ttl=5"])
        let cluster = cluster(3, files)
        #expect(cluster.run(a, "SET k:1 x") == "+OK\r\n")
        for (round, (said, r)) in [("2", "2"), ("1", "2"), ("3", "3")].enumerated() {
            for node in [a, b, c] { files.said[node] = ["k": "r=\(said)"] }
            for node in [a, b, c] {
                try rejoin(cluster, node, UInt64(2 + round))
                for other in [a, b, c] {
                    #expect(field("r", "k", cluster, other) == r)
                    #expect(field("ttl", "k", cluster, other) == "0")
                }
                let differences = cluster.with(node) { $0.configurationDifferences }
                #expect(differences.map(\.said) == (said == r ? [] : ["says r=\(said)"]))
            }
        }
        #expect(field("conflicted", "k", cluster, a) == "no")
    }

    @Test(
        "one node's mistaken file lowers nothing, whoever starts when",
        arguments: [
            "r=1 w=1 durability=memory floor=none", "ttl=1 valuebytes=10 conflict=lww",
            "r=1 durability=interval(60000) sloppy=on timeout=1 siblings=1",
        ])
    func mistaken(said: String) throws {
        let before = "r=quorum w=quorum durability=fsync floor=strong conflict=siblings"
        let files = Files([1, 2, 3], ["default": before, "k": before])
        let cluster = cluster(3, files)
        for key in ["k:1", "1"] { #expect(cluster.run(a, "SET \(key) x") == "+OK\r\n") }
        let settings = ["default", "k"].map { cluster.run(a, "KEYSPACE GET \($0)") }
        files.said[c] = ["default": said, "k": said]
        for (round, node) in [c, a, b, c].enumerated() {
            try rejoin(cluster, node, UInt64(2 + round))
            for other in [a, b, c] {
                let now = ["default", "k"].map { cluster.run(other, "KEYSPACE GET \($0)") }
                #expect(now == settings)
                for key in ["k:1", "1"] {
                    #expect(cluster.run(other, "GET \(key)") == "$1\r\nx\r\n")
                }
            }
            #expect(cluster.with(a) { $0.configurationDifferences } == [])
            #expect(!cluster.with(c) { $0.configurationDifferences }.isEmpty)
        }
    }

    @Test("a keyspace that a file adds promises the keys that it takes in no less than default did")
    func addedOverKeys() throws {
        let files = Files([1, 2, 3], [:])
        let cluster = cluster(3, files)
        #expect(cluster.run(a, "SET k:1 x W ALL") == "+OK\r\n")
        files.said[c] = ["k": "r=1 durability=memory", "new": "r=1 durability=memory"]
        for epoch: UInt64 in [2, 3] { try rejoin(cluster, c, epoch) }
        for node in [a, b, c] {
            #expect(field("durability", "k", cluster, node) == "fsync")
            #expect(field("r", "k", cluster, node) == "quorum")
            #expect(field("durability", "new", cluster, node) == "memory")
            #expect(cluster.run(node, "GET k:1 R 3") == "$1\r\nx\r\n")
        }
    }

    @Test("a file that has not changed does not bring back what it said, and says what differs")
    func stale() throws {
        let files = Files([1, 2, 3], ["k": "r=1"])
        let cluster = cluster(3, files)
        files.said[a] = ["k": "r=3"]
        try rejoin(cluster, a, 2)
        try rejoin(cluster, b, 2)
        #expect(field("r", "k", cluster, c) == "3")
        let told = KeyspaceDifference(
            keyspace: "k", setting: "r", configured: "1", isDefault: false, inForce: "3",
            isCommanded: false)
        #expect(cluster.with(b) { $0.configurationDifferences } == [told])
        #expect(cluster.with(a) { $0.configurationDifferences } == [])
        let info = cluster.run(b, "INFO configuration")
        #expect(info.contains("configuration_differs:1\r\n") && info.contains("configured_k:r=1"))
    }

    @Test("nodes that begin with different files meet at the safer of each, and say so")
    func different() throws {
        let files = Files([1, 2, 3], ["k": "r=1"])
        files.said[b] = ["k": "r=2 ttl=5"]
        let cluster = cluster(3, files)
        cluster.pass(milliseconds: 500, by: 20)
        for node in [a, b, c] {
            #expect(field("r", "k", cluster, node) == "2")
            #expect(field("ttl", "k", cluster, node) == "0")
            #expect(cluster.with(node) { $0.conflictedKeyspaces } == ["k"])
        }
        #expect(cluster.with(a) { $0.configurationDifferences.map(\.setting) } == ["r"])
        #expect(cluster.with(b) { $0.configurationDifferences.map(\.setting) } == ["ttl"])
        files.said[b] = ["k": "r=3"]
        try rejoin(cluster, b, 2)
        for node in [a, b, c] {
            #expect(field("r", "k", cluster, node) == "3")
            #expect(cluster.with(node) { $0.conflictedKeyspaces } == [])
        }
    }

    @Test(
        "KEYSPACE commands end what files say, FLUSHALL does not",
        arguments: [
            ("KEYSPACE ALTER k r=2", "2"), ("KEYSPACE CREATE other", "1"), ("FLUSHALL", "3"),
        ])
    func commands(command: String, r: String) throws {
        let files = Files([1, 2, 3], ["k": "r=1"])
        let cluster = cluster(3, files)
        #expect(cluster.run(a, command) == "+OK\r\n")
        if command.hasSuffix("other") {
            #expect(cluster.run(b, "KEYSPACE DROP other") == "+OK\r\n")
            cluster.pass(milliseconds: 5_000, by: 50)
        }
        for node in [a, b, c] { files.said[node] = ["k": "r=3", "late": "r=3"] }
        for node in [a, b, c] { try rejoin(cluster, node, 2) }
        #expect(field("r", "k", cluster, c) == r)
        #expect(field("r", "late", cluster, c) == "3")
        let differs = cluster.with(a) { $0.configurationDifferences }
        #expect(differs.map(\.isCommanded) == (r == "3" ? [] : [true]))
    }

    @Test("a node with an empty disk and another file does not change what commands have made")
    func replaced() throws {
        let files = Files([1, 2, 3], ["k": "r=1"])
        let cluster = cluster(3, files)
        #expect(cluster.run(a, "KEYSPACE ALTER k w=3") == "+OK\r\n")
        files.said[c] = ["k": "r=3 durability=memory"]
        try cluster.restart(c, epoch: 2, on: [])
        cluster.pass(milliseconds: 1_000, by: 20)
        for node in [a, b, c] {
            #expect(field("r", "k", cluster, node) == "1")
            #expect(field("conflicted", "k", cluster, node) == "no")
        }
        #expect(cluster.with(c) { $0.configurationDifferences.map(\.setting) }.contains("r"))
    }

    /// What a file says beside another one, and what comes of it.
    struct Beside {
        let others: String
        let said: String
        let n: String
        let conflict: String
        let isOverruled: Bool
    }

    @Test(
        "where only others have the keys, they put back what these need",
        arguments: [
            Beside(
                others: "n=3 conflict=lww", said: "n=3 conflict=crdt", n: "3", conflict: "lww",
                isOverruled: true),
            Beside(
                others: "n=2 conflict=crdt", said: "n=3 conflict=crdt", n: "2", conflict: "crdt",
                isOverruled: true),
            Beside(
                others: "n=3 conflict=lww", said: "n=2 conflict=siblings", n: "3",
                conflict: "siblings", isOverruled: false),
        ])
    func keptByOthers(_ one: Beside) throws {
        let files = Files([1, 2, 3], ["k": one.others])
        let cluster = cluster(3, files)
        let keys = (0..<20).map { "k:\($0)" }
        for key in keys { #expect(cluster.run(a, "SET \(key) x W ALL") == "+OK\r\n") }
        files.said[c] = ["k": one.said]
        try cluster.restart(c, epoch: 2, on: [])
        cluster.pass(milliseconds: 2_000, by: 20)
        for _ in 0..<2 {
            for node in [a, b, c] {
                #expect(field("n", "k", cluster, node) == one.n)
                #expect(field("conflict", "k", cluster, node) == one.conflict)
                #expect(
                    field("conflicted", "k", cluster, node) == (one.isOverruled ? "no" : "yes"))
                for key in keys { #expect(cluster.run(node, "GET \(key)") == "$1\r\nx\r\n") }
            }
            #expect(!cluster.with(c) { $0.configurationDifferences }.isEmpty)
            #expect((cluster.counters(a).configurationsOverruled > 0) == one.isOverruled)
            // Nor at the next start, on the same file.
            try rejoin(cluster, c, 3)
        }
    }

    @Test("two nodes whose keys need different settings go on, and are told")
    func both() throws {
        let files = Files([1, 2], ["k": "n=1 conflict=lww"])
        files.said[b] = ["k": "n=2 conflict=lww r=1 w=1"]
        let cluster = Cluster(2) {
            $0.keyspaces = files.settings($0.node, members: 2)
        }
        // Each has keys before it hears of the other.
        for node in [a, b] { try cluster.restart(node, epoch: 2, on: []) }
        for node in [a, b] { try cluster.restartAlone(node, epoch: 3) }
        for node in [a, b] {
            for key in 0..<20 { _ = cluster.run(node, "SET k:\(key) x W 1") }
        }
        for (x, y) in [(a, b), (b, a)] { cluster.link(x, y) }
        cluster.settle()
        cluster.pass(milliseconds: 3_000, by: 20)
        #expect(field("n", "k", cluster, a) == field("n", "k", cluster, b))
        #expect(
            cluster.counters(a).configurationsOverruled
                + cluster.counters(b).configurationsOverruled <= 2)
    }

    @Test("a checkpoint remembers what the file said")
    func checkpoint() throws {
        let files = Files([1], ["k": "r=1 w=1 durability=interval(90)"])
        let cluster = cluster(1, files)
        #expect(cluster.run(a, "SET k:1 x") == "+OK\r\n")
        var buffer = ByteBuffer(capacity: 4_096)
        let next = cluster.with(a) {
            $0.exportState(from: nil, bytesMax: 1 << 20, into: &buffer)
        }
        #expect(next == nil)
        var rest = Array(buffer.bytes)[...]
        cluster.journals[a] = []
        while rest.count >= 4 {
            let length = rest.prefix(4).reversed().reduce(0) { $0 << 8 | Int($1) }
            cluster.journals[a]?.append(Array(rest.dropFirst(4).prefix(length)))
            rest = rest.dropFirst(4 + length)
        }
        files.said[a] = ["k": "durability=interval(9)"]
        #expect(try restart(cluster, a, 2) == [])
        #expect(field("durability", "k", cluster, a) == "interval(9)")
        files.said[a] = ["k": "conflict=crdt"]
        #expect(try restart(cluster, a, 3) == ["k.conflict=crdt not lww"])
    }
}
