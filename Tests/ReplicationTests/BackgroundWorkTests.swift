import Base
import Causality
import Coding
import Ring
import Testing

@testable import Replication

@Suite("What is proportional to what a node holds is done some records a turn")
struct BackgroundWorkTests {
    private let a = NodeID(1)
    private let b = NodeID(2)
    private let c = NodeID(3)
    private let units = 512
    /// Records of one home of a table, which are looked at together.
    private let homeMax = 8

    private func cluster(_ count: Int = 3) -> Cluster {
        let cluster = Cluster(count) { [units] in
            $0.workUnitsMax = units
            $0.collectionGraceMilliseconds = 1_200
            $0.collectionMilliseconds = 400
        }
        for node in cluster.ids { #expect(cluster.run(node, "PING") == "+PONG\r\n") }
        return cluster
    }

    private func fill(_ cluster: Cluster, _ prefix: String, _ keys: Int) {
        for key in 0..<keys {
            #expect(cluster.run(a, "SET \(prefix)\(key) v W ALL") == "+OK\r\n")
        }
    }

    private func stored(_ cluster: Cluster, _ node: NodeID) -> Int {
        cluster.with(node) { $0.store.count }
    }

    /// Lets turns go by, and checks after each that it kept to its budget and that all sums hold.
    private func pass(_ cluster: Cluster, turns: Int) {
        for _ in 0..<turns {
            let before = cluster.ids.map { stored(cluster, $0) }
            cluster.pass(milliseconds: 1)
            for (node, before) in zip(cluster.ids, before) {
                let left = cluster.with(node) { $0.background.budget.units }
                #expect(left > -homeMax * WorkBudget.recordUnits)
                #expect(before - stored(cluster, node) <= units / WorkBudget.recordUnits + homeMax)
                cluster.with(node) { $0.checkInvariants(recounting: true) }
            }
        }
    }

    private func ask(_ cluster: Cluster, _ node: NodeID, _ line: String) -> String {
        let connection = ConnectionID(9)
        if cluster.replies[node]?[connection] == nil { cluster.open(node, connection) }
        cluster.replies[node, default: [:]][connection] = []
        cluster.send(node, connection, Array((line + "\r\n").utf8))
        cluster.settle()
        return cluster.reply(node, connection)
    }

    @Test("FLUSHALL and DROP count at once, and give memory back by and by")
    func emptied() {
        for line in ["FLUSHALL", "KEYSPACE DROP k"] {
            let cluster = cluster()
            #expect(cluster.run(a, "KEYSPACE CREATE k") == "+OK\r\n")
            pass(cluster, turns: 20)
            #expect(cluster.reply(a) == "+OK\r\n")
            fill(cluster, "k:", 300)
            #expect(cluster.run(b, line) == "+OK\r\n")
            for node in cluster.ids {
                #expect(cluster.run(node, "DBSIZE") == ":0\r\n")
                #expect(cluster.run(node, "GET k:7 R 1") == "$-1\r\n")
                #expect(stored(cluster, node) > 200)
            }
            #expect(cluster.run(c, "SET k:7 again W ALL") == "+OK\r\n")
            #expect(cluster.run(a, "DBSIZE") == ":1\r\n")
            pass(cluster, turns: 30)
            for node in cluster.ids {
                #expect(stored(cluster, node) == 1)
                #expect(cluster.run(node, "GET k:7 R 1") == "$5\r\nagain\r\n")
                #expect(cluster.run(node, "DBSIZE") == ":1\r\n")
            }
        }
    }

    @Test("a keyspace that takes keys over is answered for when all nodes count them")
    func created() {
        let cluster = cluster()
        fill(cluster, "k:", 300)
        fill(cluster, "other:", 100)
        #expect(cluster.run(a, "KEYSPACE CREATE k r=1 w=1") == "")
        for node in cluster.ids {
            #expect(ask(cluster, node, "DBSIZE") == ":400\r\n")
            #expect(ask(cluster, node, "GET k:7") == "$1\r\nv\r\n")
        }
        #expect(ask(cluster, a, "DEL k:7") == ":1\r\n")
        pass(cluster, turns: 30)
        #expect(cluster.reply(a) == "+OK\r\n")
        for node in cluster.ids {
            #expect(cluster.run(node, "KEYSPACE GET k").contains("keys\r\n$3\r\n299\r\n"))
            #expect(cluster.run(node, "KEYSPACE GET default").contains("keys\r\n$3\r\n100\r\n"))
        }
    }

    @Test("changes that come while records still follow an earlier one are answered as well")
    func severalAtOnce() {
        let cluster = cluster()
        fill(cluster, "k:", 200)
        fill(cluster, "l:", 200)
        #expect(cluster.run(a, "KEYSPACE CREATE k") == "")
        pass(cluster, turns: 2)
        #expect(ask(cluster, b, "KEYSPACE CREATE l") == "")
        pass(cluster, turns: 1)
        #expect(ask(cluster, c, "KEYSPACE DROP k") == "")
        pass(cluster, turns: 60)
        #expect(cluster.reply(a) == "+OK\r\n")
        #expect(cluster.reply(b, ConnectionID(9)) == "+OK\r\n")
        #expect(cluster.reply(c, ConnectionID(9)) == "+OK\r\n")
        for node in cluster.ids {
            #expect(cluster.run(node, "DBSIZE") == ":200\r\n")
            #expect(stored(cluster, node) == 200)
        }
    }

    @Test("a survey of a name that nobody defined counts every record under it")
    func surveyed() {
        let cluster = cluster()
        fill(cluster, "k:", 200)
        fill(cluster, "other:", 200)
        #expect(cluster.run(a, "KEYSPACE CREATE k n=1 r=1 w=1") == "")
        pass(cluster, turns: 40)
        #expect(cluster.reply(a).contains("hold 600 such records"))
        #expect(cluster.run(b, "SET k:1 w") == "+OK\r\n")
        #expect(cluster.run(a, "KEYSPACE CREATE empty n=1 r=1 w=1") == "")
        #expect(ask(cluster, b, "SET empty:1 v").hasPrefix("-UNAVAILABLE the keyspace is being"))
        pass(cluster, turns: 80)
        #expect(cluster.reply(a) == "+OK\r\n")
        #expect(cluster.run(c, "SET empty:1 v") == "+OK\r\n")
    }

    @Test("a keyspace that is known is surveyed without looking at a record")
    func surveyedAtOnce() {
        let cluster = cluster()
        #expect(cluster.run(a, "KEYSPACE CREATE k") == "+OK\r\n")
        fill(cluster, "k:", 200)
        #expect(cluster.run(a, "KEYSPACE ALTER k n=1 r=1 w=1").contains("hold 600 such records"))
    }

    @Test("what is settled is collected some records a turn")
    func collected() {
        let cluster = cluster()
        cluster.pass(milliseconds: 600, by: 20)
        for key in 0..<300 { #expect(cluster.run(a, "SET {t}\(key) v W ALL") == "+OK\r\n") }
        for key in 0..<300 { #expect(cluster.run(a, "DEL {t}\(key)") == ":1\r\n") }
        cluster.pass(milliseconds: 1_000, by: 20)
        for _ in 0..<60 where cluster.ids.contains(where: { stored(cluster, $0) > 0 }) {
            pass(cluster, turns: 100)
        }
        #expect(cluster.ids.map { stored(cluster, $0) } == [0, 0, 0])
    }

    @Test("a checkpoint of records that are not kept on disk goes on in bounded pieces as well")
    func exported() {
        let cluster = cluster(1)
        #expect(cluster.run(a, "KEYSPACE CREATE m durability=memory") == "+OK\r\n")
        pass(cluster, turns: 20)
        fill(cluster, "m:", 300)
        fill(cluster, "kept:", 300)
        var (cursor, pieces, records) = (UInt64?.none, 0, 0)
        repeat {
            var piece = ByteBuffer(capacity: 16)
            cursor = cluster.with(a) { $0.exportState(from: cursor, bytesMax: 8_192, into: &piece) }
            #expect(piece.count <= 8_192 + 1_024)
            pieces += 1
            var reader = ByteReader(piece.bytes)
            while reader.remaining > 0 {
                guard let length: UInt32 = try? reader.integer(),
                    let payload = try? reader.slice(Int(length))
                else { break }
                if payload.first == JournalKind.record.rawValue { records += 1 }
            }
        } while cursor != nil
        #expect(records == 300)
        #expect(pieces >= 600 * WorkBudget.recordUnits / units)
    }

    /// A record is one payload of the journal and is written in one turn, however large it is: the
    /// largest has `recordBytesMax`.
    @Test("a piece of a checkpoint holds one large typed value, and little beside it")
    func exportedLarge() {
        let cluster = cluster(1)
        #expect(cluster.run(a, "KEYSPACE CREATE t conflict=crdt") == "+OK\r\n")
        let filling = String(repeating: "x", count: 80)
        for key in 0..<12 {
            let members = (0..<400).map { "\($0)\(filling)" }.joined(separator: " ")
            #expect(ask(cluster, a, "SADD t:\(key) \(members)") == ":400\r\n")
        }
        fill(cluster, "small:", 100)
        var (cursor, large) = (UInt64?.none, [0])
        repeat {
            var piece = ByteBuffer(capacity: 16)
            cursor = cluster.with(a) { $0.exportState(from: cursor, bytesMax: 8_192, into: &piece) }
            var (count, others) = (0, 0)
            var reader = ByteReader(piece.bytes)
            while reader.remaining > 0 {
                guard let length: UInt32 = try? reader.integer(),
                    let payload = try? reader.slice(Int(length))
                else { break }
                if payload.count > 8_192 { count += 1 } else { others += payload.count }
            }
            #expect(others <= 8_192 + 1_024)
            large.append(count)
        } while cursor != nil
        #expect(large.max() == 1 && large.reduce(0, +) == 12)
    }

    @Test("whatever is changed and written meanwhile, every node ends with what the last one has")
    func changedAtRandom() {
        var random = PRNG(seed: 11)
        let cluster = cluster()
        for node in cluster.ids { cluster.open(node, ConnectionID(9)) }
        for _ in 0..<1_500 {
            let node = cluster.ids[random.below(3)]
            let name = ["p", "q", "r"][random.below(3)]
            let key = "\(name):\(random.below(60))"
            let line =
                switch random.below(60) {
                case 0: "KEYSPACE CREATE \(name) conflict=lww"
                case 1: "KEYSPACE DROP \(name)"
                case 2: "FLUSHALL"
                case 3: "KEYSPACE ALTER \(name) readrepair=\(random.below(9))"
                case 4...12: "DEL \(key)"
                default: "SET \(key) \(random.below(1_000)) W ALL"
                }
            cluster.send(node, ConnectionID(9), Array((line + "\r\n").utf8))
            cluster.settle()
            if random.below(4) == 0 { pass(cluster, turns: 1) }
        }
        cluster.pass(milliseconds: 20_000, by: 20)
        let sizes = cluster.ids.map { cluster.run($0, "DBSIZE") }
        #expect(Set(sizes).count == 1)
        let roots = cluster.ids.map { id in
            cluster.with(id) { node in
                node.checkInvariants(recounting: true)
                #expect(!node.background.isPending)
                var roots: [UInt64] = []
                for range in KeyRange.all { roots.append(node.tree(3, range).root) }
                return roots
            }
        }
        #expect(roots[0] == roots[1] && roots[1] == roots[2])
    }
}
