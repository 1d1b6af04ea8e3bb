import Base
import Reactor
import Replication

// Tells the log about clocks that are wrong and about this node's being taken out: once when it
// begins, with both sides' values and what to do, and once when it is over.
extension Server {
    /// What the log was told last.
    struct TroubleNotes {
        var looksAt: Deadline = 0
        var isContradicted = false
        var isOut = false
        var timesRenewed = 0
        /// Nodes whose clock was off when it was looked at last, ascending.
        var farClocks: [NodeID] = []

        /// - Returns: whether it is time to look again, about once a second.
        mutating func isDue(at now: UInt64) -> Bool {
            guard now >= looksAt else { return false }
            looksAt = now + 1_000_000_000
            return true
        }
    }

    /// Called at the end of each turn.
    mutating func tellTroubles() {
        guard troubleNotes.isDue(at: now.monotonic) else { return }
        tellEnd()
        tellOwnClock()
        tellClocks()
    }

    private mutating func tellEnd() {
        let isOut = node.membershipEnd != nil && stopsBy == nil
        guard isOut != troubleNotes.isOut else { return }
        troubleNotes.isOut = isOut
        guard isOut, let end = node.membershipEnd else { return }
        let number = node.identity.node.rawValue
        switch end {
        case .left: break
        case .reborn:
            log.warning(
                "this node begins a new life: CLUSTER READMIT \(number) was said, or the members "
                    + "know of a life later than \(node.identity), which does not run")
        case .removed:
            log.error(
                "this node was taken out of the cluster by CLUSTER FORGET \(number): clients are "
                    + "answered REMOVED. CLUSTER READMIT \(number) on another node lets it in "
                    + "again")
        case .superseded(let identity):
            log.error(
                "the cluster knows \(identity), a later life of this node than \(node.identity): "
                    + "a second process runs under its number, or this data directory is an old "
                    + "copy. Clients are answered REMOVED; end the other process, or restart here")
        }
    }

    private mutating func tellOwnClock() {
        let renewed = node.counters.identitiesRenewed
        guard renewed != troubleNotes.timesRenewed else { return }
        troubleNotes.timesRenewed = renewed
        log.warning(
            "this node's wall clock went back and shows \(now.wallMilliseconds) ms since 1970 now; "
                + "the node goes on as \(node.identity). Have NTP slew the clock, not step it")
    }

    private mutating func tellClocks() {
        let far = node.linkFigures.filter {
            guard $0.isUp, let ahead = $0.clockAheadMilliseconds else { return false }
            return abs(ahead) > Int64(configuration.node.clockDriftMax)
        }
        let isContradicted = node.isClockContradicted
        defer {
            troubleNotes.isContradicted = isContradicted
            troubleNotes.farClocks = far.map(\.node)
        }
        if isContradicted, !troubleNotes.isContradicted {
            let readings = far.map { "\($0.node) \(text($0.clockAheadMilliseconds ?? 0))" }
            return log.error(
                "no linked node's clock is near this one's, which shows \(now.wallMilliseconds) ms "
                    + "since 1970 (\(readings.joined(separator: ", "))): writes are answered CLOCK "
                    + "here. Set this machine's clock (timedatectl, chronyc tracking)")
        }
        if !isContradicted, troubleNotes.isContradicted {
            log.info("this node's clock agrees with another node's again: writes are taken")
        }
        for link in far where !troubleNotes.farClocks.contains(link.node) && !isContradicted {
            log.warning(
                "the clock of \(link.node) is \(text(link.clockAheadMilliseconds ?? 0)) this "
                    + "node's, which shows \(now.wallMilliseconds) ms since 1970: more than "
                    + "\(configuration.node.clockDriftMax) ms apart they refuse each other's "
                    + "writes with CLOCK. Set both clocks (timedatectl, chronyc tracking)")
        }
        for node in troubleNotes.farClocks where !far.contains(where: { $0.node == node }) {
            log.info("the clock of \(node) agrees with this node's again, or its link is down")
        }
    }

    private func text(_ ahead: Int64) -> String {
        "\(abs(ahead)) ms \(ahead < 0 ? "behind" : "ahead of")"
    }
}
