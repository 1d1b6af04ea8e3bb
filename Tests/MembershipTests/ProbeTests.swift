import Base
import Membership
import Testing

@Suite("SWIM §3.1, §4.3: probes")
struct ProbeTests {
    @Test("each member is pinged once a round")
    func round() throws {
        var subject = Subject(others: 2...6)
        for _ in 0..<4 {
            var targets: [UInt16] = []
            for _ in 0..<5 {
                let ping = try subject.nextPing()
                targets.append(ping.node.rawValue)
                _ = subject.receive(
                    .ack(sequence: ping.sequence), from: alive(Int(ping.node.rawValue)))
            }
            #expect(targets.sorted() == [2, 3, 4, 5, 6])
        }
        #expect(subject.membership.counters.probesAcknowledged == 20)
    }

    @Test("who does not answer in time is probed through k others, and pinged again")
    func indirect() throws {
        var subject = Subject(others: 2...6)
        let ping = try subject.nextPing()
        let early = subject.pass(milliseconds: 498)
        #expect(early.pings.isEmpty && early.pingRequests.isEmpty)
        let effects = subject.pass(milliseconds: 4)
        let asked = effects.pingRequests
        #expect(asked.count == 3)
        #expect(asked.allSatisfy { $0.node != ping.node && $0.sequence == ping.sequence })
        let nodes = asked.map(\.node).sorted()
        #expect(zip(nodes, nodes.dropFirst()).allSatisfy { $0 < $1 })
        #expect(effects.pings.map(\.node) == [ping.node])
    }

    @Test("an ack by way of another is an ack")
    func relayedAck() throws {
        var subject = Subject(others: 2...6)
        let ping = try subject.nextPing()
        let asked = subject.pass(milliseconds: 510).pingRequests
        let relay = try #require(asked.first)
        _ = subject.receive(.ack(sequence: ping.sequence), from: alive(Int(relay.node.rawValue)))
        let effects = subject.pass(milliseconds: 520)
        #expect(effects.told.isEmpty)
        #expect(subject.state(Int(ping.node.rawValue)) == .alive)
    }

    @Test("who answers nobody is suspected when the interval is over, and dead when time is up")
    func silent() throws {
        var subject = Subject(others: 2...2)
        _ = try subject.nextPing()
        #expect(subject.pass(milliseconds: 995).told.isEmpty)
        #expect(
            subject.pass(milliseconds: 10).told == [.memberChanged(identity(2), .suspect)])
        #expect(subject.membership.isReachable(NodeID(2)))
        // Two members: nobody can confirm, so the suspicion lasts α · 1 s.
        #expect(subject.pass(milliseconds: 4_980).told.isEmpty)
        #expect(subject.pass(milliseconds: 40).told == [.memberChanged(identity(2), .dead)])
        #expect(!subject.membership.isReachable(NodeID(2)))
        #expect(subject.membership.reachableCount == 1)
    }

    @Test("a ping is acknowledged by the life that was meant, and by no other")
    func meant() {
        var subject = Subject(others: 2...2)
        let answer = subject.receive(
            .ping(sequence: 9, target: identity(1)), from: alive(2)
        ).messages
        #expect(answer.map(\.message.content) == [.ack(sequence: 9)])
        #expect(answer.map(\.node) == [NodeID(2)])
        let other = subject.receive(
            .ping(sequence: 9, target: identity(1, epoch: 4)), from: alive(2)
        ).messages
        #expect(other.map(\.message.content) == [.records([])])
        #expect(other.map(\.message.sender) == [alive(1)])
    }

    @Test("a relay passes the ack on under the number it was asked with")
    func relay() throws {
        var subject = Subject(others: 2...3)
        let asked = subject.receive(
            .pingRequest(sequence: 77, target: identity(3)), from: alive(2))
        let ping = try #require(asked.pings.first)
        #expect(ping.node == NodeID(3))
        let passedOn = subject.receive(.ack(sequence: ping.sequence), from: alive(3)).messages
        #expect(passedOn.map(\.node) == [NodeID(2)])
        #expect(passedOn.map(\.message.content) == [.ack(sequence: 77)])
        // The same ack again is nobody's.
        #expect(subject.receive(.ack(sequence: ping.sequence), from: alive(3)).isEmpty)
    }

    @Test("Lifeguard §IV-A: a relay that hears nothing says so before the asker's time is up")
    func nack() {
        var subject = Subject(others: 2...3)
        _ = subject.receive(.pingRequest(sequence: 77, target: identity(3)), from: alive(2))
        let effects = subject.pass(milliseconds: 410).messages
        let answers = effects.filter { $0.node == NodeID(2) }.map(\.message.content)
        #expect(answers.contains(.nack(sequence: 77)))
        #expect(subject.membership.counters.nacksSent == 1)
    }

    @Test("probes for others are limited")
    func relayLimit() {
        var configuration = MembershipConfiguration()
        configuration.relaysMax = 2
        var subject = Subject(others: 2...3, configuration)
        for sequence in UInt32(1)...5 {
            _ = subject.receive(
                .pingRequest(sequence: sequence, target: identity(3)), from: alive(2))
        }
        #expect(subject.membership.counters.relayedProbes == 2)
        #expect(subject.membership.counters.relaysRefused == 3)
    }

    @Test("an update is sent λ · ⌈log₁₀(n + 1)⌉ times")
    func retransmissions() {
        var subject = Subject(others: 2...9)
        _ = subject.receive(.records([]), from: alive(2), [MemberUpdate(alive(10))])
        var sent = 0
        for sequence in UInt32(1)...30 {
            let answer = subject.receive(
                .ping(sequence: sequence, target: identity(1)), from: alive(2)
            ).messages
            for message in answer.map(\.message) {
                sent += message.updates.count { $0.record == alive(10) }
            }
        }
        // Ten members have two digits.
        #expect(sent == 8)
    }

    @Test("while there is news, two others hear of it in each interval; then there is silence")
    func gossip() {
        var subject = Subject(others: 2...9)
        func gossips(_ effects: [MembershipEffect]) -> Int {
            effects.messages.count { $0.message.content == .records([]) }
        }
        /// Everybody answers, so nothing new happens.
        func pass(milliseconds: UInt64) -> Int {
            let effects = subject.pass(milliseconds: milliseconds)
            for (node, sequence) in effects.pings {
                _ = subject.receive(.ack(sequence: sequence), from: alive(Int(node.rawValue)))
            }
            return gossips(effects)
        }
        #expect(pass(milliseconds: 1_000) == 2)
        for sequence in UInt32(1)...20 {
            _ = subject.receive(.ping(sequence: sequence, target: identity(1)), from: alive(2))
        }
        for _ in 0..<8 { #expect(pass(milliseconds: 400) == 0) }
    }

    @Test("a message carries no more updates than allowed")
    func updatesLimit() {
        var configuration = MembershipConfiguration()
        configuration.updatesMax = 3
        var subject = Subject(others: 2...9, configuration)
        let answer = subject.receive(.ping(sequence: 1, target: identity(1)), from: alive(2))
        #expect(answer.messages.map(\.message.updates.count) == [3])
    }

    @Test("Lifeguard §IV-C: a suspect is told so by the next message it gets, every time")
    func buddy() {
        var subject = Subject(others: 2...3)
        _ = subject.receive(
            .records([]), from: alive(3), [MemberUpdate(suspect(2), accuser: identity(3))])
        for sequence in UInt32(1)...20 {
            let answer = subject.receive(
                .ping(sequence: sequence, target: identity(1)), from: alive(2)
            ).messages
            #expect(answer.first?.message.updates.first?.record == suspect(2))
        }
    }
}
