import Base
import Causality
import Ring
import Testing

@testable import Replication

@Suite("commands on several keys check all that can be known before they change anything")
struct SeveralKeysTests {
    /// MSET of many keys on five nodes, of which two are gone; r = w = 2 of 3, so some keys can be
    /// written and others cannot.
    private func halfReachable(
        _ command: String, _ change: @escaping (inout NodeConfiguration) -> Void = { _ in }
    ) -> (reply: String, changed: Int) {
        let cluster = Cluster(5, change)
        let names = (0..<40).map { "key:\($0)" }
        if command == "DEL" {
            for name in names { _ = cluster.run(NodeID(1), "SET \(name) old") }
        }
        for down in [NodeID(4), NodeID(5)] {
            for other in cluster.ids where other != down { cluster.unlink(down, other) }
        }
        let words = names.map { command == "MSET" ? "\($0) new" : $0 }
        let reply = cluster.run(NodeID(1), command + " " + words.joined(separator: " "))
        let values = names.map { cluster.run(NodeID(2), "GET \($0) R 1") }
        return (reply, values.count { $0 == (command == "MSET" ? "$3\r\nnew\r\n" : "$-1\r\n") })
    }

    @Test("replicas are in reach for every key, or nothing is changed", arguments: ["MSET", "DEL"])
    func reach(command: String) {
        let (reply, changed) = halfReachable(command)
        #expect(reply.hasPrefix("-UNAVAILABLE"))
        #expect(reply.contains("nothing was written"))
        #expect(changed == 0)
    }

    @Test("an MGET that cannot read one of its keys is an error, not an array with one in it")
    func unread() {
        let (reply, _) = halfReachable("MGET")
        #expect(reply.hasPrefix("-UNAVAILABLE"))
    }

    @Test("the planted bug partial-mset is found: told as nothing, and some keys are changed")
    func planted() {
        let (reply, changed) = halfReachable("MSET") { $0.plantedBug = .partialChange }
        #expect(reply.contains("nothing was written"))
        #expect(changed > 0)
    }

    @Test("sizes, floors, fenced keyspaces and full disks refuse the whole")
    func local() {
        let cluster = Cluster(3)
        let a = NodeID(1)
        #expect(cluster.run(a, "KEYSPACE CREATE small valuebytes=10") == "+OK\r\n")
        #expect(cluster.run(a, "KEYSPACE CREATE safe floor=quorum") == "+OK\r\n")
        #expect(cluster.run(a, "KEYSPACE CREATE typed conflict=crdt valuebytes=10") == "+OK\r\n")
        for bad in ["small:k 12345678901", "typed:k 12345678901"] {
            #expect(cluster.run(a, "MSET k0 a \(bad)").hasPrefix("-ERR value exceeds 10 bytes"))
            #expect(cluster.run(a, "GET k0") == "$-1\r\n")
        }
        #expect(cluster.run(a, "CONSISTENCY W 1") == "+OK\r\n")
        #expect(cluster.run(a, "MSET k0 a safe:k b").hasPrefix("-CONSISTENCY W=1 is below"))
        #expect(cluster.run(a, "DEL k0 safe:k").hasPrefix("-CONSISTENCY"))
        #expect(cluster.run(a, "CONSISTENCY RESET") == "+OK\r\n")
        _ = cluster.with(a) { node in
            node.beginSurvey(
                Array("safe".utf8), for: NodeID(2), .other(number: 1))
        }
        let fenced = cluster.run(a, "MSET k0 a safe:k b")
        #expect(fenced.hasPrefix("-UNAVAILABLE the keyspace is being changed"))
        cluster.with(a) { node in node.liftFence(Array("safe".utf8), of: NodeID(2)) }
        cluster.step(a, .disk(.none))
        #expect(cluster.run(a, "KEYSPACE CREATE mem durability=memory").hasPrefix("+OK"))
        #expect(cluster.run(a, "MSET mem:k a k0 b").hasPrefix("-DISKFULL"))
        #expect(cluster.run(a, "GET mem:k") == "$-1\r\n")
    }

