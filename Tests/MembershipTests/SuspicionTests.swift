import Base
import Glibc
import Membership
import Testing

@Suite("SWIM §4.2, Lifeguard §IV: suspicion, refutation, local health")
struct SuspicionTests {
    /// Seconds from the first accusation to death, with so many further accusers.
    private func suspicionSeconds(members: Int, confirmations: Int) -> Double? {
        var configuration = MembershipConfiguration()
        // This node's own probes are answered in time, by the suspect too.
        configuration.probeIntervalMilliseconds = 10_000
        configuration.exchangeIntervalMilliseconds = 100_000_000
        var subject = Subject(others: 2...members, configuration)
        for accuser in 3..<(4 + confirmations) {
            _ = subject.receive(
                .records([]), from: alive(3),
                [MemberUpdate(suspect(2), accuser: identity(accuser))])
        }
        for second in 1...400 {
            for (node, sequence) in subject.pass(milliseconds: 10_000).pings {
                _ = subject.receive(.ack(sequence: sequence), from: alive(Int(node.rawValue)))
            }
            if subject.state(2) == .dead { return Double(second) * 10 }
        }
        return nil
    }

    @Test("a suspicion lasts max − (max − min) log(c + 1) / log(K + 1)", arguments: 0...3)
    func formula(confirmations: Int) throws {
        for members in [8, 16, 64] {
            // log₁₀ n in steps of log₁₀ 2, rounded up.
            let shortest = 5 * 10 * max(1, Double(bits(members)) * 0.301)
            let longest = 6 * shortest
            let share = log(Double(confirmations + 1)) / log(4)
            let expected = longest - (longest - shortest) * share
            let seconds = try #require(
                suspicionSeconds(members: members, confirmations: confirmations))
            #expect(abs(seconds - expected) <= 12, "\(members) members")
        }
    }

    private func bits(_ count: Int) -> Int { Int.bitWidth - count.leadingZeroBitCount }

    @Test("the same accuser confirms nothing; another one does, and that is passed on")
    func sameAccuser() {
        var subject = Subject(others: 2...9)
        for _ in 0..<5 {
            _ = subject.receive(
                .records([]), from: alive(3), [MemberUpdate(suspect(2), accuser: identity(3))])
        }
        #expect(subject.membership.counters.confirmations == 0)
        _ = subject.receive(
            .records([]), from: alive(3), [MemberUpdate(suspect(2), accuser: identity(4))])
        #expect(subject.membership.counters.confirmations == 1)
        let told = subject.receive(.ping(sequence: 1, target: identity(1)), from: alive(5)).messages
        #expect(told.first?.message.updates.first == MemberUpdate(suspect(2), accuser: identity(4)))
    }

    @Test("a suspect is cleared by a higher incarnation only")
    func refuted() {
        var subject = Subject(others: 2...3)
        _ = subject.receive(.records([suspect(2, incarnation: 4)]), from: alive(3))
        #expect(subject.state(2) == .suspect)
        _ = subject.receive(.records([]), from: alive(2, incarnation: 4))
        #expect(subject.state(2) == .suspect)
        let effects = subject.receive(.records([alive(2, incarnation: 5)]), from: alive(3))
        #expect(effects == [.memberChanged(identity(2), .alive)])
        #expect(subject.receive(.records([suspect(2, incarnation: 4)]), from: alive(3)).isEmpty)
        #expect(subject.state(2) == .alive)
        #expect(subject.pass(milliseconds: 900).told.isEmpty)
    }

    @Test("who is accused answers with an incarnation above the accusation's")
    func refutes() {
        var subject = Subject(others: 2...3)
        let claim = MemberUpdate(suspect(1, incarnation: 7), accuser: identity(3))
        let answer = subject.receive(
            .ping(sequence: 1, target: identity(1)), from: alive(2), [claim]
        ).messages
        #expect(answer.map(\.message.sender) == [alive(1, incarnation: 8)])
        #expect(answer.first?.message.updates.first == MemberUpdate(alive(1, incarnation: 8)))
        #expect(subject.membership.localHealth == 1)
        _ = subject.receive(.records([dead(1, incarnation: 8)]), from: alive(2))
        #expect(subject.membership.member(NodeID(1))?.record == alive(1, incarnation: 9))
        #expect(subject.membership.counters.refutations == 2)
    }

    @Test("a death out of the blue is only a suspicion, and a long one, however often it is told")
    func hearsay() {
        var subject = Subject(others: 2...3)
        let effects = subject.receive(.records([dead(2)]), from: alive(3))
        #expect(effects.told == [.memberChanged(identity(2), .suspect)])
        #expect(subject.receive(.records([dead(2)]), from: alive(3)).isEmpty)
        // Three members: the shortest lasts 5 s, the longest 30 s.
        for second in 1...32 {
            #expect(subject.state(2) == (second <= 30 ? .suspect : .dead))
            for (node, sequence) in subject.pass(milliseconds: 1_000).pings {
                _ = subject.receive(.ack(sequence: sequence), from: alive(Int(node.rawValue)))
            }
        }
    }

    @Test("a death told of an accused member brings its suspicion to the shortest")
    func concluded() {
        for isTold in [false, true] {
            var configuration = MembershipConfiguration()
            configuration.indirectProbesMax = 0
            // The shortest lasts 5 · 2 s · log₁₀ 8 at most, the longest six times as much.
            configuration.probeIntervalMilliseconds = 2_000
            var subject = Subject(others: 2...6, configuration)
            _ = subject.receive(
                .records([]), from: alive(3), [MemberUpdate(suspect(2), accuser: identity(3))])
            if isTold { _ = subject.receive(.records([dead(2)]), from: alive(3)) }
            #expect(subject.state(2) == .suspect)
            for _ in 0..<11 {
                for (node, sequence) in subject.pass(milliseconds: 1_000).pings {
                    _ = subject.receive(.ack(sequence: sequence), from: alive(Int(node.rawValue)))
                }
            }
            #expect(subject.state(2) == (isTold ? .dead : .suspect))
        }
    }

    @Test("a failed probe costs local health unless those who were asked are heard of")
    func health() throws {
        var deaf = Subject(others: 2...6)
        _ = try deaf.nextPing()
        _ = deaf.pass(milliseconds: 1_010)
        #expect(deaf.membership.localHealth == 3)

        var hearing = Subject(others: 2...6)
        let ping = try hearing.nextPing()
        for relay in hearing.pass(milliseconds: 510).pingRequests {
            _ = hearing.receive(
                .nack(sequence: ping.sequence), from: alive(Int(relay.node.rawValue)))
        }
        _ = hearing.pass(milliseconds: 500)
        #expect(hearing.membership.counters.probesFailed == 1)
        #expect(hearing.membership.localHealth == 0)
    }

    @Test("each point of local health lengthens interval and timeout by one; success takes it back")
    func stretch() throws {
        var subject = Subject(others: 2...6)
        _ = try subject.nextPing()
        // Two more pings of the same probe; then it fails and the next one starts.
        _ = try subject.nextPing()
        _ = try subject.nextPing()
        let next = try subject.nextPing()
        let health = subject.membership.localHealth
        #expect(health == 3)
        let begin = subject.milliseconds
        #expect(subject.pass(milliseconds: 1_900).pingRequests.isEmpty)
        #expect(subject.pass(milliseconds: 200).pingRequests.count > 0)
        _ = subject.receive(.ack(sequence: next.sequence), from: alive(Int(next.node.rawValue)))
        #expect(subject.membership.localHealth == 2)
        _ = try subject.nextPing()
        #expect(Int(subject.milliseconds - begin) >= 3_990)
    }

    @Test("who stood still blames nobody for it")
    func standstill() throws {
        var subject = Subject(others: 2...6)
        _ = subject.receive(
            .records([]), from: alive(3), [MemberUpdate(suspect(2), accuser: identity(3))])
        _ = try subject.nextPing()
        let effects = subject.oversleep(milliseconds: 600_000)
        #expect(effects.told.isEmpty)
        #expect(subject.membership.counters.oversleeps == 1)
        #expect(subject.membership.localHealth == 8)
        #expect((2...6).allSatisfy { subject.state($0)?.isReachable == true })
    }
}
