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
        let (early, late) = (
            EqualityLedger.Entry(moment: 5, learnedAt: 50),
            EqualityLedger.Entry(moment: 9, learnedAt: 40)
        )
        ledger.note(ranges(0, 255), late, link: 1, replicationFactor: 3)
        ledger.note(ranges(0, 7), early, link: 1, replicationFactor: 3)
        ledger.note(ranges(0), early, link: 2, replicationFactor: 3)
        ledger.note(ranges(0), early, link: 1, replicationFactor: 2)
        #expect(ledger.last(link: 1, replicationFactor: 3, range: 0) == late)
        #expect(ledger.last(link: 1, replicationFactor: 3, range: 255) == late)
        #expect(ledger.last(link: 1, replicationFactor: 3, range: 7) == early)
        #expect(ledger.last(link: 1, replicationFactor: 3, range: 8) == nil)
        #expect(ledger.last(link: 2, replicationFactor: 3, range: 0) == early)
        #expect(ledger.last(link: 1, replicationFactor: 2, range: 0) == early)
    }

    @Test("a node's new life begins with nothing")
    func newLife() {
        var ledger = EqualityLedger()
        let entry = EqualityLedger.Entry(moment: 5, learnedAt: 50)
        for link in 1...2 { ledger.note(ranges(3), entry, link: link, replicationFactor: 3) }
        ledger.forget(link: 1)
        #expect(ledger.last(link: 1, replicationFactor: 3, range: 3) == nil)
        #expect(ledger.last(link: 2, replicationFactor: 3, range: 3) == entry)
    }
}
