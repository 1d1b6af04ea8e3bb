import Base
import Testing

@testable import Replication

@Suite("Nobody is asked for more answers than come in time")
struct AnswerWindowTests {
    let a = NodeID(1)
    let b = NodeID(2)
    let c = NodeID(3)
    private static let valueBytes = 1_000_000

    /// A cluster whose keys k0 to k19 have a megabyte each everywhere, and whose answers to `a`
    /// take some milliseconds.
    private func cluster(answersTake milliseconds: UInt64) -> Cluster {
        let cluster = Cluster(3)
        cluster.open(a, ConnectionID(0))
        let value = String(repeating: "x", count: AnswerWindowTests.valueBytes)
        for key in 0..<20 {
            let reply = cluster.ask(a, ConnectionID(0), ["SET", "k\(key)", value, "W", "ALL"])
            #expect(reply == "+OK\r\n")
        }
        cluster.slow = [[b, a]: milliseconds, [c, a]: milliseconds]
        return cluster
    }

    /// Sends what pipelining clients have as far as the node takes it, until all is answered.
    ///
    /// - Returns: the most bytes of answers that one node owed at any time.
    private func serve(
        _ cluster: Cluster, _ requests: [[UInt8]], each stride: UInt64 = 5
    ) -> Int {
        var rests = requests.map { $0[...] }
        var most = 0
        for number in requests.indices { cluster.open(a, ConnectionID(UInt32(number + 1))) }
        for _ in 0..<4_000 {
            for number in requests.indices {
                let connection = ConnectionID(UInt32(number + 1))
                var consumed = 1
                while consumed > 0, !rests[number].isEmpty {
                    consumed = cluster.send(a, connection, Array(rests[number]))
                    rests[number] = rests[number].dropFirst(consumed)
                }
            }
            cluster.settle()
            cluster.with(a) { node in
                node.checkInvariants()
                most = max(most, node.links.map(\.answers.underWay).max() ?? 0)
            }
            if cluster.with(a, { $0.operationsUnderWay == 0 }), rests.allSatisfy(\.isEmpty) {
                break
            }
            cluster.pass(milliseconds: stride, by: stride)
        }
        return most
    }

    private func gets(_ count: Int, from first: Int) -> [UInt8] {
        (0..<count).flatMap { Cluster.request(["GET", "k\((first + $0) % 20)"]) }
    }

    private var answerBytes: Int { "$1000000\r\n\r\n".utf8.count + AnswerWindowTests.valueBytes }

    @Test("twenty clients that pipeline large reads get all of them, and nobody owes much at once")
    func manyLargeReads() {
        let cluster = cluster(answersTake: 200)
        let most = serve(cluster, (0..<20).map { gets(4, from: $0) }, each: 50)
        #expect(most <= AnswerWindow.bytesMax + AnswerWindowTests.valueBytes + 128)
        for number in 1...20 {
            let count = cluster.replies[a]?[ConnectionID(UInt32(number))]?.count
            #expect(count == 4 * answerBytes)
        }
        // All of it takes several times as long as one request may: their time begins when
        // replicas are asked.
        #expect(cluster.counters(a).requestsHeldBack >= 20)
        #expect(cluster.counters(a).unavailable == 0)
        #expect(cluster.counters(a).lateAnswers == 0)
    }

    @Test("what needs no answers of others goes on beside reads that wait")
    func othersGoOn() {
        let cluster = cluster(answersTake: 50)
        for number in 1...6 {
            let connection = ConnectionID(UInt32(number))
            cluster.open(a, connection)
            cluster.send(a, connection, gets(4, from: number))
        }
        #expect(cluster.with(a) { $0.links.count { $0.answers.isFull } } == 2)
        #expect(cluster.ask(a, ConnectionID(0), ["GET", "k0", "R", "1"]).hasPrefix("$1000000"))
        #expect(cluster.ask(a, ConnectionID(0), ["PING"]) == "+PONG\r\n")
        let held = cluster.counters(a).requestsHeldBack
        cluster.open(a, ConnectionID(9))
        let set = Cluster.request(["SET", "small", "v"])
        #expect(cluster.send(a, ConnectionID(9), set) == set.count)
        cluster.pass(milliseconds: 60)
        #expect(cluster.reply(a, ConnectionID(9)) == "+OK\r\n")
        #expect(cluster.send(a, ConnectionID(0), Cluster.request(["GET", "k1", "R", "ALL"])) >= 0)
        #expect(cluster.counters(a).requestsHeldBack >= held)
    }

    @Test("the keys of one request are asked for as others are")
    func manyKeys() {
        let cluster = cluster(answersTake: 50)
        let keys = (0..<40).map { "k\($0 % 20)" }
        let most = serve(cluster, [Cluster.request(["MGET"] + keys)])
        #expect(most <= AnswerWindow.bytesMax + AnswerWindowTests.valueBytes + 128)
        let reply = cluster.replies[a]?[ConnectionID(1)]
        #expect(reply?.count == "*40\r\n".utf8.count + 40 * answerBytes)
    }

    @Test("a link that breaks while reads wait for its node lets them go on with others")
    func brokenLink() {
        let cluster = cluster(answersTake: 50)
        for number in 1...8 {
            let connection = ConnectionID(UInt32(number))
            cluster.open(a, connection)
            cluster.send(a, connection, gets(3, from: number))
        }
        cluster.unlink(a, b)
        cluster.with(a) { node in
            node.checkInvariants()
            #expect(node.links[1].answers.line.isEmpty)
            #expect(node.links[1].answers.underWay == 0)
        }
    }

    @Test("the limit falls when time runs out while it is reached, and rises with what comes")
    func limit() {
        var window = AnswerWindow()
        let half = AnswerWindow.bytesMax / 2
        window.ask(half)
        window.giveUp(half, askedAt: 5, now: 10)
        #expect(window.limit == AnswerWindow.bytesMax)
        window.cameLate(now: 11)
        window.ask(half)
        window.ask(half)
        window.ask(half)
        #expect(window.isFull)
        window.giveUp(half, askedAt: 12, now: 20)
        #expect(window.limit == half)
        #expect(window.overdue.bytes == half)
        window.giveUp(half, askedAt: 12, now: 21)
        #expect(window.limit == half)
        window.settle(half)
        #expect(window.isFull)
        window.cameLate(now: 30)
        window.cameLate(now: 31)
        #expect(!window.isFull)
        window.grow(by: half)
        #expect(window.limit == half + half / 8)
        for _ in 0..<100 { window.grow(by: half) }
        #expect(window.limit == AnswerWindow.bytesMax)
    }

    @Test("answers that were lost are not expected for ever")
    func lost() {
        var window = AnswerWindow()
        window.ask(AnswerWindow.bytesMax)
        window.giveUp(AnswerWindow.bytesMax, askedAt: nil, now: 1_000_000_000)
        #expect(window.isFull)
        window.tend(now: 1_500_000_000)
        #expect(window.isFull)
        window.tend(now: 2_000_000_000)
        #expect(!window.isFull)
    }
}
