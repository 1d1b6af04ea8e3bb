import Base
import Secrets
import Testing

@testable import Lab

@Suite("A node's configuration file")
struct NodeSettingsTests {
    static let minimal = """
        {clusterID: "c", node: 2, secretFile: "/s", dataDirectory: "/d", members: [
          {id: 2, host: "h", clientPort: 3, linkPort: 4},
          {id: 1, host: "h", clientPort: 1, linkPort: 2}]EXTRA}
        """

    static func with(_ extra: String) -> String {
        minimal.replacing("EXTRA", with: extra.isEmpty ? "" : ",\n" + extra)
    }

    @Test("the smallest file listens at the member's own ports, and members are sorted")
    func smallest() throws {
        let configuration = try NodeSettings(parsing: Self.with(""))
        #expect(configuration.node == NodeID(2))
        #expect(configuration.client == NodeSettings.Endpoint(host: "h", port: 3))
        #expect(configuration.link == NodeSettings.Endpoint(host: "h", port: 4))
        #expect(configuration.members.map(\.id) == [NodeID(1), NodeID(2)])
        #expect(!configuration.faults)
        #expect(configuration.secret == nil && configuration.secretFile == "/s")
        #expect(configuration.metrics == nil)
        #expect(configuration.recovery == .refuse)
        #expect(configuration.keyspaces.isEmpty)
    }

    @Test(
        "everything that can stand in the file arrives, and is read back equal when written"
    )
    func everything() throws {
        let configuration = try NodeSettings(
            parsing: Self.with(
                """
                client: {host: "0.0.0.0", port: 9}, link: {port: 10},
                metrics: {port: 0}, recovery: "quarantine", faults: true,
                limits: {clients: 5, memoryBytes: 65536},
                keyspaces: {
                  a: {n: 2, r: 1, w: "all", pr: "one", pw: 1, dw: "quorum", floor: 1,
                      conflict: "siblings",
                      durability: "interval(50)", ttl: 60, timeout: 50, readrepair: 0,
                      hedge: "p99.9"},
                  b: {},
                }
                """))
        #expect(configuration.client == NodeSettings.Endpoint(host: "0.0.0.0", port: 9))
        #expect(configuration.link == NodeSettings.Endpoint(host: "h", port: 10))
        #expect(configuration.metrics == NodeSettings.Endpoint(host: "127.0.0.1", port: 0))
        #expect(configuration.recovery == .quarantine)
        #expect(configuration.limits.clients == 5)
        #expect(configuration.limits.memoryBytes == 65_536)
        let a = try #require(configuration.keyspaces["a"])
        #expect(a.replicationFactor == 2)
        #expect(a.writeQuorum == .all)
        #expect(a.primaryReads == .count(1))
        #expect(a.durableWrites == .quorum)
        #expect(a.floor == .level(.count(1)))
        #expect(a.timeoutMilliseconds == 50)
        #expect(a.readRepairPerMille == 0)
        #expect(a.hedge == .percentile(perMille: 999))
        #expect(a.conflict == .siblings)
        #expect(a.durability == .interval(milliseconds: 50))
        #expect(a.ttlMilliseconds == 60)
        #expect(configuration.keyspaces["b"] == KeyspaceOverrides())
        #expect(try NodeSettings(parsing: configuration.json.pretty) == configuration)
    }

