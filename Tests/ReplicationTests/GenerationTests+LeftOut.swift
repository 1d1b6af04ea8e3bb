import Base
import Ring
import Testing

@testable import Replication

extension GenerationTests {
    /// What a node of the list finds left out, once it has read its journal.
    private func leftOut(_ cluster: Cluster, _ node: NodeID) -> LeftOutRanges? {
        cluster.with(node) { $0.leftOutRanges() }
    }

    /// Ranges of four nodes whose first n replicas are not among the first so many nodes.
    private func ranges(_ n: Int, without kept: Int) -> Int {
        let ring = Ring(members: (1...4).map { Member(NodeID($0)) }, epoch: 1)
        return KeyRange.all.count { range in
            ring.primaries(of: range, replicationFactor: n).allSatisfy { $0.rawValue > kept }
        }
    }

    @Test(
        "a list that leaves out every former replica of a range is noticed",
        arguments: [(1, 3), (2, 2), (3, 1), (2, 3), (3, 2)])
    func leavesOut(_ n: Int, _ kept: Int) throws {
        let four = cluster(4)
        #expect(four.run(a, "KEYSPACE CREATE s n=\(n)") == "+OK\r\n")
        four.pass(milliseconds: 8_000, by: 20)
        #expect(isClosed(four))
        let same = try change(four, to: 4, starting: four.ids, epoch: 2)
        #expect(leftOut(same, a) == nil)
        let list = Array(four.ids.prefix(kept))
        let next = try change(four, to: kept, starting: list, epoch: 3)
        for node in list {
            let found = leftOut(next, node)
            let expected = ranges(n, without: kept)
            #expect((found?.count ?? 0) == expected)
            guard expected > 0 else { continue }
            #expect(found?.keyspace == (n == 3 ? "default" : "s"))
            #expect(found?.replicationFactor == n)
            #expect(found?.nodes == four.ids.filter { $0.rawValue > UInt16(kept) })
        }
    }

    @Test("what counts is how many replicas a keyspace had, not how many the shorter list gives it")
    func leavesOutAsItWas() throws {
        let four = cluster(4)
        four.pass(milliseconds: 8_000, by: 20)
        #expect(isClosed(four))
        let next = try change(four, to: 2, starting: [a, b])
        #expect(leftOut(next, a) == nil && leftOut(next, b) == nil)
        #expect(next.with(a) { $0.takeUpConfiguration() }.isEmpty)
        next.pass(milliseconds: 8_000, by: 20)
        let wider = try change(next, to: 4, starting: [a, b], epoch: 3)
        #expect(leftOut(wider, a) == nil)
    }

    @Test("until a list has closed, the one before it counts, whatever restarts in between")
    func leavesOutOfAnOpenList() throws {
        let two = two()
        // 3 and 4 are never met: all is still where it was.
        let open = try change(two, to: 4, starting: [a, b], apart: true)
        open.pass(milliseconds: 2_000, by: 20)
        let again = try change(open, to: 4, starting: [a, b], epoch: 3, apart: true)
        again.pass(milliseconds: 2_000, by: 20)
        let back = try change(again, to: 2, starting: [a, b], epoch: 4)
        #expect(leftOut(back, a) == nil && leftOut(back, b) == nil)
        back.pass(milliseconds: 8_000, by: 20)
        let wide = try change(back, to: 4, starting: [a, b], epoch: 5)
        wide.pass(milliseconds: 12_000, by: 20)
        #expect(isClosed(wide))
        let narrow = try change(wide, to: 2, starting: [a, b], epoch: 6)
        #expect(leftOut(narrow, a)?.count == ranges(2, without: 2))
    }
}
