import Quorum
import Testing

@Suite("Levels")
struct QuorumLevelTests {
    @Test(
        "ONE, QUORUM and ALL follow the replication factor",
        arguments: [
            (1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (6, 4), (7, 4),
        ])
    func names(n: Int, majority: Int) {
        #expect(QuorumLevel.one.count(of: n) == 1)
        #expect(QuorumLevel.quorum.count(of: n) == majority)
        #expect(QuorumLevel.all.count(of: n) == n)
    }

    @Test("two quorums of one key always meet")
    func majoritiesMeet() {
        for n in 1...20 {
            let majority = QuorumLevel.quorum.count(of: n)
            #expect(2 * majority > n)
            #expect(2 * (majority - 1) <= n)
        }
    }

    @Test("a number is taken as it is, whatever the replication factor")
    func numbers() {
        for n in 1...7 {
            for number in 0...9 { #expect(QuorumLevel.count(number).count(of: n) == number) }
        }
    }
}
