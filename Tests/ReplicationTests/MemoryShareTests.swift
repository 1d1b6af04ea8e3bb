import Base
import Coding
import RESP
import Testing

@testable import Replication

/// README, "One account of memory": all that grows with clients is in it, and has a share that it
/// cannot pass, so that others' writes go on.
@Suite("What clients cause besides records has shares of the memory")
struct MemoryShareTests {
    private let a = NodeID(1)
    private let one = ConnectionID(1)
    private let two = ConnectionID(2)

    private func node(_ bytesMax: Int) -> Cluster {
        let cluster = Cluster(1) { $0.memoryBytesMax = bytesMax }
        for index in 1...4 { cluster.open(a, ConnectionID(UInt32(index))) }
        return cluster
    }

    private func account(_ cluster: Cluster) -> MemoryAccount {
        cluster.with(a) { node in
            node.checkInvariants()
            return node.memoryAccount
        }
    }

    @Test("commands that are queued since MULTI are counted, and refused beyond an eighth")
    func queued() {
        let cluster = node(8 << 20)
        let value = String(repeating: "v", count: 100_000)
        for connection in [one, two] {
            #expect(cluster.ask(a, connection, ["MULTI"]) == "+OK\r\n")
        }
        var replies: [String] = []
        for index in 0..<20 {
            replies.append(cluster.ask(a, index % 2 == 0 ? one : two, ["SET", "k", value]))
        }
        #expect(replies[..<10].allSatisfy { $0 == "+QUEUED\r\n" })
        #expect(replies.contains { $0.hasPrefix("-OOM what clients have queued since MULTI") })
        #expect(account(cluster).transactions <= 1 << 20)
        #expect(cluster.run(a, "SET other v") == "+OK\r\n")
        #expect(cluster.ask(a, one, ["EXEC"]).hasPrefix("-EXECABORT"))
        #expect(cluster.ask(a, two, ["DISCARD"]) == "+OK\r\n")
        #expect(account(cluster).transactions == 0)
        #expect(cluster.ask(a, one, ["MULTI"]) == "+OK\r\n")
        #expect(cluster.ask(a, one, ["SET", "k", value]) == "+QUEUED\r\n")
        #expect(account(cluster).transactions > 100_000)
        cluster.step(a, .closed(one))
        #expect(account(cluster).transactions == 0)
    }

    @Test("keys that are watched are counted, and have a limit in number and in bytes")
    func watched() {
        let cluster = node(16 << 20)
        let few = (0..<1_000).map { "k\($0)" }
        for _ in 0..<16 { #expect(cluster.ask(a, one, ["WATCH"] + few) == "+OK\r\n") }
        #expect(
            cluster.ask(a, one, ["WATCH"] + few)
                == "-ERR a connection watches at most 16384 keys; UNWATCH and EXEC end its "
                + "watches\r\n")
        // What could not be watched must not seem to be.
        #expect(cluster.ask(a, one, ["MULTI"]) == "+OK\r\n")
        #expect(cluster.ask(a, one, ["EXEC"]).hasPrefix("-EXECABORT"))
        #expect(account(cluster).transactions == 0)
        let long = (0..<100).map { String(repeating: "k", count: 1_000) + "\($0)" }
        let replies = (0..<22).map { _ in cluster.ask(a, two, ["WATCH"] + long) }
        #expect(replies[0] == "+OK\r\n")
        #expect(replies[21].hasPrefix("-OOM what clients have queued since MULTI, and watch"))
        #expect(account(cluster).transactions <= 2 << 20)
        #expect(cluster.run(a, "SET other v") == "+OK\r\n")
        #expect(cluster.ask(a, two, ["UNWATCH"]) == "+OK\r\n")
        #expect(account(cluster).transactions == 0)
    }

