import Base
import Testing

@testable import Replication

@Suite("The hot path and the general path are one behaviour")
struct HotPathTests {
    let node = NodeID(1)

    /// One replica in memory: what the hot path answers alone.
    private func cluster() -> Cluster {
        Cluster(1) { configuration in
            var settings = KeyspaceSettings()
            settings.replicationFactor = 1
            settings.durability = .memory
            settings.valueBytesMax = 100
            settings.keyBytesMax = 20
            configuration.keyspaces = [(Array("default".utf8), settings)]
        }
    }

    @Test("plain commands and the same ones with their consistency spelled out answer alike")
    func sameAnswers() {
        let hot = cluster()
        let general = cluster()
        var random = PRNG(seed: 11)
        for _ in 0..<2_000 {
            let isLongKey = random.below(50) == 0
            let key = isLongKey ? String(repeating: "k", count: 21) : "k\(random.below(9))"
            let length = random.below(40) == 0 ? 101 : random.below(90)
            let value = String(repeating: "v", count: length)
            let (plain, spelled): (String, String) =
                switch random.below(4) {
                case 0: ("SET \(key) x\(value)", "SET \(key) x\(value) W 1")
                case 1: ("DEL \(key)", "DEL \(key)")
                case 2: ("PEXPIRE \(key) 3", "PEXPIRE \(key) 3")
                default: ("GET \(key)", "GET \(key) R 1")
                }
            #expect(hot.run(node, plain) == general.run(node, spelled))
            #expect(hot.run(node, "DBSIZE") == general.run(node, "DBSIZE"))
            hot.pass(milliseconds: 1)
            general.pass(milliseconds: 1)
        }
        #expect(hot.counters(node).reads == general.counters(node).reads)
        #expect(hot.counters(node).writes == general.counters(node).writes)
    }

    @Test("a pipeline gives the same answers wherever its bytes are cut")
    func cutAnywhere() {
        let pipeline = Array(
            ("*3\r\n$3\r\nSET\r\n$1\r\na\r\n$2\r\nxy\r\n*2\r\n$3\r\nget\r\n$1\r\na\r\n"
                + "PING\r\n*2\r\n$3\r\nDEL\r\n$1\r\na\r\n*2\r\n$3\r\nGET\r\n$1\r\na\r\n").utf8)
        let expected = "+OK\r\n$2\r\nxy\r\n+PONG\r\n:1\r\n$-1\r\n"
        for cut in 0...pipeline.count {
            let cluster = cluster()
            let connection = ConnectionID(3)
            cluster.open(node, connection)
            let first = Array(pipeline[..<cut])
            let consumed = cluster.send(node, connection, first)
            cluster.send(node, connection, Array(pipeline[consumed...]))
            #expect(cluster.reply(node, connection) == expected)
        }
    }

    @Test("small requests for large answers wait for the next step instead of filling memory")
    func boundedAnswers() {
        let cluster = Cluster(1)
        let value = String(repeating: "v", count: 60_000)
        #expect(cluster.run(node, "SET big \(value)") == "+OK\r\n")
        let connection = ConnectionID(1)
        cluster.open(node, connection)
        let requests = Array(String(repeating: "GET big\r\n", count: 1_000).utf8)
        let consumed = cluster.send(node, connection, requests)
        #expect(consumed < requests.count)
        #expect(cluster.reply(node, connection).utf8.count < 1_200_000)
    }
}
