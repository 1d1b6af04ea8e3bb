import Base
import Membership
import Testing

/// Node 1 of a small cluster whose other members are played by the test.
struct Subject {
    var membership: Membership
    private(set) var milliseconds: UInt64 = 0

    init(others: ClosedRange<Int>? = nil, _ configuration: MembershipConfiguration = .init()) {
        membership = Membership(
            identity: identity(1), configuration, random: PRNG(seed: 1), now: instant(0))
        for number in others.map(Array.init) ?? [] {
            _ = receive(.records([]), from: alive(number))
        }
    }

    /// The effects of one input.
    mutating func step(_ input: MembershipInput) -> [MembershipEffect] {
        var effects: [MembershipEffect] = []
        membership.step(input, now: instant(milliseconds), into: &effects)
        membership.checkInvariants()
        return effects
    }

    mutating func receive(
        _ content: MembershipMessage.Content, from sender: MemberRecord,
        _ updates: [MemberUpdate] = []
    ) -> [MembershipEffect] {
        step(
            .received(
                MembershipMessage(sender: sender, content: content, updates: updates),
                from: sender.node))
    }

    /// Ticks at each deadline until so many milliseconds have passed.
    mutating func pass(milliseconds duration: UInt64) -> [MembershipEffect] {
        let end = milliseconds + duration
        var effects: [MembershipEffect] = []
        while let due = membership.nextDeadline, due <= end * 1_000_000 {
            milliseconds = max(milliseconds, (due + 999_999) / 1_000_000)
            effects += step(.tick)
        }
        milliseconds = end
        return effects
    }

    /// Ticks until a ping goes out.
    mutating func nextPing() throws -> (node: NodeID, sequence: UInt32) {
        for _ in 0..<20 {
            let due = try #require(membership.nextDeadline)
            milliseconds = max(milliseconds, (due + 999_999) / 1_000_000)
            if let ping = step(.tick).pings.first { return ping }
        }
        throw NoPing()
    }

    /// Stands still, then looks at the clock.
    mutating func oversleep(milliseconds duration: UInt64) -> [MembershipEffect] {
        milliseconds += duration
        return step(.tick)
    }

    func state(_ number: Int) -> MemberState? {
        membership.member(NodeID(UInt16(number)))?.record.state
    }
}

struct NoPing: Error {}

func instant(_ milliseconds: UInt64) -> Instant {
    Instant(monotonic: milliseconds * 1_000_000, wallMilliseconds: milliseconds)
}

func identity(_ number: Int, epoch: UInt64 = 5) -> ReplicaIdentity {
    ReplicaIdentity(node: NodeID(UInt16(number)), epoch: epoch)
}

func alive(_ number: Int, epoch: UInt64 = 5, incarnation: UInt32 = 0) -> MemberRecord {
    MemberRecord(identity(number, epoch: epoch), incarnation: incarnation)
}

func suspect(_ number: Int, incarnation: UInt32 = 0) -> MemberRecord {
    MemberRecord(identity(number), .suspect, incarnation: incarnation)
}

func dead(_ number: Int, incarnation: UInt32 = 0) -> MemberRecord {
    MemberRecord(identity(number), .dead, incarnation: incarnation)
}

extension [MembershipEffect] {
    var messages: [(node: NodeID, message: MembershipMessage)] {
        compactMap { if case .send(let node, let message) = $0 { (node, message) } else { nil } }
    }

    var pings: [(node: NodeID, sequence: UInt32)] {
        messages.compactMap { node, message in
            if case .ping(let sequence, _) = message.content { (node, sequence) } else { nil }
        }
    }

    var pingRequests: [(node: NodeID, sequence: UInt32)] {
        messages.compactMap { node, message in
            if case .pingRequest(let sequence, _) = message.content {
                (node, sequence)
            } else {
                nil
            }
        }
    }

    /// Everything but messages.
    var told: [MembershipEffect] {
        filter { if case .send = $0 { false } else { true } }
    }
}
