import Base
import Coding
import Testing

@testable import Causality
@testable import Replication

@Suite("Typed values that expire come back from the journal and from a checkpoint as they were")
struct TypedExpiryRecoveryTests {
    private let one = NodeID(1)
    private let two = NodeID(2)
    private let three = NodeID(3)

    /// A value of each type, and what changes it.
    private static let values: [(type: String, made: String, changed: String)] = [
        ("string", "SET K v", "APPEND K w"), ("counter", "INCRBY K 5", "INCR K"),
        ("flag", "QFLAG K ENABLE", "QFLAG K ENABLE"), ("set", "SADD K a b", "SADD K c"),
        ("hash", "HSET K f 1 g v", "HINCRBY K f 2"), ("zset", "ZADD K 1 a 2 b", "ZINCRBY K 3 a"),
        ("list", "RPUSH K a b", "LPUSH K c"),
    ]

    /// What is done to a value in the course of time, at this node and at others.
    private static let courses: [(name: String, steps: [String])] = [
        ("given", ["PEXPIRE K 60000"]), ("lasting", ["PEXPIRE K 60000", "PERSIST K"]),
        ("replaced", ["PEXPIRE K 60000", "PEXPIRE K 90000"]),
        ("inherited", ["PEXPIRE K 60000", "CHANGE", "CHANGE"]),
        ("again", ["PEXPIRE K 60000", "PERSIST K", "CHANGE", "PEXPIRE K 90000", "CHANGE"]),
        ("over", ["PEXPIRE K 300"]), ("gone", ["PEXPIRE K 60000", "DEL K"]),
    ]

    private static let keys = courses.flatMap { course in
        values.map { "c:\(course.name):\($0.type)" }
    }

    private func filled() -> Cluster {
        let cluster = Cluster(3)
        let create = "KEYSPACE CREATE c n=3 r=1 w=3 conflict=crdt"
        #expect(cluster.run(one, create) == "+OK\r\n")
        for (number, course) in TypedExpiryRecoveryTests.courses.enumerated() {
            for value in TypedExpiryRecoveryTests.values {
                let key = "c:\(course.name):\(value.type)"
                for (step, line) in ([value.made] + course.steps).enumerated() {
                    let node = cluster.ids[(number + step) % 3]
                    let line = (line == "CHANGE" ? value.changed : line)
                        .replacing(" K", with: " \(key)")
                    #expect(!cluster.run(node, line).hasPrefix("-"), "\(line)")
                    cluster.pass(milliseconds: 5)
                }
            }
        }
        cluster.pass(milliseconds: 2_000)
        return cluster
    }

    /// The record of each key, its header and its state.
    private func records(_ cluster: Cluster) -> [[UInt8]] {
        cluster.with(two) { node in
            TypedExpiryRecoveryTests.keys.map { key in
                Array(key.utf8).withUnsafeBytes { key in
                    var buffer = ByteBuffer()
                    let record = node.store.find(node.store.address(of: key), key)
                    if let record { node.appendWhole(record, into: &buffer) }
                    return Array(buffer.bytes)
                }
            }
        }
    }

    private func roots(_ cluster: Cluster) -> [[UInt64]] {
        cluster.with(two) { node in node.holdings.forests.map { $0.map(\.root) } }
    }

    @Test("their states, digests and times are the same, and they end when they did")
    func restarts() throws {
        let cluster = filled()
        let (before, trees) = (records(cluster), roots(cluster))
        for other in [one, three] { cluster.cut.formUnion([[two, other], [other, two]]) }
        let journal = cluster.journals[two] ?? []
        for (epoch, isCheckpoint) in [(UInt64(2), false), (3, true)] {
            let records = isCheckpoint ? cluster.exported(two) : journal
            try cluster.restart(two, epoch: epoch, on: records)
            for (key, (was, now)) in zip(
                TypedExpiryRecoveryTests.keys, zip(before, self.records(cluster)))
            {
                #expect(was == now, "\(key), checkpoint: \(isCheckpoint)")
            }
            #expect(roots(cluster) == trees)
            cluster.with(two) { $0.checkInvariants(recounting: true) }
        }
        cluster.cut = []
        cluster.pass(milliseconds: 70_000, by: 100)
        for value in TypedExpiryRecoveryTests.values {
            let left = TypedExpiryRecoveryTests.courses.map(\.name).filter {
                cluster.run(two, "EXISTS c:\($0):\(value.type)") == ":1\r\n"
            }
            #expect(left == ["lasting", "replaced", "again"], "\(value.type)")
        }
        cluster.pass(milliseconds: 40_000, by: 100)
        #expect(cluster.run(two, "DBSIZE") == ":\(TypedExpiryRecoveryTests.values.count)\r\n")
    }

    @Test("a checkpoint's records of what ends as a whole are taken over as they stand")
    func takenOver() throws {
        let cluster = filled()
        let payloads = cluster.exported(two).filter { $0[0] == JournalKind.record.rawValue }
        cluster.start(two, epoch: 2)
        for payload in cluster.journals[two] ?? []
        where payload[0] == JournalKind.definitions.rawValue {
            try payload.withUnsafeBytes { bytes in
                try cluster.with(two) { try $0.restore(bytes) }
            }
        }
        var ending = 0
        for payload in payloads {
            try payload.dropFirst().withUnsafeBytes { bytes in
                let record = try Record(validating: bytes)
                guard !record.isTombstone else { return }
                if record.expiry > 0 { ending += 1 }
                let isTakenOver = cluster.with(two) { $0.restoreFirst(record) }
                #expect(isTakenOver, "\(String(decoding: record.key, as: UTF8.self))")
            }
        }
        #expect(ending >= 4 * TypedExpiryRecoveryTests.values.count)
    }
}