    @Test("names of connections and of libraries have at most 256 bytes")
    func names() {
        let cluster = node(8 << 20)
        let (fits, long) = (String(repeating: "n", count: 256), String(repeating: "n", count: 257))
        for words in [
            ["CLIENT", "SETNAME"], ["CLIENT", "SETINFO", "LIB-NAME"],
            ["CLIENT", "SETINFO", "LIB-VER"],
        ] {
            #expect(cluster.ask(a, one, words + [fits]) == "+OK\r\n")
            #expect(
                cluster.ask(a, one, words + [long])
                    == "-ERR Client and library names have at most 256 bytes\r\n")
        }
        #expect(
            cluster.ask(a, one, ["HELLO", "2", "SETNAME", long])
                == "-ERR Client and library names have at most 256 bytes\r\n")
        #expect(cluster.ask(a, one, ["CLIENT", "GETNAME"]) == "$256\r\n\(fits)\r\n")
    }

    @Test("request ids have a quarter; one more is refused, and requests without go on")
    func ids() {
        let cluster = node(1 << 20)
        var replies: [String] = []
        for number in 0..<2_500 {
            replies.append(cluster.run(a, "IDEMPOTENCY \(number) DEL absent\(number)"))
        }
        #expect(replies[0] == ":0\r\n")
        #expect(
            replies[2_499].hasPrefix("-OVERLOADED too many request ids are remembered, each for"))
        #expect(account(cluster).requestIDs > 200 << 10)
        #expect(account(cluster).requestIDs <= 256 << 10)
        #expect(cluster.run(a, "SET k v") == "+OK\r\n")
        #expect(cluster.run(a, "MGET k k") == "*2\r\n$1\r\nv\r\n$1\r\nv\r\n")
        #expect(cluster.run(a, "IDEMPOTENCY 0 DEL absent0") == ":0\r\n")
    }

    @Test("at the limit a new request id is refused, and what is remembered answers")
    func idsAtTheLimit() {
        let cluster = node(1 << 20)
        #expect(cluster.run(a, "IDEMPOTENCY x SET first v") == "+OK\r\n")
        let value = String(repeating: "v", count: 10_000)
        var number = 0
        while cluster.run(a, "SET k\(number) \(value)") == "+OK\r\n", number < 200 { number += 1 }
        #expect(number < 200)
        let before = account(cluster).total
        for id in 0..<50 {
            #expect(cluster.run(a, "IDEMPOTENCY \(id) DEL absent").hasPrefix("-OOM "))
        }
        #expect(account(cluster).total == before)
        #expect(cluster.run(a, "IDEMPOTENCY x SET first v") == "+OK\r\n")
        #expect(cluster.run(a, "DEL k0 k1 k2") == ":3\r\n")
        #expect(cluster.run(a, "IDEMPOTENCY y DEL k3") == ":1\r\n")
    }

    @Test("requests that gather more than a quarter together are refused, but for one")
    func gathered() {
        let cluster = node(16 << 20)
        let value = String(repeating: "v", count: 1 << 20)
        #expect(cluster.ask(a, one, ["SET", "k", value]) == "+OK\r\n")
        let connections = (1...4).map { ConnectionID(UInt32($0)) }
        let words = ["MGET"] + Array(repeating: "k", count: 9)
        for connection in connections {
            cluster.replies[a]?[connection] = []
            cluster.send(a, connection, Cluster.request(words))
        }
        var peak = 0
        while cluster.with(a, { $0.hasWork }) {
            cluster.step(a, .deadline)
            let now = account(cluster)
            peak = max(peak, now.operations)
        }
        cluster.settle()
        let replies = connections.map { cluster.reply(a, $0) }
        #expect(replies.count { $0.hasPrefix("*9\r\n") && $0.utf8.count > 9 << 20 } == 1)
        #expect(replies.count { $0.hasPrefix("-OVERLOADED ") } == 3)
        #expect(peak < 10 << 20)
        #expect(account(cluster).operations == 0 && account(cluster).replies == 0)
    }

    @Test("a reply that finds no room although nobody else wants any is told what to do instead")
    func tooLargeAlone() {
        let cluster = node(16 << 20)
        let value = String(repeating: "v", count: 1 << 20)
        let keys = (0..<12).map { "k\($0)" }
        for key in keys { #expect(cluster.ask(a, one, ["SET", key, value]) == "+OK\r\n") }
        #expect(
            cluster.ask(a, one, ["MGET"] + keys)
                == "-OOM the reply would take more than 4194304 bytes, a quarter of this node's "
                + "memory limit, and no more is left; ask for fewer keys at once\r\n")
        #expect(cluster.ask(a, one, ["MGET"] + keys.prefix(2)).hasPrefix("*2\r\n"))
        #expect(account(cluster).operations == 0 && account(cluster).replies == 0)
    }

    @Test("what has left of a long reply is no longer counted")
    func pieces() {
        let cluster = node(64 << 20)
        #expect(cluster.run(a, "KEYSPACE CREATE t n=1 conflict=crdt") == "+OK\r\n")
        let all = Cluster.words(0..<60_000)
        #expect(cluster.ask(a, one, ["SADD", "t:s"] + all) == ":60000\r\n")
        cluster.drains = false
        _ = cluster.ask(a, two, ["SMEMBERS", "t:s"])
        let first = account(cluster).replies
        cluster.step(a, .drained(two))
        let second = account(cluster).replies
        #expect(first - second > 64 << 10 && second > 100 << 10)
        #expect(cluster.with(a) { $0.replyBytes(owedTo: two) } == second)
        cluster.with(a) { $0.letGo(of: two) }
        #expect(account(cluster).replies == 0)
        cluster.step(a, .closed(two))
        #expect(account(cluster).replies == 0)
    }

    @Test("the largest gives way, unless it alone is more than the share and memory is left")
    func givingWay() {
        var account = MemoryAccount(bytesMax: 1_600)
        #expect(!account.mustGiveWay(400, of: 400))
        #expect(account.mustGiveWay(300, of: 401))
        #expect(!account.mustGiveWay(401, of: 401))
        #expect(!account.mustGiveWay(401, of: 801))
        #expect(account.mustGiveWay(401, of: 802))
        account.records = 1_500
        #expect(account.mustGiveWay(401, of: 401))
    }
}
