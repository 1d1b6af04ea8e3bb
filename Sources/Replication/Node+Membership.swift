import Base
import Causality
import Coding
import Membership
import RESP
import Ring

// Who is alive and who was taken out: `Membership` over the links to other nodes.
//
// A link that is up says only that nothing has broken it: a stopped process or a silent cut leaves
// it up for minutes. So a node that the members have declared dead and that this one does not hear
// either gets no requests. A removed one is not linked at all, and knows that it is.
extension Node {
    static let membershipKind: UInt8 = 14
    /// A node that was heard less long ago is there, whatever the members say.
    static let hearingMilliseconds = 4 * heartbeatMilliseconds

    /// Why this node takes no part any more; nil while it does.
    public var membershipEnd: MembershipEnd? { membership.end }

    /// What happened between the members.
    public var memberCounters: MembershipCounters { membership.counters }

    /// Whether there is anything to hear from other nodes: a node that was taken out hears over a
    /// handshake that it was let in again.
    public var seeksLinks: Bool {
        if case .superseded = membership.end { return false }
        return membership.end != .left
    }

    /// Whether anything came from a node lately.
    func isHeard(_ index: Int) -> Bool {
        links[index].isUp
            && now.monotonic - min(links[index].heardAt, now.monotonic)
                <= .nanoseconds(milliseconds: Node.hearingMilliseconds)
    }

    /// Whether the members have declared dead, or removed, a node that is not heard here.
    func isLost(_ index: Int) -> Bool {
        guard let member = membership.member(links[index].node) else { return false }
        return !member.record.state.isReachable && !isHeard(index)
    }

    /// What every other member that this node knows of is believed to be, for the log.
    public var memberStandings: [MemberStanding] {
        links.compactMap { link in
            guard link.node != configuration.node, let member = membership.member(link.node) else {
                return nil
            }
            return MemberStanding(
                node: link.node, state: member.record.state, isLinkUp: link.isUp,
                heardAt: link.heardAt)
        }
    }

    /// What every other member is believed to be, for `INFO`.
    var memberFields: [(String, String)] {
        var fields = [
            ("members_reachable", "\(membership.reachableCount)"),
            ("local_health", "\(membership.localHealth)"),
        ]
        for link in links where link.node != configuration.node {
            let state = membership.member(link.node).map { "\($0.record.state)" } ?? "unknown"
            fields.append(("member_\(link.node.rawValue)", state))
        }
        return fields
    }

    /// Begins to learn the members from a node.
    mutating func joinMembers(through node: NodeID, _ effects: inout Effects) {
        guard membership.reachableCount == 1, !membership.isJoining else { return }
        stepMembership(.join(seeds: [node]), &effects)
    }

    mutating func tendMembership(_ effects: inout Effects) {
        guard let due = membership.nextDeadline, due <= now.monotonic else { return }
        stepMembership(.tick, &effects)
        for member in membership.members where member.record.state == .removed {
            // It has been told by then.
            guard let index = linkIndex(of: member.record.node), links[index].isUp,
                now.monotonic - member.since > .nanoseconds(milliseconds: 1_000)
            else { continue }
            effects.add(.disconnect(member.record.node))
        }
    }

    mutating func stepMembership(_ input: MembershipInput, _ effects: inout Effects) {
        var results: [MembershipEffect] = []
        membership.step(input, now: now, into: &results)
        for result in results { carryOut(result, &effects) }
    }

    private mutating func carryOut(_ effect: MembershipEffect, _ effects: inout Effects) {
        switch effect {
        case .send(let node, let message):
            let frame = effects.bytes.appendMessage(kind: Node.membershipKind, number: 0) {
                message.encode(into: &$0)
            }
            send(frame, to: node, &effects)
        case .memberChanged(let life, let state):
            if state == .dead {
                counters.membersLost += 1
                declaredDead(life.node, &effects)
            }
            keepMembers(&effects)
        case .conflict: counters.memberConflicts += 1
        case .outlived(let identity): proveAnew(identity, &effects)
        case .ended(let end): tookNoPart(end, &effects)
        case .joined, .refused: break
        }
    }

    /// The members know of another life of this node. Whether that one runs is told where links
    /// begin (`told`), so they begin anew.
    private mutating func proveAnew(_ other: ReplicaIdentity, _ effects: inout Effects) {
        guard other != identity else { return beginAgain(above: identity, &effects) }
        disconnectAll(&effects)
    }

    private func disconnectAll(_ effects: inout Effects) {
        for link in links where link.isUp { effects.add(.disconnect(link.node)) }
    }

    /// This life is over. Who was taken out keeps that, and lets go of its links; who was let in
    /// again begins another life.
    private mutating func tookNoPart(_ end: MembershipEnd, _ effects: inout Effects) {
        switch end {
        case .left: break
        case .removed, .superseded:
            keepMembers(&effects)
            disconnectAll(&effects)
        case .reborn: beginLife(above: identity, &effects)
        }
    }

    /// Keeps who was removed and who was admitted again, and the highest lives: nothing else needs
    /// to outlive a restart.
    mutating func keepMembers(_ effects: inout Effects) {
        let lasting = memberMemory
        guard lasting != keptMembers else { return }
        keptMembers = lasting
        effects.append { appendMembers(into: &$0) }
        effects.syncWithin(100)
    }

