import AntiEntropy
import Base
import Causality
import Coding
import Ring

// How old this node's state of a key range is at most, so that reads with a bound on staleness can
// be answered from it alone.
//
// Only a replica coordinates writes of a range, and it sends them to all others at once, as records
// or as deltas; under `sloppy=on` fallbacks do so as well, and no age is known. So what is
// here of a range reflects every write that was acknowledged before the oldest of the other
// replicas' reports (`LinkFreshness`). A report is heard with every heartbeat, and at once when one
// is asked for. Behind a cut, or while a replica is down, nothing is heard: the age grows.
//
// What a process that stopped had in memory only is no longer known to anybody by its name. When a
// new process appears behind a link, the trees must therefore be found equal with every replica
// again: whoever had acknowledged such a write beside the lost process still has it. A write that
// all who acknowledged it forgot is lost, not stale.
extension Node {
    /// Milliseconds between two questions for a report over one link.
    private static let questionMilliseconds: UInt64 = 5

    /// What is known of all writes of a range that other nodes coordinated.
    func closed(_ range: KeyRange, _ n: Int) -> LinkFreshness.Closed {
        var least = LinkFreshness.Closed(
            stamp: Stamp(rawValue: .max), at: now.monotonic)
        for node in ring.primaries(of: range, replicationFactor: n)
        where node != configuration.node {
            guard let index = linkIndex(of: node) else { continue }
            let closed = freshness[index].closed(n, range)
            least.stamp = min(least.stamp, closed.stamp)
            least.at = min(least.at, closed.at)
        }
        return least
    }

    /// Nanoseconds before which every acknowledged write of a keyspace's range is in this replica's
    /// state; nil while nothing is known, and always where fallbacks coordinate writes as well.
    func age(of range: KeyRange, _ keyspace: Int) -> UInt64? {
        let active = catalog.active[keyspace]
        guard !active.settings.isSloppy, isReplica(of: range, keyspace), isWhole(range, keyspace)
        else { return nil }
        let at = closed(range, active.n).at
        return at == 0 ? nil : now.monotonic - at
    }

    /// A write under this number was meant for a node, whether its link takes it or not.
    mutating func noteSent(_ number: UInt64, to node: NodeID) {
        if let index = linkIndex(of: node) { freshness[index].sent &+= finalMix(number) }
    }

    /// A write was received and is part of this node's state.
    mutating func noteReceived(_ number: UInt64, from node: NodeID) {
        guard number != 0, let index = linkIndex(of: node) else { return }
        freshness[index].received &+= finalMix(number)
    }

    /// A link came up.
    mutating func beginFreshness(
        _ index: Int, _ identity: ReplicaIdentity, _ effects: inout Effects
    ) {
        tellWritten(to: links[index].node, &effects)
        if configuration.plantedBug == .closedAcrossBrokenLink {
            return freshness[index].begin(forgetting: false)
        }
        freshness[index].begin(forgetting: true)
        guard freshness[index].process != identity else { return }
        freshness[index].process = identity
        freshness[index].written = VersionVector()
        for other in links.indices where other != index {
            freshness[other].forgetEqual()
            hastenExchange(other)
        }
    }

    /// Reports to another node.
    ///
    /// - Parameter asks: the other one is to report at once as well.
    func sendReport(to index: Int, asks: Bool = false, _ effects: inout Effects) {
        var rest = ByteBuffer(capacity: 24)
        for number in [freshness[index].sent, now.monotonic, freshness[index].reading] {
            rest.append(integer: number)
        }
        let frame = effects.bytes.appendMessage(
            kind: SessionMessage.reportKind, flag: asks ? 1 : 0, number: clock.latest.rawValue,
            rest.bytes)
        send(frame, to: links[index].node, &effects)
    }

    mutating func heardReport(
        _ report: SessionMessage.Report, from node: NodeID, _ effects: inout Effects
    ) {
        guard let index = linkIndex(of: node) else { return }
        freshness[index].reading = max(freshness[index].reading, report.reading)
        let isBelievable = report.echo > 0 && report.echo <= now.monotonic
        let stamp = isAhead(report.stamp) ? Stamp(rawValue: 0) : report.stamp
        let misses = freshness[index].heard(
            report.sum, .init(stamp: stamp, at: isBelievable ? report.echo : 0))
        if misses { noteMissing(index) }
        if report.asks { sendReport(to: index, &effects) }
    }

    /// Asks those replicas of a range that were not heard for longest, and not just asked.
    mutating func askReports(of range: KeyRange, _ n: Int, _ effects: inout Effects) {
        let pause = UInt64.nanoseconds(milliseconds: Node.questionMilliseconds)
        for node in ring.primaries(of: range, replicationFactor: n)
        where node != configuration.node {
            guard let index = linkIndex(of: node), links[index].isUp,
                freshness[index].askedAt + pause <= now.monotonic
            else { continue }
            freshness[index].askedAt = now.monotonic
            sendReport(to: index, asks: true, &effects)
        }
    }

    /// The roots of another node's trees came: which are equal is known on this side, and told.
    ///
    /// - Parameter sum: of what the other node had sent.
    mutating func noteRoots(
        _ roots: [ExchangeMessage.RangeRoot], _ n: Int, _ sum: UInt64, from node: NodeID,
        _ effects: inout Effects
    ) {
        guard let index = linkIndex(of: node), !links[index].isBehind else { return }
        var equal = Array(repeating: UInt8(0), count: SessionMessage.equalBytes)
        for root in roots {
            let range = KeyRange(root.range)
            guard sharesRange(range, n, with: node), isRefilled(range, n),
                tree(n, range).root == root.root
            else { continue }
            freshness[index].foundEqual(n, range, sum)
            equal[Int(root.range) / 8] |= 1 << (root.range % 8)
        }
        equal.withUnsafeBytes {
            send(
                to: node, kind: SessionMessage.equalKind, flag: UInt8(n),
                number: freshness[index].sent, $0, &effects)
        }
    }

    /// Another node found these trees equal to those whose roots it was sent.
    mutating func heardEqual(
        _ n: Int, _ sum: UInt64, _ bits: UnsafeRawBufferPointer, from node: NodeID
    ) {
        guard let index = linkIndex(of: node) else { return }
        for range in KeyRange.all
        where bits[Int(range.rawValue) / 8] & 1 << (range.rawValue % 8) != 0 {
            guard sharesRange(range, n, with: node), isRefilled(range, n) else { continue }
            freshness[index].foundEqual(n, range, sum)
        }
    }
}
