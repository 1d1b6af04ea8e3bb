import Base
import Membership
import Testing

@Suite("TRAPS 19 and 20: lives, removals, replays")
struct IdentityTests {
    private let removed = MemberRecord(identity(2), .removed)

    @Test("records of one node are totally ordered")
    func order() {
        var records: [MemberRecord] = []
        for admission in UInt16(0)...1 {
            for epoch in UInt64(4)...5 {
                for state in [MemberState.alive, .suspect, .dead, .left, .removed] {
                    for incarnation in UInt32(0)...1 {
                        records.append(
                            MemberRecord(
                                identity(2, epoch: epoch), state, incarnation: incarnation,
                                admission: admission))
                    }
                }
            }
        }
        for a in records {
            for b in records {
                #expect([a.supersedes(b), b.supersedes(a), a == b].count { $0 } == 1)
                for c in records where a.supersedes(b) && b.supersedes(c) {
                    #expect(a.supersedes(c))
                }
            }
        }
    }

    @Test("an old alive replayed after a removal changes nothing, whatever it claims")
    func replay() {
        var subject = Subject(others: 2...3)
        let effects = subject.step(.remove(NodeID(2)))
        #expect(effects.told == [.memberChanged(identity(2), .removed)])
        for record in [
            alive(2), alive(2, incarnation: .max), alive(2, epoch: 4), suspect(2), dead(2),
            alive(2, epoch: 99), MemberRecord(identity(2), .left),
        ] {
            #expect(subject.receive(.records([record]), from: alive(3)).isEmpty)
            #expect(subject.receive(.records([]), from: alive(3), [MemberUpdate(record)]).isEmpty)
            #expect(subject.state(2) == .removed)
        }
        #expect(subject.membership.counters.staleRecords == 14)
    }

