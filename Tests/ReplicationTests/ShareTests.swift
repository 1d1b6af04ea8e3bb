import Base
import Coding
import Testing

@testable import Replication

@Suite("No client, keyspace or slow node takes the room of the others")
struct ShareTests {
    let a = NodeID(1)
    let b = NodeID(2)
    let c = NodeID(3)

    /// Offers a connection's bytes as long as the node takes any.
    private func offerAll(_ cluster: Cluster, _ connection: ConnectionID, _ bytes: [UInt8]) -> Int {
        var rest = bytes[...]
        while !rest.isEmpty {
            let consumed = cluster.send(a, connection, Array(rest))
            if consumed == 0 { break }
            rest = rest.dropFirst(consumed)
        }
        return bytes.count - rest.count
    }

    @Test("connections whose requests wait for a hanging node leave room for all others")
    func fairShares() {
        let cluster = Cluster(3) { $0.operationsMax = 4_096 }
        _ = cluster.run(a, "KEYSPACE CREATE other n=3 r=2 w=2 durability=memory")
        cluster.cut = [[a, c], [c, a]]
        for number in 1...64 {
            let connection = ConnectionID(UInt32(number))
            cluster.open(a, connection)
            let requests = (0..<1_024).flatMap {
                Cluster.request(["SET", "k\(number)-\($0)", "v", "W", "ALL", "TIMEOUT", "600000"])
            }
            _ = offerAll(cluster, connection, requests)
            cluster.settle()
        }
        cluster.with(a) { node in
            #expect(node.writes.count <= 2_048)
            #expect(node.writes.count > 1_024)
            node.checkInvariants()
        }
        let late = ConnectionID(100)
        cluster.open(a, late)
        #expect(cluster.ask(a, late, ["SET", "mine", "v"]) == "+OK\r\n")
        #expect(cluster.ask(a, late, ["SET", "other:mine", "v"]) == "+OK\r\n")
        #expect(cluster.counters(a).overloaded == 0)
    }

    @Test("typed writes that wait for a hanging node leave room as plain ones do")
    func fairSharesOfTyped() {
        let cluster = Cluster(3) { $0.operationsMax = 1_024 }
        let create = "KEYSPACE CREATE t conflict=crdt r=1 w=1 durability=memory"
        #expect(cluster.run(a, create) == "+OK\r\n")
        cluster.cut = [[a, c], [c, a]]
        for number in 1...32 {
            let connection = ConnectionID(UInt32(number))
            cluster.open(a, connection)
            let requests = (0..<128).flatMap {
                Cluster.request(["INCR", "t:\(number)-\($0)", "W", "ALL", "TIMEOUT", "600000"])
            }
            _ = offerAll(cluster, connection, requests)
            cluster.settle()
        }
        cluster.with(a) { node in
            #expect(node.writes.count <= 512)
            #expect(node.writes.count > 256)
            node.checkInvariants()
        }
        let late = ConnectionID(100)
        cluster.open(a, late)
        #expect(cluster.ask(a, late, ["INCR", "t:mine"]) == ":1\r\n")
        #expect(cluster.ask(a, late, ["SET", "mine", "v"]) == "+OK\r\n")
        #expect(cluster.counters(a).overloaded == 0)
    }

    @Test("one keyspace leaves half of the places for operations to the others")
    func keyspaceShares() {
        var slab = Slab<AdministrationOperation>(kind: .administration, capacity: 100)
        #expect(slab.room(for: 0) == 100)
        let head = OperationHead(target: .nobody, client: ClientContext(), deadline: 0, begunAt: 0)
        var ids: [OperationID] = []
        while slab.room(for: 0) > 0 {
            ids.append(
                slab.insert(
                    AdministrationOperation(
                        head: head, stage: .spreading(nil), waiting: 0)))
        }
        #expect(ids.count == 50)
        #expect(slab.room(for: 1) == 50)
        for id in ids { slab.remove(id) }
        #expect(slab.room(for: 0) == 100)
        #expect(slab.byteCount == 0)
        slab.checkInvariants()
    }