    @Test(
        "what is wrong is named with its line, its full path and what would be right",
        arguments: [
            ("keyspacse: {}", 4, "keyspacse", "did you mean keyspaces?"),
            ("link: {port: 3}", 4, "link.port", "already listens for clients"),
            ("metrics: {host: 'h', port: 3}", 4, "metrics.port", "already listens for clients"),
            ("metrics: {host: '0.0.0.0', port: 4}", 4, "metrics.port", "for other nodes"),
            ("client: {port: 4}", 4, "link.port", "already listens for clients"),
            ("client: {port: 9}, link: {port: 9}", 4, "link.port", "already listens for clients"),
            (
                "client: {port: 9}, metrics: {host: 'h', port: 9}", 4, "metrics.port",
                "already listens for clients"
            ),
            ("client: {host: 'a\u{5C}0b'}", 4, "client.host", "zero character"),
            ("limits: {linkBacklogBytes: 65536}", 4, "limits.linkBacklogBytes", "16777216"),
            ("limits: {client: 5}", 4, "limits.client", "did you mean clients?"),
            (
                "keyspaces: {\n o: {n: 1,\n durabilty: 1}}", 6, "keyspaces.o.durabilty",
                "did you mean durability?"
            ),
            (
                "keyspaces: {o: {n: 'three'}}", 4, "keyspaces.o.n",
                "whole number from 1 to 32, such as n: 3"
            ),
            ("keyspaces: {o: {n: 3}}", 4, "keyspaces.o.n", "only 2 members"),
            ("keyspaces: {o: {n: 2, r: 3}}", 4, "keyspaces.o.r", "n is 2"),
            ("keyspaces: {o: {r: 'most'}}", 4, "keyspaces.o.r", "\"quorum\""),
            (
                "keyspaces: {o: {n: 2, r: 1, w: 2, floor: 2}}", 4, "keyspaces.o.floor",
                "below the floor"
            ),
            (
                "keyspaces: {o: {n: 2, r: 1, w: 1, floor: 'strong'}}", 4, "keyspaces.o.floor",
                "1 + 1 is not above 2"
            ),
            ("keyspaces: {o: {floor: {x: 2}}}", 4, "keyspaces.o.floor", "a set of members"),
            ("keyspaces: {o: {siblings: 1001}}", 4, "keyspaces.o.siblings", "from 1 to 1000"),
            (
                "keyspaces: {o: {conflict: 'newest'}}", 4, "keyspaces.o.conflict",
                "\"lww\", \"siblings\" or \"crdt\""
            ),
            (
                "keyspaces: {o: {durability: 'interval(0)'}}", 4, "keyspaces.o.durability",
                "interval(100)"
            ),
            ("keyspaces: {o: {hedge: 'p100'}}", 4, "keyspaces.o.hedge", "\"p99.9\""),
            ("keyspaces: {'a:b': {}}", 4, "keyspaces.a:b", "name is 1 to 64"),
            ("keyspaces: 3", 4, "keyspaces", "names with their settings"),
            ("client: {port: 65536}", 4, "client.port", "from 1 to 65535"),
            ("faults: 1", 4, "faults", "true or false"),
            ("metrics: {host: 'h'}", 4, "metrics.port", "is missing"),
            ("metrics: {port: 65536}", 4, "metrics.port", "from 0 to 65535"),
            ("link: {trustsNetwork: true}", 4, "link.trustsNetwork", "unknown setting"),
            ("secret: '00'", 4, "secret", "beside secretFile"),
            ("secret: 5", 4, "secret", "in quotes"),
            ("recovery: 'skip'", 4, "recovery", "\"refuse\" or \"quarantine\""),
            ("limits: []", 4, "limits", "expected { … } and found an empty list"),
            ("limits: [1]", 4, "limits", "found a list"),
        ])
    func wrong(extra: String, line: Int, path: String, problem: String) {
        let error = #expect(throws: SettingsError.self) {
            try NodeSettings(parsing: Self.with(extra))
        }
        #expect(error?.line == line)
        #expect(error?.path == path)
        #expect(error?.problem.contains(problem) == true, "\(error?.problem ?? "")")
    }

    @Test(
        "members that clash and a node that is no member are refused",
        arguments: [
            ("id: 1,", "id: 2,", "members[1]", "twice"),
            ("clientPort: 1,", "clientPort: 4,", "members[1]", "already belongs"),
            ("clientPort: 1,", "clientPort: 2,", "members[1]", "both 2"),
            ("node: 2", "node: 3", "node", "no member"),
            ("host: \"h\", clientPort: 1", "clientPort: 1", "members[1].host", "is missing"),
            ("node: 2, ", "", "node", "is missing; for example node: 1"),
        ])
    func members(old: String, new: String, path: String, problem: String) {
        let text = Self.with("").replacing(old, with: new)
        let error = #expect(throws: SettingsError.self) { try NodeSettings(parsing: text) }
        #expect(error?.path == path)
        #expect(error?.problem.contains(problem) == true, "\(error?.problem ?? "")")
    }

    @Test("a cluster has at most 64 members, and a file at most 1,023 keyspaces")
    func counts() throws {
        let members = (1...65).map {
            "{id: \($0), host: \"h\", clientPort: \($0), linkPort: \($0 + 100)}"
        }
        let start = "{clusterID: \"c\", node: 1, secretFile: \"/s\", dataDirectory: \"/d\", "
        let head = start + "members: ["
        _ = try NodeSettings(parsing: head + members.prefix(64).joined(separator: ", ") + "]}")
        let tooMany = #expect(throws: SettingsError.self) {
            try NodeSettings(parsing: head + members.joined(separator: ", ") + "]}")
        }
        #expect(tooMany?.problem == "lists 65 members, and a cluster has at most 64")
        #expect(tooMany?.path == "members" && tooMany?.line == 1)
        let keyspaces = (1...1_024).map { "k\($0): {}" }
        _ = try NodeSettings(
            parsing: Self.with("keyspaces: {\(keyspaces.prefix(1_023).joined(separator: ", "))}"))
        let error = #expect(throws: SettingsError.self) {
            try NodeSettings(
                parsing: Self.with("keyspaces: {\(keyspaces.joined(separator: ", "))}"))
        }
        #expect(error?.path == "keyspaces")
    }

    @Test("a secret stands in the file or in one of its own, and several members need it")
    func secret() throws {
        let digits = String(repeating: "0123456789abcdef", count: 4)
        let text = Self.with("").replacing("secretFile: \"/s\"", with: "secret: \"\(digits)\"")
        let configuration = try NodeSettings(parsing: text)
        #expect(try configuration.secret == ClusterSecret(text: digits))
        #expect(try NodeSettings(parsing: configuration.json.pretty) == configuration)
        for (old, problem) in [
            ("\(digits)", "has 0 bytes where at least 32 are needed"),
            ("secret: \"\(digits)\", ", "is missing, and so is secretFile"),
            ("89abcdef\"", "has 28 bytes where at least 32 are needed"),
            ("0123\"", "4 characters that are no hexadecimal digit"),
        ] {
            var wrong = text.replacing(old, with: old.hasSuffix("\"") ? "\"" : "")
            if problem.hasPrefix("4 ") { wrong = text.replacing("0123", with: "?123") }
            let error = #expect(throws: SettingsError.self) { try NodeSettings(parsing: wrong) }
            #expect(error?.path == "secret")
            #expect(error?.problem.contains(problem) == true, "\(error?.problem ?? "")")
            #expect(error?.problem.contains("4567") == false)
        }
        let alone = """
            {clusterID: "c", node: 1, dataDirectory: "/d",
             members: [{id: 1, host: "h", clientPort: 1, linkPort: 2}]}
            """
        #expect(try NodeSettings(parsing: alone).secret == nil)
    }

    @Test("a cluster's name means the same number in every build")
    func clusterID() throws {
        var configuration = try NodeSettings(parsing: Self.with(""))
        // FNV-1a of "a" is af63dc4c8601ec8c (the authors' test vector), then SplitMix64's
        // finaliser.
        configuration.clusterName = "a"
        #expect(configuration.clusterID == finalMix(0xAF63_DC4C_8601_EC8C))
    }
}