    @Test("a removed node is told, not heard, and ends")
    func told() {
        var subject = Subject(others: 2...3)
        _ = subject.step(.remove(NodeID(2)))
        let claim = MemberUpdate(suspect(3), accuser: identity(2))
        let effects = subject.receive(
            .ping(sequence: 1, target: identity(1)), from: alive(2, epoch: 6), [claim])
        #expect(effects.told.isEmpty)
        #expect(effects.messages.map(\.message.content) == [.records([removed])])
        #expect(subject.state(3) == .alive)

        var other = Subject(others: 3...3)
        #expect(
            other.receive(.records([MemberRecord(identity(1), .removed)]), from: alive(3))
                == [.ended(.removed)])
        #expect(other.membership.nextDeadline == nil)
        #expect(other.receive(.ping(sequence: 1, target: identity(1)), from: alive(3)).isEmpty)
        #expect(other.step(.leave) == [.refused(.ended)])
    }

    @Test("after an explicit re-admission a later life is welcome, the removed one is not")
    func readmitted() {
        var subject = Subject(others: 2...3)
        #expect(subject.step(.readmit(NodeID(2))) == [.refused(.notRemoved(NodeID(2)))])
        _ = subject.step(.remove(NodeID(2)))
        _ = subject.step(.readmit(NodeID(2)))
        #expect(subject.receive(.records([removed]), from: alive(3)).isEmpty)
        #expect(subject.state(2) == .left)

        _ = subject.receive(.ping(sequence: 1, target: identity(1)), from: alive(2))
        #expect(subject.state(2) == .left)
        // A new life does not know of its admission yet; it learns it from the answer.
        let refused = subject.receive(
            .ping(sequence: 1, target: identity(1)), from: alive(2, epoch: 6)
        ).messages
        #expect(subject.state(2) == .left)
        let departure = MemberRecord(identity(2), .left, admission: 1)
        #expect(refused.map(\.message.content) == [.records([departure])])

        var newcomer = Membership(
            identity: identity(2, epoch: 6), .init(), random: PRNG(seed: 3), now: instant(0))
        var effects: [MembershipEffect] = []
        for (_, message) in refused {
            newcomer.step(.received(message, from: NodeID(1)), now: instant(0), into: &effects)
        }
        let admitted = MemberRecord(identity(2, epoch: 6), admission: 1)
        #expect(newcomer.member(NodeID(2))?.record == admitted)
        _ = subject.receive(.records([]), from: admitted)
        #expect(subject.state(2) == .alive)
    }

    @Test("a restart in incarnation 0 under a new epoch outranks whatever was said of the old one")
    func restart() {
        var subject = Subject(others: 2...3)
        _ = subject.receive(.records([suspect(2, incarnation: 7)]), from: alive(3))
        _ = subject.pass(milliseconds: 120_000)
        #expect(subject.state(2) == .dead)
        #expect(
            subject.receive(.records([]), from: alive(2, epoch: 6)).told
                == [.memberChanged(identity(2, epoch: 6), .alive)])
        #expect(
            subject.receive(
                .records([suspect(2, incarnation: 99), dead(2, incarnation: 100)]), from: alive(3)
            ).told.isEmpty)
        #expect(subject.state(2) == .alive)
    }

    @Test("a restart in incarnation 0 under the same epoch overtakes what it said before")
    func sameEpoch() {
        var subject = Subject(others: 2...2)
        let answer = subject.receive(
            .ping(sequence: 1, target: identity(1)), from: alive(2),
            [MemberUpdate(alive(1, incarnation: 5))]
        ).messages
        #expect(answer.map(\.message.sender) == [alive(1, incarnation: 6)])
    }

    @Test("a lower epoch never returns, whatever its incarnation, and two at once are reported")
    func conflict() {
        var subject = Subject(others: 2...3)
        _ = subject.receive(.records([]), from: alive(2, epoch: 6))
        let stale = alive(2, incarnation: 1_000)
        // Right after the new life's first word it may be a message that took longer.
        #expect(subject.receive(.ping(sequence: 1, target: identity(1)), from: stale).told.isEmpty)
        _ = subject.pass(milliseconds: 1_001)
        let effects = subject.receive(.ping(sequence: 1, target: identity(1)), from: stale)
        #expect(
            effects.told
                == [.conflict(older: identity(2), newer: identity(2, epoch: 6))])
        #expect(effects.messages.map(\.message.content) == [.records([alive(2, epoch: 6)])])
        #expect(
            subject.receive(.ping(sequence: 2, target: identity(1)), from: stale).told.isEmpty,
            "reported once")
        #expect(subject.membership.member(NodeID(2))?.record == alive(2, epoch: 6))
        #expect(subject.membership.member(NodeID(2))?.rival == identity(2))
    }

    @Test("a life that hears of a later one says who it is, and ends when that one is found to run")
    func superseded() {
        var subject = Subject(others: 2...2)
        let later = identity(1, epoch: 8)
        #expect(
            subject.receive(.records([MemberRecord(later)]), from: alive(2))
                == [.conflict(older: identity(1), newer: later), .outlived(by: later)])
        #expect(subject.membership.end == nil)
        #expect(subject.step(.superseded(by: later)) == [.ended(.superseded(by: later))])
    }

    @Test("an accusation that nothing outranks calls for another life, not for the end")
    func beyondRefuting() {
        var subject = Subject(others: 2...2)
        let worst = MemberRecord(identity(1), .suspect, incarnation: .max)
        #expect(
            subject.receive(.records([worst]), from: alive(2)) == [.outlived(by: identity(1))])
    }

    @Test("a message that came over another's link is not believed")
    func misaddressed() {
        var subject = Subject(others: 2...3)
        let message = MembershipMessage(sender: alive(2, incarnation: 9), content: .records([]))
        #expect(subject.step(.received(message, from: NodeID(3))).isEmpty)
        #expect(subject.membership.member(NodeID(2))?.record == alive(2))
        #expect(subject.membership.counters.misaddressed == 1)
    }

    @Test("no more nodes are remembered than allowed")
    func limit() {
        var configuration = MembershipConfiguration()
        configuration.membersMax = 4
        var subject = Subject(others: 2...9, configuration)
        #expect(subject.membership.members.count == 4)
        #expect(subject.membership.counters.membersRefused == 5)
        #expect(subject.step(.remove(NodeID(50))) == [.refused(.tooManyMembers)])
        #expect(subject.step(.remove(NodeID(1))) == [.refused(.ownNumber)])
    }

    @Test("who has left does not come back in that life, whatever its incarnation")
    func leftForGood() {
        var subject = Subject(others: 2...3)
        _ = subject.receive(.records([]), from: MemberRecord(identity(2), .left))
        #expect(subject.state(2) == .left)
        for record in [alive(2, incarnation: 9), dead(2, incarnation: 9)] {
            #expect(subject.receive(.records([record]), from: alive(3)).isEmpty)
        }
        #expect(
            subject.receive(.records([alive(2, epoch: 6)]), from: alive(3)).told
                == [.memberChanged(identity(2, epoch: 6), .alive)])
    }

    @Test("who leaves says so at once, and ends")
    func leave() {
        var subject = Subject(others: 2...9)
        // One round's order is drawn by the first probe; before it the newcomers' places serve.
        let farewell = subject.step(.leave).messages
        #expect(farewell.count == 6)
        #expect(farewell.allSatisfy { $0.message.sender.state == .left })
        #expect(subject.pass(milliseconds: 2_000).told.last == .ended(.left))
    }
}
