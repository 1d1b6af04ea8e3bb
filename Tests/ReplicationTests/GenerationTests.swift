import Base
import Ring
import Testing

@testable import Replication

/// What a changed list of members does to what its nodes hold: nothing is lost, and nothing that
/// was deleted comes back.
@Suite("A list of members that changes loses nothing and brings nothing back")
struct GenerationTests {
    let a = NodeID(1)
    let b = NodeID(2)
    let c = NodeID(3)
    let d = NodeID(4)

    private static func quick(_ configuration: inout NodeConfiguration) {
        configuration.collectionGraceMilliseconds = 1_200
        configuration.collectionMilliseconds = 400
        configuration.hintMillisecondsMax = 3_000
    }

    func cluster(_ count: Int) -> Cluster {
        let cluster = Cluster(count, GenerationTests.quick)
        cluster.pass(milliseconds: 600, by: 20)
        return cluster
    }

    /// The next cluster, in which nodes of another one begin anew on their journals; those of the
    /// list that are not named have new directories.
    func change(
        _ former: Cluster, to count: Int, starting ids: [NodeID], epoch: UInt64 = 2,
        apart: Bool = false
    ) throws -> Cluster {
        let next = Cluster(count, GenerationTests.quick)
        next.time = former.time
        for id in next.ids { next.wall[id] = former.wall[id] ?? former.wall[a] }
        for id in next.ids { next.start(id, epoch: epoch * 1_000) }
        for id in next.ids { next.journals[id] = former.journals[id] ?? [] }
        for id in ids {
            // Without what the new directory has come to hold while others were restarted.
            next.journals[id] = former.journals[id] ?? []
            try next.restartAlone(id, epoch: epoch * 1_000)
        }
        if !apart { join(next, next.ids) }
        return next
    }

    func join(_ cluster: Cluster, _ ids: [NodeID]) {
        for one in ids { for other in ids where one != other { cluster.link(one, other) } }
        cluster.settle()
    }

