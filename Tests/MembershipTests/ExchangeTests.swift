import Base
import Membership
import Testing

@Suite("Exchanges of records, and joining through a seed")
struct ExchangeTests {
    private let last = UInt16.max

    /// The comparison that a subject starts by itself.
    private func compare(_ subject: inout Subject) throws -> MembershipMessage {
        let messages = subject.pass(milliseconds: 201).messages.map(\.message)
        return try #require(
            messages.first { if case .compare = $0.content { true } else { false } })
    }

    @Test("equal pages cost two small messages")
    func agreed() throws {
        var configuration = MembershipConfiguration()
        configuration.exchangeIntervalMilliseconds = 200
        var subject = Subject(others: 2...40, configuration)
        var other = Subject(others: 2...40)
        guard case .compare(_, _, let digest) = try compare(&subject).content else { return }
        let answer = other.receive(
            .compare(after: 0, through: last, digest: digest), from: alive(2)
        ).messages
        #expect(answer.map(\.message.content) == [.agreed(after: 0, through: last)])
        let differing = other.receive(
            .compare(after: 0, through: last, digest: digest &+ 1), from: alive(2)
        ).messages
        let records = (1...40).map { alive($0) }
        #expect(
            differing.map(\.message.content) == [.page(after: 0, through: last, records)])
        #expect(differing.map(\.message.updates.count) == [0])
    }

    @Test("what a page lacks, or has in an older state, comes back; the rest is learned")
    func corrected() {
        var subject = Subject(others: 2...4)
        _ = subject.receive(.records([]), from: alive(3, incarnation: 5))
        let page = [alive(1), alive(2), alive(3), alive(7)]
        let effects = subject.receive(.page(after: 0, through: last, page), from: alive(2))
        #expect(effects.told == [.memberChanged(identity(7), .alive)])
        #expect(
            effects.messages.map(\.message.content)
                == [.records([alive(3, incarnation: 5), alive(4)])])
        let full = [alive(1), alive(2), alive(3, incarnation: 5), alive(4), alive(7)]
        #expect(
            subject.receive(.page(after: 0, through: last, full), from: alive(2)).messages.isEmpty)
    }

    @Test("a page holds as many records as allowed and says where it ends")
    func pages() {
        var configuration = MembershipConfiguration()
        configuration.pageRecordsMax = 4
        var subject = Subject(others: 2...10, configuration)
        let answer = subject.receive(
            .compare(after: 2, through: last, digest: 0), from: alive(2)
        ).messages
        #expect(
            answer.map(\.message.content)
                == [.page(after: 2, through: 6, [alive(3), alive(4), alive(5), alive(6)])])
        let range = subject.receive(
            .compare(after: 2, through: 4, digest: 0), from: alive(2)
        ).messages
        #expect(
            range.map(\.message.content) == [.page(after: 2, through: 4, [alive(3), alive(4)])])
    }

    @Test("a newcomer reads the seed's pages to the end, then has joined")
    func join() throws {
        var configuration = MembershipConfiguration()
        configuration.pageRecordsMax = 4
        // What is gossiped must not do the pages' work.
        configuration.updatesMax = 1
        var seed = Subject(others: 3...21, configuration)
        var newcomer = Membership(
            identity: identity(2), configuration, random: PRNG(seed: 2), now: instant(0))
        var pending: [MembershipEffect] = []
        newcomer.step(.join(seeds: [NodeID(2), NodeID(1)]), now: instant(0), into: &pending)
        #expect(newcomer.isJoining)
        var hasJoined = false
        var pages = 0
        while let effect = pending.first {
            pending.removeFirst()
            if effect == .joined { hasJoined = true }
            guard case .send(NodeID(1), let message) = effect else { continue }
            if case .compare = message.content { pages += 1 }
            for (_, answer) in seed.step(.received(message, from: NodeID(2))).messages {
                newcomer.step(.received(answer, from: NodeID(1)), now: instant(0), into: &pending)
            }
        }
        #expect(hasJoined && !newcomer.isJoining)
        #expect(newcomer.members.map(\.record) == seed.membership.members.map(\.record))
        #expect(pages == 6)
    }

    @Test("a seed that does not answer is followed by the next one")
    func nextSeed() {
        var subject = Subject()
        var asked = subject.step(.join(seeds: [NodeID(2), NodeID(3)])).messages.map(\.node)
        asked += subject.pass(milliseconds: 2_500).messages.map(\.node)
        #expect(asked == [NodeID(2), NodeID(3), NodeID(2)])
    }

    @Test("without any other seed the first node is a cluster of one")
    func alone() {
        var subject = Subject()
        #expect(subject.step(.join(seeds: [NodeID(1)])) == [.joined])
        #expect(subject.pass(milliseconds: 60_000).isEmpty)
    }
}
