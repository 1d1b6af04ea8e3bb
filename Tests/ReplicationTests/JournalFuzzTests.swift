import Base
import Coding
import Testing

@testable import Causality
@testable import Replication

private let (a, b, c) = (NodeID(1), NodeID(2), NodeID(3))

/// A checksum only says that a payload is what was written. What another program version, a
/// defective memory or a hostile member brought there is held to the layout all the same.
@Suite("Journal payloads of any content behind a right checksum")
struct JournalFuzzTests {
    private static let recordBytesMax = 256 << 10
    private static let keys = ["k", "s:1", "one:1", "t:1", "h:1", "k2", "s:2", "t:2"]

    private func node(of members: Int) -> Cluster {
        let cluster = Cluster(members) { $0.recordBytesMax = JournalFuzzTests.recordBytesMax }
        for keyspace in [
            "s conflict=siblings timeout=60", "one n=1 timeout=60", "t conflict=crdt timeout=60",
            members > 1 ? "h sloppy=on timeout=60" : "h conflict=crdt",
        ] { #expect(cluster.run(a, "KEYSPACE CREATE \(keyspace)") == "+OK\r\n") }
        return cluster
    }

    private func refusal(_ payload: [UInt8], of cluster: Cluster) -> DecodeError? {
        payload.withUnsafeBytes { bytes in
            cluster.with(a) { node in
                do throws(DecodeError) {
                    try node.restore(bytes)
                    return nil
                } catch {
                    return error
                }
            }
        }
    }

    @Test("most of what is composed is well-formed, of every kind")
    func composed() {
        for kind in KnownKinds.journal {
            var hostility = Hostility(
                random: PRNG(seed: 1), wall: 1_700_000_000_000, recorded: [])
            var refusals: [DecodeError] = []
            for _ in 0..<20 {
                let cluster = Cluster(1)
                let digest = cluster.with(a) { $0.ring.digest }
                for _ in 0..<5 {
                    let payload = hostility.payload(of: kind, ringDigest: digest)
                    if let refusal = refusal(payload, of: cluster) { refusals.append(refusal) }
                }
            }
            #expect(refusals.count < 50, "\(kind): \(String(describing: refusals.first))")
        }
    }

    @Test(
        "whatever a journal holds, the node serves, and what it writes in turn can be read",
        arguments: 0..<24)
    func restored(seed: UInt64) throws {
        let cluster = node(of: seed % 4 == 0 ? 1 : 3)
        let journal = cluster.journals[a] ?? []
        cluster.start(a, epoch: 1 << 42)
        cluster.journals[a] = []
        for payload in journal { #expect(refusal(payload, of: cluster) == nil) }
        var hostility = Hostility(
            random: PRNG(seed: seed), wall: cluster.wall[a] ?? 0, recorded: [])
        // What is of another kind than its keyspace is another suite's.
        hostility.fitsKeyspaces = true
        var mutation = Mutation(seed: seed, messages: Cluster.recordedJournal())
        let digest = cluster.with(a) { $0.ring.digest }
        var refused = 0
        for _ in 0..<60 {
            var payload =
                hostility.random.below(3) == 0
                ? mutation.original()
                : hostility.payload(
                    of: hostility.one(of: KnownKinds.journal), ringDigest: digest)
            if hostility.random.below(4) == 0 { mutation.damage(&payload) }
            if refusal(payload, of: cluster) != nil { refused += 1 }
        }
        #expect(refused < 40)
        cluster.with(a) { $0.checkInvariants(recounting: true) }
        cluster.rebirths = [:]
        serve(cluster)
        try expectReadable(cluster)
    }

    /// The node meets the others and does everything with every key.
    private func serve(_ cluster: Cluster) {
        cluster.meet(a)
        cluster.pass(milliseconds: 2_000, by: 100)
        let client = ConnectionID(9)
        cluster.open(a, client)
        // Who hears of a later life of its own begins another one, and serves nobody till then.
        for key in JournalFuzzTests.keys where cluster.rebirths[a] == nil {
            for line in [
                "EXPIRE \(key) 100", "GET \(key)", "QGET \(key)", "SADD \(key) m",
                "HINCRBY \(key) f 1", "INCR \(key)", "PERSIST \(key)", "TYPE \(key)",
                "IDEMPOTENCY i SET \(key) v", "DEL \(key)", "SET \(key) w",
            ] {
                cluster.replies[a]?[client] = []
                cluster.send(a, client, Array("\(line)\r\n".utf8))
                cluster.settle()
                if cluster.reply(a, client).isEmpty { cluster.pass(milliseconds: 6_000, by: 50) }
                let reply = cluster.replies[a]?[client] ?? []
                #expect(reply.withUnsafeBytes { $0.isOneReply(in: .resp2) }, "\(line): \(reply)")
            }
        }
        cluster.with(a) { $0.checkInvariants(recounting: true) }
    }

    /// Both what the node has journaled since and a checkpoint of all that it holds.
    private func expectReadable(_ cluster: Cluster) throws {
        var checkpoint: [[UInt8]] = []
        var cursor: UInt64?
        repeat {
            var buffer = ByteBuffer(capacity: 64)
            cursor = cluster.with(a) {
                $0.exportState(from: cursor, bytesMax: 4_096, into: &buffer)
            }
            var reader = ByteReader(buffer.bytes)
            while reader.remaining > 0 {
                let length = Int(try reader.integer(UInt32.self))
                checkpoint.append(Array(try reader.slice(length)))
            }
        } while cursor != nil
        for payloads in [cluster.journals[a] ?? [], checkpoint] {
            cluster.start(a, epoch: 1 << 43)
            for payload in payloads {
                #expect(payload.count <= JournalFuzzTests.recordBytesMax + 64)
                #expect(refusal(payload, of: cluster) == nil, "\(payload.prefix(200))")
            }
            cluster.with(a) { $0.checkInvariants(recounting: true) }
        }
    }
}
