import AntiEntropy
import Testing

@Suite struct EqualityLedgerTests {
    private func ranges(_ numbers: UInt8...) -> RangeSet {
        var set = RangeSet()
        for number in numbers { set.insert(number) }
        return set
    }

    @Test("the latest moment counts, for each node, n and range by itself")
    func latest() {
        var ledger = EqualityLedger()
        ledger.note(ranges(0, 255), at: 9, link: 1, replicationFactor: 3)
        ledger.note(ranges(0, 7), at: 5, link: 1, replicationFactor: 3)
        ledger.note(ranges(0), at: 5, link: 2, replicationFactor: 3)
        ledger.note(ranges(0), at: 5, link: 1, replicationFactor: 2)
        #expect(ledger.last(link: 1, replicationFactor: 3, range: 0) == 9)
        #expect(ledger.last(link: 1, replicationFactor: 3, range: 255) == 9)
        #expect(ledger.last(link: 1, replicationFactor: 3, range: 7) == 5)
        #expect(ledger.last(link: 1, replicationFactor: 3, range: 8) == 0)
        #expect(ledger.last(link: 2, replicationFactor: 3, range: 0) == 5)
        #expect(ledger.last(link: 1, replicationFactor: 2, range: 0) == 5)
    }

    @Test("a node's new life begins with nothing, and everything with this clock's")
    func newLife() {
        var ledger = EqualityLedger()
        for link in 1...2 { ledger.note(ranges(3), at: 5, link: link, replicationFactor: 3) }
        ledger.forget(link: 1)
        #expect(ledger.last(link: 1, replicationFactor: 3, range: 3) == 0)
        #expect(ledger.last(link: 2, replicationFactor: 3, range: 3) == 5)
        ledger.forgetAll()
        #expect(ledger.last(link: 2, replicationFactor: 3, range: 3) == 0)
    }
}
