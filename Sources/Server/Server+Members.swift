import Base
import Replication

/// What the log was told of another member.
struct MemberNote {
    /// When it was told last; believed alive before.
    var standing: MemberStanding
    /// Since when it is not heard; nil while it is not told to be away.
    var silentSince: Deadline?
}

// Tells the log which member is silent, declared dead, or back: once each, as this node learns it.
extension Server {
    /// Called once a second.
    mutating func tellMembers() {
        guard node.membershipEnd == nil else { return }
        for standing in node.memberStandings {
            let position = troubleNotes.members.firstIndex { $0.standing.node == standing.node }
            let before = position.map { troubleNotes.members[$0] }
            guard standing.state != before?.standing.state ?? .alive,
                let note = tell(standing, before)
            else { continue }
            if let position { troubleNotes.members[position] = note }
            if position == nil { troubleNotes.members.append(note) }
        }
    }

    /// - Returns: nil when there is nothing to tell yet.
    private func tell(_ standing: MemberStanding, _ before: MemberNote?) -> MemberNote? {
        let node = standing.node
        let heardAt = standing.heardAt == 0 ? now.monotonic : standing.heardAt
        let since = before?.silentSince ?? heardAt
        let seconds = (now.monotonic - min(since, now.monotonic)) / 1_000_000_000
        let silence =
            standing.heardAt == 0 ? "not heard since this start" : "silent for \(seconds) s"
        let wasRemoved = before?.standing.state == .removed
        switch standing.state {
        case .alive where wasRemoved: log.info("\(node) is let in again")
        case .alive: log.info("\(node) is back after \(seconds) s")
        // Others suspect it, and it is heard here: that is soon refuted, or comes true.
        case .suspect where seconds == 0: return nil
        case .suspect:
            log.warning(
                "\(node) is \(silence), \(standing.linkText): unless it answers, the "
                    + "members declare it dead within seconds")
        case .dead where wasRemoved, .left where wasRemoved:
            log.info("\(node) is let in again, and has not come yet")
        case .dead, .left:
            log.warning(
                "\(node) is declared dead, \(silence), \(standing.linkText): its slots "
                    + "name other nodes, no request waits for it, and what its replicas miss it "
                    + "gets when it is back")
        case .removed:
            log.info(
                "\(node) is taken out of the cluster (CLUSTER FORGET \(node.rawValue)); CLUSTER "
                    + "READMIT \(node.rawValue) lets it in again")
        }
        return MemberNote(
            standing: standing, silentSince: standing.state == .alive ? nil : since)
    }
}

extension MemberStanding {
    fileprivate var linkText: String {
        isLinkUp ? "although its link is up (it hangs, or the network is cut)" : "without a link"
    }
}