    @Test("a write goes on without a replica whose link is behind, and waits when it needs it")
    func behind() {
        let cluster = Cluster(3)
        cluster.open(a, ConnectionID(5))
        cluster.with(a) { $0.noteBacklog(of: b) }
        cluster.frames = []
        #expect(cluster.ask(a, ConnectionID(5), ["SET", "k", "v"]) == "+OK\r\n")
        let records = (cluster.frames ?? []).filter { $0[Frame.headerBytes] == 1 }
        #expect(records.count == 1)
        cluster.with(a) { $0.noteBacklog(of: c) }
        let set = Cluster.request(["SET", "k", "w"])
        #expect(cluster.send(a, ConnectionID(5), set) == 0)
        #expect(cluster.send(a, ConnectionID(5), set) == 0)
        cluster.open(a, ConnectionID(6))
        #expect(cluster.ask(a, ConnectionID(6), ["PING"]) == "+PONG\r\n")
        cluster.step(a, .relieved(c))
        #expect(cluster.ask(a, ConnectionID(5), ["SET", "k", "w"]) == "+OK\r\n")
        cluster.with(a) { $0.checkInvariants() }
    }

    @Test("answers wait while the link that they would take is behind")
    func owedAnswers() {
        let cluster = Cluster(3)
        cluster.open(a, ConnectionID(5))
        #expect(cluster.ask(a, ConnectionID(5), ["SET", "k", "v", "W", "ALL"]) == "+OK\r\n")
        cluster.with(b) { $0.noteBacklog(of: a) }
        cluster.with(c) { $0.noteBacklog(of: a) }
        #expect(cluster.ask(a, ConnectionID(5), ["GET", "k", "R", "ALL"]) == "")
        cluster.step(b, .relieved(a))
        cluster.settle()
        #expect(cluster.reply(a, ConnectionID(5)) == "")
        cluster.step(c, .relieved(a))
        cluster.settle()
        #expect(cluster.reply(a, ConnectionID(5)) == "$1\r\nv\r\n")
        #expect(cluster.counters(b).linksBehind == 1)
    }

    @Test("a link that is lost while it is behind is not waited for")
    func lostWhileBehind() {
        let cluster = Cluster(3)
        cluster.with(a) { $0.noteBacklog(of: b) }
        cluster.with(a) { $0.noteBacklog(of: c) }
        cluster.open(a, ConnectionID(5))
        #expect(cluster.send(a, ConnectionID(5), Cluster.request(["SET", "k", "v"])) == 0)
        cluster.unlink(a, b)
        cluster.unlink(a, c)
        let reply = cluster.ask(a, ConnectionID(5), ["SET", "k", "v"])
        #expect(reply.hasPrefix("-UNAVAILABLE"))
        cluster.with(a) { $0.checkInvariants() }
    }
}

@Suite("What a client asked for holds at the node that executes its command")
struct CarriedWishTests {
    /// A key that node 4 of four does not hold with n=3.
    private func foreignKey(_ cluster: Cluster) -> String {
        let keys = (0..<200).map { "t:k\($0)" }
        return keys.first { key in
            cluster.with(NodeID(4)) { node in
                Array(key.utf8).withUnsafeBytes { !node.isReplica(of: node.place(of: $0)) }
            }
        } ?? "t:none"
    }

    @Test("the connection's W holds for a command that is forwarded")
    func levels() {
        let cluster = Cluster(4)
        let client = NodeID(4)
        _ = cluster.run(client, "KEYSPACE CREATE t n=3 r=1 w=1 conflict=crdt durability=memory")
        let key = foreignKey(cluster)
        #expect(cluster.run(client, "INCR \(key)") == ":1\r\n")
        #expect(cluster.run(client, "CONSISTENCY W ALL TIMEOUT 50") == "+OK\r\n")
        #expect(cluster.run(client, "INCR \(key)") == ":2\r\n")
        for other in 1...3 {
            for another in 1...3 where another != other {
                cluster.cut.insert([NodeID(UInt16(other)), NodeID(UInt16(another))])
            }
        }
        #expect(cluster.run(client, "INCR \(key)") == "")
        cluster.pass(milliseconds: 60)
        #expect(cluster.reply(client).hasPrefix("-UNKNOWN 1 of 3"))
    }

    @Test("the time that a command has left holds as well")
    func timeout() {
        let cluster = Cluster(4)
        let client = NodeID(4)
        _ = cluster.run(client, "KEYSPACE CREATE t n=3 r=1 w=3 conflict=crdt durability=memory")
        let key = foreignKey(cluster)
        #expect(cluster.run(client, "CONSISTENCY TIMEOUT 30") == "+OK\r\n")
        for other in 1...3 {
            for another in 1...3 where another != other {
                cluster.cut.insert([NodeID(UInt16(other)), NodeID(UInt16(another))])
            }
        }
        #expect(cluster.run(client, "INCR \(key)") == "")
        cluster.pass(milliseconds: 40)
        #expect(cluster.reply(client).hasPrefix("-UNKNOWN 1 of 3"))
        for id in cluster.ids { #expect(cluster.with(id) { $0.operationsUnderWay } == 0) }
    }
}
