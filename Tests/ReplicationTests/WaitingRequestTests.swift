import Base
import Testing

@testable import RESP
@testable import Replication

@Suite("A request that waits for earlier ones of its connection")
struct WaitingRequestTests {
    private let a = NodeID(1)
    private let connection = ConnectionID(1)
    private let count = 50

    /// A connection that waits for the replies of 50 reads, which come a millisecond apart.
    private func waiting() -> Cluster {
        let cluster = Cluster(3)
        for number in 0..<count {
            #expect(cluster.run(a, "SET k\(number) v W ALL") == "+OK\r\n")
        }
        for other in cluster.ids where other != a { cluster.slow[[other, a]] = 300 }
        cluster.open(a, connection)
        for number in 0..<count {
            let request = Cluster.request(["GET", "k\(number)", "R", "ALL", "TIMEOUT", "10000"])
            #expect(cluster.send(a, connection, request) == request.count)
            cluster.pass(milliseconds: 1)
        }
        #expect(cluster.reply(a, connection) == "")
        return cluster
    }

    /// Offers the bytes of a request again, as a driver does after each reply.
    ///
    /// - Returns: whether the node looked for a request in them.
    private func isParsed(_ request: [UInt8], _ cluster: Cluster) -> Bool {
        cluster.with(a) { $0.request.consumed = -1 }
        cluster.send(a, connection, request)
        return cluster.with(a) { $0.request.consumed } != -1
    }

    @Test(
        "it is parsed when it comes and when it may go on, and not at the replies in between",
        arguments: [["INFO"], ["SET", "k49", "w"], ["MGET", "k1", "k49"]])
    func parsedTwice(_ words: [String]) {
        let cluster = waiting()
        let request = Cluster.request(words)
        #expect(isParsed(request, cluster))
        var (replies, parses) = (0, 0)
        for _ in 0..<2_000 where replies < count {
            cluster.pass(milliseconds: 1)
            let answered = cluster.reply(a, connection).split(separator: "$1\r\nv").count
            guard answered > replies else { continue }
            replies = answered
            parses += isParsed(request, cluster) ? 1 : 0
        }
        #expect(replies >= count)
        #expect(parses == 1)
        #expect(cluster.with(a) { $0.request.consumed } == request.count)
    }
}