    @Test("a failure in the middle is told with how many keys it changed")
    func middle() {
        let cluster = Cluster(3)
        cluster.lostKinds = [2]
        #expect(cluster.run(NodeID(1), "MSET a 1 b 2").isEmpty)
        cluster.pass(milliseconds: 6_000, by: 50)
        let reply = cluster.reply(NodeID(1))
        #expect(reply.hasPrefix("-UNKNOWN 0 of 2 keys were changed, 2 may have been"))
    }

    @Test("MSET, MGET, EXISTS and DEL take any number of keys, some at a time")
    func many() {
        for (nodes, count) in [(1, 6_000), (3, 2_000)] {
            let cluster = Cluster(nodes)
            cluster.endsTurns = true
            let names = (0..<count).map { Array("k\($0)".utf8) }
            func run(_ name: String, _ arguments: [[UInt8]]) -> String {
                var bytes = Array("*\(arguments.count + 1)\r\n$\(name.count)\r\n\(name)\r\n".utf8)
                for argument in arguments {
                    bytes += Array("$\(argument.count)\r\n".utf8) + argument + [13, 10]
                }
                let socket = ConnectionID(9)
                if cluster.replies[NodeID(1)]?[socket] == nil { cluster.open(NodeID(1), socket) }
                cluster.replies[NodeID(1), default: [:]][socket] = []
                #expect(cluster.send(NodeID(1), socket, bytes) == bytes.count)
                cluster.settle()
                for _ in 0..<1_000 where cluster.reply(NodeID(1), socket).isEmpty {
                    cluster.pass(milliseconds: 1)
                }
                return cluster.reply(NodeID(1), socket)
            }
            #expect(run("MSET", names.flatMap { [$0, $0] }) == "+OK\r\n")
            #expect(run("EXISTS", names) == ":\(count)\r\n")
            let values = run("MGET", names)
            #expect(values.hasPrefix("*\(count)\r\n$2\r\nk0\r\n"))
            #expect(values.hasSuffix("$5\r\nk\(count - 1)\r\n"))
            #expect(run("DEL", names) == ":\(count)\r\n")
            #expect(run("EXISTS", names) == ":0\r\n")
        }
    }