@Suite("A keyspace's settings on the command line")
struct KeyspaceOverridesTests {
    @Test("words are read, and given back in a fixed order")
    func words() throws {
        let settings = try KeyspaceOverrides(assignments: [
            "ttl=60", "w=quorum", "n=3", "r=1", "floor=one", "valuebytes=9", "conflict=lww",
            "durability=interval(100)",
        ])
        let text = settings.words.map { "\($0.name)=\($0.value)" }.joined(separator: " ")
        #expect(
            text
                == "n=3 r=1 w=quorum floor=1 conflict=lww durability=interval(100) ttl=60 "
                + "valuebytes=9"
        )
    }

    @Test(
        "a wrong word is named",
        arguments: [
            ("n", "is no setting"), ("=3", "is no setting"), ("nn=3", "did you mean n?"),
            ("r=4", "n is 3"),
            ("w=-1", "number of replicas"), ("floor=0", "\"strong\""), ("floor=", "\"strong\""),
            ("ttl=soon", "whole number"), ("n=3", "twice"),
        ])
    func wrong(word: String, problem: String) {
        let error = #expect(throws: SettingsError.self) {
            try KeyspaceOverrides(assignments: ["n=3", word])
        }
        #expect("\(error.map(String.init(describing:)) ?? "")".contains(problem))
    }

    @Test(
        "levels count replicas of the replication factor",
        arguments: [
            ("one", 5, 1), ("quorum", 3, 2), ("quorum", 4, 3), ("QUORUM", 5, 3), ("all", 4, 4),
            ("2", 3, 2),
        ])
    func levels(word: String, factor: Int, replicas: Int) throws {
        #expect(try #require(ReplicaLevel(word)).replicas(of: factor) == replicas)
    }
}