    /// `a` and `b`, with keys and with as many that were deleted and forgotten.
    func two(_ settings: String = "n=2 r=2 w=2") -> Cluster {
        let cluster = cluster(2)
        #expect(cluster.run(a, "KEYSPACE CREATE s \(settings)") == "+OK\r\n")
        for key in 0..<100 { #expect(cluster.run(a, "SET s:\(key) v") == "+OK\r\n") }
        for key in 0..<100 { #expect(cluster.run(a, "SET s:gone\(key) v") == "+OK\r\n") }
        for key in 0..<100 { #expect(cluster.run(b, "DEL s:gone\(key)") == ":1\r\n") }
        cluster.pass(milliseconds: 12_000, by: 50)
        return cluster
    }

    func ask(_ cluster: Cluster, _ node: NodeID, _ line: String) -> String {
        let reply = cluster.run(node, line)
        guard reply.isEmpty else { return reply }
        cluster.pass(milliseconds: 1_200, by: 20)
        return cluster.reply(node)
    }

    func isClosed(_ cluster: Cluster) -> Bool {
        cluster.ids.allSatisfy { id in cluster.with(id) { $0.generation.isClosed } }
    }

    func expectAll(_ cluster: Cluster, _ level: String = "R ALL") {
        for key in 0..<100 {
            #expect(ask(cluster, d, "GET s:\(key) \(level)") == "$1\r\nv\r\n", "\(key)")
            #expect(ask(cluster, d, "GET s:gone\(key) \(level)") == "$-1\r\n", "\(key)")
        }
        for id in cluster.ids { cluster.with(id) { $0.checkInvariants(recounting: true) } }
    }

    @Test("two nodes become four: ranges whose replicas are both new lose nothing")
    func doubled() throws {
        let cluster = try change(two(), to: 4, starting: [a, b])
        cluster.pass(milliseconds: 8_000, by: 20)
        #expect(isClosed(cluster))
        expectAll(cluster)
        cluster.pass(milliseconds: 20_000, by: 50)
        expectAll(cluster)
        let held = cluster.ids.map { id in
            Int(cluster.run(id, "DBSIZE").dropFirst().dropLast()) ?? -1
        }
        #expect(held.reduce(0, +) == 200, "what a node does not replicate any more is dropped")
    }

    @Test("a node whose disk is full when it has handed over says so once there is room")
    func fullDisk() throws {
        let cluster = try change(two(), to: 4, starting: [a, b])
        cluster.step(d, .disk(.deletions))
        cluster.pass(milliseconds: 5_000, by: 20)
        #expect(!isClosed(cluster))
        cluster.step(d, .disk(.free))
        cluster.pass(milliseconds: 5_000, by: 20)
        #expect(isClosed(cluster))
    }

    @Test("until every former owner has come nothing is whole, promised, settled or forgotten")
    func late() throws {
        let cluster = try change(two(), to: 4, starting: [b], apart: true)
        join(cluster, [b, c, d])
        cluster.pass(milliseconds: 8_000, by: 20)
        for id in [b, c, d] {
            cluster.with(id) { node in
                #expect(!node.generation.isClosed && node.isRefilling)
                #expect(node.refillFigures.waitingFor.contains(a))
                #expect(node.settledAlone.rawValue == 0)
            }
        }
        #expect(ask(cluster, c, "GET s:1").hasPrefix("-UNAVAILABLE"))
        try cluster.restartAlone(a, epoch: 3_000)
        join(cluster, cluster.ids)
        cluster.pass(milliseconds: 8_000, by: 20)
        #expect(isClosed(cluster))
        expectAll(cluster)
    }

    @Test("what is deleted while a former owner is away stays deleted when it comes, n=1 as well")
    func deletedMeanwhile() throws {
        for settings in ["n=1", "n=2 r=2 w=2"] {
            let cluster = try change(two(settings), to: 4, starting: [b], apart: true)
            join(cluster, [b, c, d])
            cluster.pass(milliseconds: 1_000, by: 20)
            var deleted: [Int] = []
            for key in 0..<100 where key % 2 == 0 {
                let reply = ask(cluster, d, "DEL s:\(key) TIMEOUT 100")
                if reply.hasPrefix(":") || ask(cluster, d, "DEL s:\(key)").hasPrefix(":") {
                    deleted.append(key)
                }
            }
            #expect(deleted.count > 20)
            cluster.pass(milliseconds: 12_000, by: 50)
            try cluster.restartAlone(a, epoch: 3_000)
            join(cluster, cluster.ids)
            cluster.pass(milliseconds: 20_000, by: 50)
            #expect(isClosed(cluster))
            for key in 0..<100 {
                let expected = deleted.contains(key) ? "$-1\r\n" : "$1\r\nv\r\n"
                guard deleted.contains(key) || key % 2 == 1 else { continue }
                #expect(ask(cluster, c, "GET s:\(key)") == expected, "\(settings) \(key)")
            }
        }
    }

    @Test(
        "with one replica a SET meanwhile wins, and what reads and writes waits for the old value")
    func oneReplica() throws {
        let two = two("n=1")
        #expect(two.run(a, "KEYSPACE CREATE t n=1 conflict=crdt") == "+OK\r\n")
        for key in 0..<20 { #expect(two.run(a, "INCRBY t:\(key) 5") == ":5\r\n") }
        let cluster = try change(two, to: 4, starting: [b], apart: true)
        join(cluster, [b, c, d])
        cluster.pass(milliseconds: 1_000, by: 20)
        var set = Set<Int>()
        for key in 0..<100 where ask(cluster, c, "SET s:\(key) new") == "+OK\r\n" {
            set.insert(key)
            #expect(ask(cluster, c, "GET s:\(key)").hasPrefix("-"))
            #expect(ask(cluster, c, "APPEND s:\(key) x").hasPrefix("-"))
            #expect(ask(cluster, c, "SET s:\(key) x NX").hasPrefix("-"))
        }
        #expect(set.count > 20)
        for key in 0..<20 { #expect(ask(cluster, c, "INCR t:\(key)").hasPrefix("-")) }
        try cluster.restartAlone(a, epoch: 3_000)
        join(cluster, cluster.ids)
        cluster.pass(milliseconds: 8_000, by: 20)
        for key in 0..<100 {
            let expected = set.contains(key) ? "$3\r\nnew\r\n" : "$1\r\nv\r\n"
            #expect(ask(cluster, d, "GET s:\(key)") == expected)
        }
        for key in 0..<20 { #expect(ask(cluster, d, "INCR t:\(key)") == ":6\r\n") }
    }

    @Test("hints for a node that the list does not give their keys go where they belong")
    func hints() throws {
        let four = cluster(4)
        #expect(four.run(a, "KEYSPACE CREATE s n=2 r=1 w=1 sloppy=on") == "+OK\r\n")
        four.pass(milliseconds: 500, by: 20)
        for id in [a, b, c] { four.unlink(id, d) }
        // Only a hint has what is written while both replicas of a key are away.
        four.unlink(c, a)
        four.unlink(c, b)
        for key in 0..<100 { #expect(four.run(a, "SET s:\(key) v") == "+OK\r\n") }
        let kept = [a, b].reduce(0) { sum, id in
            sum + four.with(id) { $0.linkFigures.reduce(0) { $0 + $1.hints } }
        }
        #expect(kept > 10)
        let cluster = try change(four, to: 3, starting: [a, b, c])
        cluster.pass(milliseconds: 8_000, by: 20)
        #expect(isClosed(cluster))
        for key in 0..<100 {
            #expect(ask(cluster, c, "GET s:\(key) R ALL") == "$1\r\nv\r\n", "\(key)")
        }
        for id in cluster.ids { cluster.with(id) { $0.checkInvariants(recounting: true) } }
    }

    @Test("a list, another one, and the first again: what was whole at first counts no more")
    func backAgain() throws {
        let four = cluster(4)
        #expect(four.run(a, "KEYSPACE CREATE s n=3 r=1 w=3 floor=strong") == "+OK\r\n")
        for key in 0..<50 { #expect(four.run(a, "SET s:\(key) old") == "+OK\r\n") }
        four.pass(milliseconds: 3_000, by: 20)
        let three = try change(four, to: 3, starting: [a, b, c])
        three.pass(milliseconds: 3_000, by: 20)
        for key in 0..<50 { #expect(three.run(a, "SET s:\(key) new") == "+OK\r\n") }
        // One node was never told of the list in between, and says that it had closed.
        three.journals[d] = four.journals[d]
        let again = try change(three, to: 4, starting: [a, b, c, d], epoch: 3, apart: true)
        join(again, [d])
        for first in [a, b, c] {
            again.link(first, d)
            again.link(d, first)
            again.settle()
            for key in 0..<50 {
                #expect(ask(again, d, "GET s:\(key) R 1 TIMEOUT 50") != "$3\r\nold\r\n")
            }
        }
        join(again, again.ids)
        again.pass(milliseconds: 8_000, by: 20)
        #expect(isClosed(again))
        for key in 0..<50 {
            for id in again.ids {
                #expect(ask(again, id, "GET s:\(key) R 1") == "$3\r\nnew\r\n")
            }
        }
    }
}

extension GenerationTests {
    @Test("a process that ends at any moment of the hand-over costs nothing")
    func crashes() throws {
        let former = two()
        for moment in stride(from: 0, to: 40, by: 3) {
            let cluster = try change(former, to: 4, starting: [a, b], apart: true)
            join(cluster, cluster.ids)
            cluster.pass(milliseconds: UInt64(moment) * 20, by: 20)
            let victim = cluster.ids[moment % 4]
            let journal = cluster.journals[victim, default: []]
            try cluster.restart(victim, epoch: 9_000, on: journal, after: 2_000)
            cluster.pass(milliseconds: 9_000, by: 30)
            #expect(isClosed(cluster))
            for key in 0..<100 {
                #expect(ask(cluster, d, "GET s:\(key) R ALL") == "$1\r\nv\r\n", "\(moment) \(key)")
            }
        }
    }

    @Test("a new cluster closes when all have met, and a lost disk when it hears one that has")
    func lostDisk() throws {
        let three = Cluster(3, GenerationTests.quick)
        #expect(isClosed(three))
        #expect(three.run(a, "KEYSPACE CREATE s n=3 r=2 w=2 floor=strong") == "+OK\r\n")
        for key in 0..<20 { #expect(three.run(a, "SET s:\(key) v") == "+OK\r\n") }
        three.pass(milliseconds: 2_000, by: 20)
        three.isolate(c)
        try three.restart(b, epoch: 2, on: [])
        three.pass(milliseconds: 1_000, by: 20)
        #expect(three.with(b) { $0.generation.isClosed })
    }

    @Test("a member that never comes is given up by the operator, and named until then")
    func givenUp() throws {
        let cluster = try change(two(), to: 4, starting: [a, b], apart: true)
        join(cluster, [a, b, c])
        cluster.pass(milliseconds: 5_000, by: 20)
        #expect(!cluster.with(a) { $0.generation.isClosed })
        for id in [a, b, c] {
            #expect(cluster.with(id) { $0.refillFigures.waitingFor }.contains(d))
            #expect(cluster.run(id, "CLUSTER REFILL WITHOUT 4") == "+OK\r\n")
        }
        cluster.pass(milliseconds: 8_000, by: 20)
        for id in [a, b, c] { #expect(cluster.with(id) { $0.generation.isClosed }) }
    }

    @Test(
        "what only members that were given up replicate stays, and is theirs when they come",
        arguments: [1, 2])
    func keptBack(n: Int) throws {
        let count = 2 + n
        let away = (3...count).map { NodeID(UInt16($0)) }
        let cluster = try change(
            two("n=\(n) r=\(n) w=\(n)"), to: count, starting: [a, b], apart: true)
        join(cluster, [a, b])
        cluster.pass(milliseconds: 3_000, by: 20)
        for id in [a, b] {
            #expect(cluster.with(id) { $0.refillFigures.waitingFor } == away)
            for node in away {
                #expect(cluster.run(id, "CLUSTER REFILL WITHOUT \(node.rawValue)") == "+OK\r\n")
            }
        }
        cluster.pass(milliseconds: 8_000, by: 20)
        for id in [a, b] { #expect(cluster.with(id) { $0.generation.isClosed && !$0.isRefilling }) }
        let answered = (0..<100).filter { ask(cluster, a, "GET s:\($0) R 1") == "$1\r\nv\r\n" }
        #expect(answered.count > 20)
        try cluster.restartAlone(a, epoch: 3_000)
        join(cluster, cluster.ids)
        cluster.pass(milliseconds: 12_000, by: 20)
        #expect(isClosed(cluster))
        for key in 0..<100 {
            for id in cluster.ids {
                #expect(ask(cluster, id, "GET s:\(key) R ALL") == "$1\r\nv\r\n", "\(key)")
                #expect(ask(cluster, id, "GET s:gone\(key) R ALL") == "$-1\r\n", "\(key)")
            }
        }
        for id in cluster.ids { cluster.with(id) { $0.checkInvariants(recounting: true) } }
    }
}