    var memberMemory: MemberMemory {
        MemberMemory(
            records: membership.lastingRecords.filter {
                linkIndex(of: $0.node) != nil
            },
            lives: links.map(\.highest).filter { $0.rawValue != 0 })
    }

    /// Appends the journal's payload.
    func appendMembers(into buffer: inout ByteBuffer) {
        buffer.append(JournalKind.members.rawValue)
        let memory = memberMemory
        MembershipMessage(
            sender: MemberRecord(identity), content: .records(memory.records),
            updates: memory.lives.map { MemberUpdate(MemberRecord($0)) }
        ).encode(into: &buffer)
    }

    mutating func restoreMembers(_ payload: UnsafeRawBufferPointer) throws(DecodeError) {
        let message = try MembershipMessage(decoding: payload)
        guard case .records(let records) = message.content else {
            throw .invalid("the journal's members are no records")
        }
        membership.restore(records.filter { linkIndex(of: $0.node) != nil })
        for life in message.updates.map(\.record.identity) {
            guard let index = linkIndex(of: life.node) else { continue }
            links[index].highest = max(links[index].highest, life)
        }
        keptMembers = memberMemory
    }
}

/// What the members believe of another one, and what this node has heard of it.
public struct MemberStanding: Equatable, Sendable {
    public let node: NodeID
    public let state: MemberState
    public let isLinkUp: Bool
    /// When something came from it last; 0 when nothing has since the start.
    public let heardAt: Deadline
}

/// What a node's journal knows of the members: at most one record and one life of each.
struct MemberMemory: Equatable {
    /// Who was removed, and who was admitted again.
    var records: [MemberRecord] = []
    /// The highest lives that were admitted.
    var lives: [ReplicaIdentity] = []

    var isEmpty: Bool { records.isEmpty && lives.isEmpty }
}

// Orders
extension Node {
    /// `CLUSTER FORGET node [FORCE]`: takes a node out for good, on every node.
    /// `CLUSTER READMIT node`: lets it in again, in its next life, which a process that runs begins
    /// as soon as it hears of this.
    mutating func changeMember(
        _ order: (NodeID) -> MembershipInput, _ target: ReplyTarget, _ effects: inout Effects
    ) {
        let text = String(decoding: request[2], as: UTF8.self)
        let number = text.count == 40 ? UInt64(text, radix: 16) : UInt64(text)
        guard let node = number.flatMap({ UInt16(exactly: $0) }).map(NodeID.init),
            linkIndex(of: node) != nil
        else { return fail(target, text: "ERR Unknown node \(text)", &effects) }
        if case .remove = order(node), request.count < 4, let loss = quorumLost(without: node) {
            return fail(target, text: loss, &effects)
        }
        var results: [MembershipEffect] = []
        membership.step(order(node), now: now, into: &results)
        for result in results { carryOut(result, &effects) }
        for case .refused(let refusal) in results {
            return fail(target, text: "ERR \(refusal.text)", &effects)
        }
        let words = (0..<request.count).map { String(decoding: request[$0], as: UTF8.self) }
        noteOrder(words.joined(separator: " ").uppercased(), of: target)
        let start = effects.bytes.count
        if case .readmit = order(node) {
            effects.bytes.append(
                text: "+OK \(node) is let in again: if it runs, it begins a new life within "
                    + "seconds, otherwise at its next start\r\n")
        } else {
            effects.bytes.writeOK()
        }
        deliver(target, from: start, &effects)
    }

    /// Why a node is not to be taken out without being asked twice: its replicas stay where the
    /// ring puts them, so where others were taken out before, too few may be left.
    private func quorumLost(without node: NodeID) -> String? {
        guard node != configuration.node, !isRemoved(node) else { return nil }
        for n in 2...64 where catalog.active.contains(where: { !$0.isDropped && $0.n == n }) {
            let quorum = n / 2 + 1
            let lacking = KeyRange.all.count { range in
                let primaries = ring.primaries(of: range, replicationFactor: n)
                let left = primaries.count { $0 != node && !isRemoved($0) }
                return primaries.contains(node) && left < quorum
            }
            guard lacking > 0 else { continue }
            return "ERR without \(node) too few replicas are left of \(lacking) of the "
                + "\(KeyRange.count) key ranges for a quorum of n=\(n) (\(quorum)): quorum reads "
                + "and writes of their keys would be UNAVAILABLE. CLUSTER FORGET \(node.rawValue) "
                + "FORCE does it all the same"
        }
        return nil
    }

    /// Tells a client of a node that takes no part any more, and closes.
    mutating func refuseRemoved(
        _ index: Int, _ connection: ConnectionID, _ effects: inout Effects
    ) {
        let text: StaticString
        switch membership.end {
        case .superseded:
            text = "REMOVED a later process runs under this node's number; ask another node"
        case .reborn: text = "LOADING this node begins a new life; try again"
        case .removed, .left, nil:
            text = "REMOVED this node was taken out of the cluster; ask another one"
        }
        fail(.direct(connection), text, &effects)
        close(index, connection, &effects)
    }
}

extension MembershipRefusal {
    fileprivate var text: String {
        switch self {
        case .ownNumber: "I tried hard but I can't forget myself..."
        case .notRemoved(let node): "\(node) was not forgotten"
        case .tooManyMembers: "there are too many members"
        case .ended: "this node takes no part in the cluster any more"
        }
    }
}