    @Test("of a key that is named more than once the last value counts, and it is written once")
    func repeated() {
        for (nodes, n) in [(1, 1), (3, 1), (3, 3)] {
            let cluster = Cluster(nodes)
            let create = "KEYSPACE CREATE t n=\(n) r=\(n / 2 + 1) w=\(n / 2 + 1) conflict=crdt"
            #expect(cluster.run(NodeID(1), create) == "+OK\r\n")
            cluster.pass(milliseconds: 1_000, by: 50)
            for (round, key) in cluster.ids.flatMap({ id in [(id, "t:k"), (id, "plain")] }) {
                func run(_ line: String) -> String { cluster.run(round, line) }
                let before = cluster.ids.reduce(0) { $0 + cluster.counters($1).writes }
                #expect(run("MSET \(key) 1 \(key)2 0 \(key) 2 \(key) 3") == "+OK\r\n")
                let writes = cluster.ids.reduce(0) { $0 + cluster.counters($1).writes } - before
                #expect(writes == 2, "\(key)")
                #expect(
                    run("MGET \(key) \(key)2 \(key)") == "*3\r\n$1\r\n3\r\n$1\r\n0\r\n$1\r\n3\r\n")
                #expect(run("EXISTS \(key) \(key) \(key)2") == ":3\r\n")
                #expect(run("TOUCH \(key) \(key)") == ":2\r\n")
                #expect(run("DEL \(key) \(key) \(key)2 \(key)") == ":2\r\n")
                #expect(run("UNLINK \(key) \(key)") == ":0\r\n")
                let words = (0..<3_000).flatMap { ["\(key)\($0 % 1_000)", "\($0)"] }
                cluster.open(round, ConnectionID(5))
                defer { cluster.step(round, .closed(ConnectionID(5))) }
                #expect(cluster.ask(round, ConnectionID(5), ["MSET"] + words) == "+OK\r\n")
                #expect(run("MGET \(key)0 \(key)999") == "*2\r\n$4\r\n2000\r\n$4\r\n2999\r\n")
                let names = (0..<2_000).map { "\(key)\($0 % 1_000)" }
                #expect(cluster.ask(round, ConnectionID(5), ["EXISTS"] + names) == ":2000\r\n")
                #expect(cluster.ask(round, ConnectionID(5), ["DEL"] + names) == ":1000\r\n")
            }
        }
    }

    @Test("a change of any number of keys is checked whole before any of it is done")
    func manyChecked() {
        let cluster = Cluster(1)
        let a = NodeID(1)
        #expect(cluster.run(a, "KEYSPACE CREATE small valuebytes=10") == "+OK\r\n")
        cluster.open(a, ConnectionID(5))
        let words = (0..<5_000).flatMap { ["k\($0)", "v"] } + ["small:k", "12345678901"]
        let reply = cluster.ask(a, ConnectionID(5), ["MSET"] + words + ["last", "v"])
        #expect(reply.hasPrefix("-ERR value exceeds 10 bytes"))
        #expect(cluster.run(a, "EXISTS k0 k4999 last") == ":0\r\n")
    }

    /// Sends commands in one piece, as a driver does that offers again what was not taken.
    private func pipeline(_ cluster: Cluster, _ node: NodeID, _ commands: String...) -> String {
        let socket = ConnectionID(7)
        cluster.open(node, socket)
        defer {
            cluster.step(node, .closed(socket))
            cluster.replies[node]?[socket] = nil
        }
        var bytes = Array(commands.map { $0 + "\r\n" }.joined().utf8)
        for _ in 0..<20 where !bytes.isEmpty {
            bytes.removeFirst(cluster.send(node, socket, bytes))
            cluster.settle()
        }
        return cluster.reply(node, socket)
    }

    @Test("a read that follows a write of several keys on its connection sees it, on any node")
    func pipelined() {
        let cluster = Cluster(5)
        #expect(cluster.run(NodeID(1), "KEYSPACE CREATE two n=2 r=1 w=2") == "+OK\r\n")
        cluster.pass(milliseconds: 2_000)
        for node in cluster.ids {
            for round in 0..<20 {
                let (x, y) = ("two:x\(round)", "two:y\(round)")
                let value = "\(node.rawValue)"
                #expect(
                    pipeline(
                        cluster, node, "MSET \(x) \(value) \(y) \(value)", "GET \(y)", "GET \(x)")
                        == "+OK\r\n$1\r\n\(value)\r\n$1\r\n\(value)\r\n")
                #expect(pipeline(cluster, node, "DEL \(x) \(y)", "EXISTS \(y)") == ":2\r\n:0\r\n")
            }
        }
    }

    @Test("answers keep the order of the parts, and many are few pieces")
    func answers() {
        var random = PRNG(seed: 1)
        var order = Array(0..<20_000)
        // Parts answer about in their order, as those that other nodes have do.
        for index in order.indices.dropLast(64) {
            order.swapAt(index, index + random.below(64))
        }
        var answers = OrderedAnswers()
        for part in order { answers.add(Array("$5\r\n\(10_000 + part)\r\n".utf8), part: part) }
        let all = String(decoding: answers.pieces.joined(), as: UTF8.self)
        #expect(all == order.indices.map { "$5\r\n\(10_000 + $0)\r\n" }.joined())
        #expect(answers.pieces.count == 1 + all.utf8.count / OrderedAnswers.pieceBytesMin)
        // What is long is not copied into another.
        answers.add(Array(repeating: 1, count: 1 << 20), part: 20_000)
        #expect(answers.pieces.last?.count == 1 << 20)
    }

    @Test("a request may have more than 65,535 arguments")
    func arguments() {
        let cluster = Cluster(1)
        let words = String(repeating: "$1\r\nk\r\n", count: 70_000)
        _ = cluster.run(NodeID(1), "SET k v")
        let socket = ConnectionID(9)
        cluster.open(NodeID(1), socket)
        cluster.send(NodeID(1), socket, Array("*70001\r\n$6\r\nEXISTS\r\n\(words)".utf8))
        cluster.pass(milliseconds: 500)
        #expect(cluster.reply(NodeID(1), socket) == ":70000\r\n")
    }
}
