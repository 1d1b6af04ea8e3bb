import Causality
import Coding
import RESP

// Too many concurrent values of one key, as the node that names a write meets them: what the
// keyspace's `overflow` makes of it.
extension Node {
    /// Brings what a write makes of a key within the keyspace's limits.
    ///
    /// Values that no reader sees any more give way first. A write that leaves no more values than
    /// there were is taken under `refuse` too: merged from several nodes there may be more than
    /// allowed, and only writes bring them down.
    ///
    /// - Parameters:
    ///   - set: with the write.
    ///   - before: how many values it had without.
    /// - Returns: false, with an error reply, when the write is refused.
    mutating func keepLimits(
        _ set: inout SiblingSet, before: Int, of intent: WriteIntent, _ target: ReplyTarget,
        _ effects: inout Effects
    ) -> Bool {
        let active = catalog.active[catalog.index(of: intent.key)]
        let limits = limits(of: active.settings, key: intent.key)
        guard !set.keeps(limits) else { return true }
        guard case .value = intent.change else {
            return set.keeps(limits.allowing(set.siblings.count))
                || refuseOverflow(active.settings, target, &effects)
        }
        let newest = set.newest
        set.removeSiblings {
            $0.dot.stamp <= active.truncatedAt
                || !$0.isLive(at: now.wallMilliseconds) && $0.dot != newest
        }
        let policy = active.settings.overflow
        var allowed = policy == .refuse ? limits.allowing(before) : limits
        if configuration.plantedBug == .overflowKeepsNewest { allowed.siblingsMax = 1 }
        guard let overflow = set.bringWithin(allowed, policy) else {
            return refuseOverflow(active.settings, target, &effects)
        }
        note(overflow)
        return true
    }

    private func limits(
        of settings: KeyspaceSettings, key: UnsafeRawBufferPointer
    ) -> SiblingLimits {
        SiblingLimits(
            siblingsMax: Int(settings.siblingsMax), valueBytesMax: Int(settings.valueBytesMax),
            bodyBytesMax: bodyBytesMax(key),
            share: .init(
                node: configuration.node, bytesMax: ownBytesMax(settings, keyBytes: key.count)))
    }

    private func bodyBytesMax(_ key: UnsafeRawBufferPointer) -> Int {
        configuration.recordBytesMax - Record.length(keyBytes: key.count, bodyBytes: 0)
    }

    /// What the concurrent values of a key that this node wrote may take: the share of one of the
    /// nodes that may write the key, so that whatever they write apart from each other fits into
    /// one record. Under `sloppy` each member may stand in.
    func ownBytesMax(_ settings: KeyspaceSettings, keyBytes: Int) -> Int {
        let writers =
            settings.isSloppy
            ? links.count : min(settings.replicationFactor, links.count)
        let contextBytes = min(CausalContext.entriesMax * 16, configuration.recordBytesMax / 8)
        let room =
            configuration.recordBytesMax - contextBytes
            - Record.length(keyBytes: keyBytes, bodyBytes: 0)
        return max(0, room / max(1, writers))
    }

    private mutating func note(_ overflow: SiblingOverflow) {
        self.overflow = overflow
        if overflow.merged > 0 { counters.overflowsMerged += 1 }
        if overflow.dropped > 0 { counters.overflowsDropped += 1 }
        counters.droppedValues += overflow.dropped
    }

    /// What the write that was just merged made of its key's values, for its receipt.
    mutating func takeOverflow() -> SiblingOverflow {
        defer { overflow = .none }
        return overflow
    }

    private mutating func refuseOverflow(
        _ settings: KeyspaceSettings, _ target: ReplyTarget, _ effects: inout Effects
    ) -> Bool {
        counters.overflowsRefused += 1
        let (policy, most) = (settings.overflow, settings.siblingsMax)
        let reason =
            switch policy {
            case .refuse, .lww: ""
            case .union: ", and not all are JSON arrays of strings that fit into one"
            case .max: ", and not all are whole numbers"
            }
        fail(
            target,
            text: "SIBLINGS too many concurrent values\(reason): the keyspace allows "
                + "siblings=\(most), and a share of a record's bytes to each node; read with QGET "
                + "and write with its context", &effects)
        return false
    }
}

extension SiblingLimits {
    /// The same for as many values as there are already.
    fileprivate func allowing(_ count: Int) -> SiblingLimits {
        var limits = self
        limits.siblingsMax = max(siblingsMax, count)
        return limits
    }
}
