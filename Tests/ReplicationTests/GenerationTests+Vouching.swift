import Base
import Causality
import Ring
import Testing

@testable import Replication

/// Where the list changes and disks are old or damaged at the same time. No range is whole while
/// the list is open; who was whole by the former one knows what was deleted all the same.
extension GenerationTests {
    /// What node `b` had on its disk before anything was deleted.
    private func backup(_ cluster: Cluster) -> [[UInt8]] {
        cluster.journals[b, default: []].filter { $0.first != JournalKind.collection.rawValue }
            .prefix { !isTombstone($0) }.map { $0 }
    }

    private func isTombstone(_ payload: [UInt8]) -> Bool {
        payload.first == JournalKind.record.rawValue
            && payload.dropFirst().withUnsafeBytes { bytes in
                bytes.baseAddress.map { Record(at: $0).isTombstone } ?? false
            }
    }

    private func counters(_ cluster: Cluster) -> (kept: Int, dropped: Int) {
        cluster.ids.reduce((0, 0)) { sum, id in
            let counters = cluster.counters(id)
            return (sum.0 + counters.keptUnvouched, sum.1 + counters.droppedBehind)
        }
    }

    @Test(
        "an old disk in a new list brings nothing back: who was whole by the former list is asked")
    func oldDisk() throws {
        let former = two()
        former.journals[b] = backup(former)
        let cluster = try change(former, to: 4, starting: [a, b])
        cluster.pass(milliseconds: 12_000, by: 20)
        #expect(isClosed(cluster))
        expectAll(cluster)
        #expect(counters(cluster).kept == 0)
        #expect(counters(cluster).dropped > 0)
        cluster.pass(milliseconds: 20_000, by: 50)
        expectAll(cluster)
    }

    @Test("an old disk is waited for by those who wait for the one that vouches")
    func voucherIsLate() throws {
        let former = two()
        former.journals[b] = backup(former)
        let cluster = try change(former, to: 4, starting: [b], apart: true)
        join(cluster, [b, c, d])
        cluster.pass(milliseconds: 8_000, by: 20)
        #expect(counters(cluster) == (0, 0))
        try cluster.restartAlone(a, epoch: 3_000)
        join(cluster, cluster.ids)
        cluster.pass(milliseconds: 12_000, by: 20)
        #expect(isClosed(cluster))
        #expect(counters(cluster).kept == 0)
        expectAll(cluster)
    }

    @Test("all former members are damaged: what any of them still has, the new ones have")
    func allDamaged() throws {
        for count in [3, 4] {
            let former = two()
            for id in [a, b] {
                former.journals[id]?.removeAll { payload in
                    let text = String(decoding: payload, as: UTF8.self)
                    return payload.first == JournalKind.record.rawValue
                        && (0..<100).contains {
                            $0 % 2 + 1 == Int(id.rawValue) && text.contains("s:\($0)v")
                        }
                }
            }
            let cluster = try change(former, to: count, starting: [a, b], apart: true)
            for id in [a, b] { cluster.with(id) { $0.distrustMemory() } }
            join(cluster, cluster.ids)
            cluster.pass(milliseconds: 12_000, by: 20)
            #expect(isClosed(cluster))
            for key in 0..<100 {
                #expect(ask(cluster, c, "GET s:\(key) R ALL") == "$1\r\nv\r\n", "\(key)")
            }
            #expect(counters(cluster).kept > 0)
            #expect(counters(cluster).dropped == 0)
            for id in cluster.ids { cluster.with(id) { $0.checkInvariants(recounting: true) } }
        }
    }

    @Test("one that is in doubt and one that vouches end at any moment of the hand-over")
    func crashesInDoubt() throws {
        let former = two()
        former.journals[b] = backup(former)
        for moment in stride(from: 0, to: 60, by: 13) {
            let cluster = try change(former, to: 4, starting: [a, b], apart: true)
            join(cluster, cluster.ids)
            cluster.pass(milliseconds: UInt64(moment) * 20, by: 20)
            for (victim, epoch) in [(b, UInt64(9_000)), (a, 9_500)] {
                let journal = cluster.journals[victim, default: []]
                try cluster.restart(victim, epoch: epoch, on: journal, after: 2_000)
                cluster.pass(milliseconds: 60, by: 20)
            }
            cluster.pass(milliseconds: 12_000, by: 30)
            #expect(isClosed(cluster))
            for key in 0..<100 {
                #expect(ask(cluster, d, "GET s:\(key) R ALL") == "$1\r\nv\r\n", "\(moment) \(key)")
                #expect(ask(cluster, d, "GET s:gone\(key) R ALL") == "$-1\r\n", "\(moment) \(key)")
            }
        }
    }
}
