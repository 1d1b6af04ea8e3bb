import Base
import Reactor
import Replication

// Tells the log about this node's being taken out, and about its being alone, once when it begins.
extension Server {
    /// What the log was told last.
    struct TroubleNotes {
        var looksAt: Deadline = 0
        var isOut = false
        /// Since when there has been no link; nil while there is one.
        var aloneSince: Deadline?
        var isAlone = false
        var definitions: UInt64?
        var differences: [KeyspaceDifference] = []
        var conflicted: [String] = []
        var members: [MemberNote] = []

        /// - Returns: whether it is time to look again, about once a second.
        mutating func isDue(at now: UInt64) -> Bool {
            guard now >= looksAt else { return false }
            looksAt = now + 1_000_000_000
            return true
        }
    }

    /// Called at the end of each turn: what operators ordered in it.
    mutating func tellOrders() {
        guard !node.orders.isNone else { return }
        let orders = node.takeOrders()
        orderLog.suppress(orders.more)
        for order in orders.lines {
            guard let suppressed = orderLog.admit(at: now.monotonic) else { continue }
            log.info(order + (suppressed == 0 ? "" : " (and \(suppressed) more not logged)"))
        }
    }

    /// How many orders were not logged, when no later one has said so.
    private mutating func tellSuppressedOrders() {
        let count = orderLog.takeSuppressed(after: now.monotonic)
        if count > 0 { log.warning("\(count) more orders of clients were not logged") }
    }

    /// A list of members that has grown leaves keyspaces with fewer replicas than new ones get.
    func tellShorterLists() {
        let keyspaces = node.keyspacesOfShorterList
        guard let n = keyspaces.first?.n else { return }
        let names = keyspaces.prefix(20).map(\.name).joined(separator: ", ")
        let rest = keyspaces.count > 20 ? " and \(keyspaces.count - 20) more" : ""
        log.warning(
            "the list of members has grown, and n stays \(n) in these keyspaces: \(names)\(rest). "
                + "There is \(n == 1 ? "one copy" : "\(n) copies") of each of their keys. "
                + "KEYSPACE ALTER changes n of an empty keyspace; to keep the keys, copy them into "
                + "a keyspace made with a larger n")
    }

    /// Called at the end of each turn.
    mutating func tellTroubles() {
        guard troubleNotes.isDue(at: now.monotonic) else { return }
        tellSuppressedOrders()
        tellEnd()
        tellAlone()
        tellMembers()
        seekCallers()
        tellKeyspaces()
    }

    /// What this node's configuration says of keyspaces and does not count, and what was changed on
    /// two sides at once.
    private mutating func tellKeyspaces() {
        let digest = node.definitionsDigest
        guard troubleNotes.definitions != digest else { return }
        troubleNotes.definitions = digest
        let differences = node.configurationDifferences
        for difference in differences where !troubleNotes.differences.contains(difference) {
            difference.isCommanded
                ? log.info("\(difference.text)") : log.warning("\(difference.text)")
        }
        troubleNotes.differences = differences
        let conflicted = node.conflictedKeyspaces
        for name in conflicted where !troubleNotes.conflicted.contains(name) {
            log.warning(
                "keyspace \(name) was given different settings on several nodes, by their "
                    + "configurations or by KEYSPACE commands that did not know of each other; the "
                    + "safer of each counts (KEYSPACE GET \(name)), and KEYSPACE ALTER \(name) "
                    + "settles it")
        }
        troubleNotes.conflicted = conflicted
    }

    /// Looks up the hosts of members that call this node and have not: one may have no address.
    private mutating func seekCallers() {
        guard node.seeksLinks, stopsBy == nil else { return }
        for position in neighbours.indices
        where !neighbours[position].isCalled && neighbours[position].link == nil
            && neighbours[position].callAt <= now.monotonic
            && !node.isRemoved(neighbours[position].node)
        {
            neighbours[position].callAt = now.monotonic + Server.aloneNanoseconds
            let (host, port) = (neighbours[position].host, neighbours[position].port)
            if let address = SocketAddress(literal: host, port: port) {
                missCaller(position, at: address)
                continue
            }
            do throws(SocketError) {
                try resolver.ask(host, port: port, number: position)
            } catch {
                complain(position, error.description)
            }
        }
    }

    /// A member that calls this node has not, although its host has an address.
    mutating func missCaller(_ position: Int, at address: SocketAddress) {
        neighbours[position].hostBytes = address.hostBytes
        neighbours[position].failures += 1
        // At first it has had no time to; and of nobody at all `tellAlone` tells.
        guard neighbours[position].failures > 1, node.linksUp > 0 else { return }
        complain(
            position,
            "it has not called this node, as members with higher numbers do; if it runs, compare "
                + "the members in its configuration with where this node listens, \(linkAddress)")
    }

    /// A copy of a data directory that was started as a second process answers too, and nobody
    /// calls it.
    private mutating func tellAlone() {
        let others = configuration.node.members.count - 1
        guard others > 0, node.linksUp == 0 else {
            if troubleNotes.isAlone { log.info("there is a link to another member again") }
            troubleNotes.isAlone = false
            troubleNotes.aloneSince = nil
            return
        }
        let since = troubleNotes.aloneSince ?? now.monotonic
        troubleNotes.aloneSince = since
        guard !troubleNotes.isAlone, stopsBy == nil,
            now.monotonic - since >= Server.aloneNanoseconds
        else { return }
        troubleNotes.isAlone = true
        log.warning(
            "no link to any of the \(others) other members for "
                + "\(Server.aloneNanoseconds / 1_000_000_000) s: requests that need them fail, and "
                + "others answer for what they can see of this node's data only. If they run, "
                + "compare the members in all configurations with where this node listens for "
                + "them, \(linkAddress); a second process under number "
                + "\(node.identity.node.rawValue) may have the links")
    }

    private static let aloneNanoseconds: UInt64 = 10_000_000_000

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
}

extension KeyspaceDifference {
    /// For the log.
    fileprivate var text: String {
        guard setting != "dropped" else {
            return "keyspace \(keyspace) is in this node's configuration and was dropped (KEYSPACE "
                + "DROP); it stays so"
        }
        let reason =
            isCommanded
            ? "KEYSPACE commands decide since the first one"
            : "a changed configuration takes a setting only to what is safer, and where those of "
                + "nodes differ, the safer counts"
        return "keyspace \(keyspace): this node's configuration \(said), and "
            + "\(setting)=\(inForce) counts: \(reason). KEYSPACE ALTER \(keyspace) "
            + "\(setting)=\(configured) makes it count on all nodes; then give all of them the "
            + "same configuration"
    }
}
