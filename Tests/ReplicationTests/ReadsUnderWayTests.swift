import Base
import Ring
import Testing

@testable import Replication

/// README, "One account of memory": what reads under way hold is bounded, whatever they are asked
/// for, and ends with what it is for.
@Suite("Reads of several keys that are under way")
struct ReadsUnderWayTests {
    private let a = NodeID(1)
    private let one = ConnectionID(1)
    private let two = ConnectionID(2)

    private func cluster(_ bytesMax: Int = 8 << 30) -> Cluster {
        let cluster = Cluster(3) { $0.memoryBytesMax = bytesMax }
        cluster.open(a, one)
        cluster.open(a, two)
        return cluster
    }

    private func fill(_ cluster: Cluster, _ count: Int, bytes: Int) -> [String] {
        let value = String(repeating: "v", count: bytes)
        let keys = (0..<count).map { "k\($0)" }
        for key in keys { #expect(cluster.ask(a, one, ["SET", key, value]) == "+OK\r\n") }
        return keys
    }

    private func send(_ cluster: Cluster, _ connection: ConnectionID, _ words: [String]) {
        cluster.replies[a, default: [:]][connection] = []
        cluster.send(a, connection, Cluster.request(words))
    }

    private func operations(_ cluster: Cluster) -> Int {
        cluster.with(a) { node in
            node.checkInvariants()
            return node.reads.byteCount + node.gathers.byteCount
        }
    }

    /// The most that reads held while a request was answered, with answers that take their time.
    private func peak(_ cluster: Cluster, until isOver: () -> Bool) -> Int {
        var peak = operations(cluster)
        for _ in 0..<20_000 where !isOver() {
            cluster.pass(milliseconds: 10, by: 10)
            peak = max(peak, operations(cluster))
        }
        #expect(isOver())
        return peak
    }

    @Test("parts begin while what their answers may take is within the share of a request")
    func share() {
        let cluster = cluster(64 << 20)
        let keys = fill(cluster, 40, bytes: 200_000)
        for _ in 0..<2 {
            // Links are up, and nothing comes over them.
            cluster.isolate(a)
            cluster.pass(milliseconds: 1_500, by: 50)
            for command in ["EXISTS", "MGET"] {
                send(cluster, one, [command] + keys)
                let most = peak(cluster) { !cluster.reply(a, one).isEmpty }
                #expect(most < 3 << 20)
                #expect(cluster.reply(a, one).hasPrefix("-UNAVAILABLE "))
            }
            cluster.isolate()
            cluster.pass(milliseconds: 2_000, by: 50)
            #expect(cluster.ask(a, one, ["EXISTS"] + keys) == ":40\r\n")
        }
        #expect(cluster.with(a) { $0.reads.count + $0.gathers.count } == 0)
    }

    @Test("reads of single keys that find no room for their answers are refused")
    func single() {
        let cluster = cluster(16 << 20)
        let keys = fill(cluster, 2, bytes: 400_000)
        cluster.isolate(a)
        cluster.pass(milliseconds: 1_500, by: 50)
        let connections = (10..<40).map { ConnectionID($0) }
        for connection in connections {
            cluster.open(a, connection)
            send(cluster, connection, ["GET", keys[0]])
        }
        #expect(operations(cluster) < 5 << 20)
        let refused = connections.count { cluster.reply(a, $0).hasPrefix("-OVERLOADED ") }
        #expect(refused > 10 && refused < 25)
    }

    @Test("a long value that is being read is read once for all parts that name it")
    func shared() {
        let cluster = cluster()
        let keys = fill(cluster, 2, bytes: 100_000)
        let many = (0..<3_000).map { keys[$0 % 2] }
        for (words, reply) in [
            (["EXISTS"] + many, ":3000\r\n"), (["TOUCH"] + many, ":3000\r\n"),
            (["EXISTS", "k0", "none", "k0"], ":2\r\n"),
        ] {
            let before = cluster.counters(a).reads
            send(cluster, one, words)
            cluster.pass(milliseconds: 50)
            #expect(cluster.reply(a, one) == reply)
            #expect(cluster.counters(a).reads - before <= 8)
        }
        let before = cluster.counters(a).reads
        let reply = cluster.ask(a, one, ["MGET", "k0", "k1", "none", "k0", "k1", "k0"])
        let value = "$100000\r\n" + String(repeating: "v", count: 100_000) + "\r\n"
        #expect(reply == "*6\r\n\(value)\(value)$-1\r\n\(value)\(value)\(value)")
        #expect(cluster.counters(a).reads - before == 3)
        #expect(operations(cluster) == 0)
    }

    @Test("a request that only reads ends at its first error, and lets go of all of its parts")
    func firstError() {
        let cluster = cluster()
        let words = (0..<5_000).map { "k\($0)" }
        for command in ["EXISTS", "MGET"] {
            cluster.lostKinds = [4]
            let before = cluster.counters(a).reads
            send(cluster, one, [command] + words)
            for _ in 0..<600 where cluster.reply(a, one).isEmpty {
                cluster.pass(milliseconds: 10, by: 10)
            }
            #expect(cluster.reply(a, one).hasPrefix("-UNAVAILABLE "))
            #expect(cluster.with(a) { $0.reads.count + $0.gathers.count } == 0)
            #expect(cluster.counters(a).reads - before <= 1_024)
            cluster.lostKinds = []
            cluster.pass(milliseconds: 2_000, by: 50)
        }
        #expect(cluster.ask(a, one, ["EXISTS"] + words) == ":0\r\n")
    }

    @Test("a request that only reads ends with its connection, and so do its parts under way")
    func abandoned() {
        let cluster = cluster()
        let words = (0..<5_000).map { "k\($0)" }
        for (command, lost) in [("EXISTS", UInt8(3)), ("MGET", 3), ("TOUCH", 4)] {
            cluster.lostKinds = [lost]
            send(cluster, one, [command] + words)
            cluster.pass(milliseconds: 10)
            #expect(cluster.with(a) { $0.reads.count } == 1_024)
            let before = cluster.counters(a).reads
            cluster.step(a, .closed(one))
            cluster.step(a, .deadline)
            #expect(cluster.with(a) { $0.reads.count + $0.gathers.count } == 0)
            cluster.lostKinds = []
            cluster.pass(milliseconds: 2_000, by: 50)
            #expect(cluster.counters(a).reads == before)
            cluster.open(a, one)
        }
    }

    @Test("a change of several keys goes on when its connection has ended")
    func unabandoned() {
        let cluster = cluster()
        let words = (0..<3_000).flatMap { ["k\($0)", "v"] }
        send(cluster, one, ["MSET"] + words)
        cluster.step(a, .closed(one))
        cluster.pass(milliseconds: 200)
        #expect(cluster.ask(a, two, ["EXISTS", "k0", "k2999"]) == ":2\r\n")
    }

    @Test("requests that wait for the same nodes take turns, however long what others read is")
    func fair() {
        let cluster = cluster()
        let keys = fill(cluster, 20, bytes: 1 << 20)
        for other in [NodeID(2), NodeID(3)] { cluster.slow[[other, a]] = 5 }
        send(cluster, one, ["EXISTS"] + (0..<2_400).map { keys[$0 % keys.count] })
        cluster.pass(milliseconds: 20)
        cluster.replies[a, default: [:]][two] = []
        // The driver offers a request again while it waits.
        let request = Cluster.request(["EXISTS"] + (0..<3_000).map { "absent\($0)" })
        for _ in 0..<1_000 where cluster.send(a, two, request) == 0 {
            cluster.pass(milliseconds: 1)
        }
        let before = cluster.counters(a).reads
        for _ in 0..<2_000 where cluster.reply(a, two).isEmpty { cluster.pass(milliseconds: 1) }
        #expect(cluster.reply(a, two) == ":0\r\n")
        #expect(cluster.counters(a).reads - before < 3_200)
        #expect(cluster.reply(a, one).isEmpty)
    }
}
