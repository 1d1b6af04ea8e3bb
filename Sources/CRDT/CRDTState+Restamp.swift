import Base
import Causality

extension CRDTState {
    /// Brings back to the present what this node wrote while its clock was ahead, as
    /// `SiblingSet.restamp` does: other nodes refuse those writes.
    ///
    /// Each live write is named anew by the new identity, in the old order. Running totals and rows
    /// of counters belong to the old identity and stay its own, as of `limit`: it writes nothing
    /// any more, and nobody else has seen one as late. So what ends of a total that somebody else
    /// knows ends of it here as well. No delta tells of this; the new identity's
    /// next one asks for the state.
    ///
    /// - Parameters:
    ///   - retired: the identities that wrote by the wrong clock, the earlier first.
    ///   - limit: the latest stamp of them that other nodes can have accepted.
    ///   - mint: dots of the new identity, each later than the one before and than what it is
    ///     given: the latest stamp of the state that stays.
    public mutating func restamp(
        retired: [ReplicaIdentity], after limit: Stamp, mint: (Stamp) -> Dot
    ) {
        func isLate(_ dot: Dot) -> Bool { limit < dot.stamp && retired.contains(dot.identity) }
        guard context.entries.contains(where: isLate) else { return }
        var kept = Stamp(rawValue: 0)
        for dot in context.entries where !isLate(dot) { kept = max(kept, dot.stamp) }
        _ = contents.allDots { dot in
            if !isLate(dot) { kept = max(kept, dot.stamp) }
            return true
        }
        for identity in retired where limit < context.stamp(of: identity) {
            bringBack(to: Dot(identity: identity, stamp: limit)) { mint(kept) }
        }
    }

    private mutating func bringBack(to bound: Dot, mint: () -> Dot) {
        let (retired, limit) = (bound.identity, bound.stamp)
        contents.counter.lower(to: bound)
        var doubted: [Stamp] = []
        _ = contents.allDots { dot in
            if dot.identity == retired, limit < dot.stamp { doubted.append(dot.stamp) }
            return true
        }
        doubted.sort()
        var names = SortedMap<Stamp, Dot>()
        for stamp in doubted where names[stamp] == nil { names[stamp] = mint() }
        contents.rename(bound) { dot in
            dot.identity == retired ? names[dot.stamp] ?? dot : dot
        }
        contents.expiry.changePayloads { $0.lower(to: bound, names) }
        context = context.removing(retired)
        context.insert(bound)
        for dot in names.values { context.insert(dot) }
        if names.isEmpty { context.insert(mint()) }
    }
}

extension Contents {
    /// Gives dots other names.
    ///
    /// - Parameter bound: rows of its identity are as of its stamp, at the latest.
    fileprivate mutating func rename(_ bound: Dot, _ name: (Dot) -> Dot) {
        registers.rename(name)
        flag.rename(name)
        set.rename(name)
        hash = hash.renamed(bound, name)
        sortedSet = SortedSetStore(sortedSet.members.renamed(bound, name))
        list.rename(name)
        bounded.rename(name) { $0.lower(to: bound) }
        expiry.rename(name)
    }
}

extension DotMap {
    fileprivate mutating func rename(
        _ name: (Dot) -> Dot, _ change: (inout Payload) -> Void = { _ in }
    ) {
        var renamed = DotMap()
        for (key, entries) in map {
            var changed = entries.map { Entry(dot: name($0.dot), payload: $0.payload) }
            for index in changed.indices {
                changed[index].payload.rename(name)
                change(&changed[index].payload)
            }
            renamed.append(key, changed.sorted { $0.dot < $1.dot })
        }
        self = renamed
    }
}

extension DotEntry where Payload: CountedPart {
    /// A running total as of a stamp that its identity has passed; anything else as it is.
    func lowered(to bound: Dot) -> DotEntry {
        guard payload.since != nil, dot.identity == bound.identity, bound < dot else { return self }
        return DotEntry(dot: bound, payload: payload.begun(by: bound.stamp))
    }
}

extension CountedMap {
    fileprivate func renamed(_ bound: Dot, _ name: (Dot) -> Dot) -> CountedMap {
        var (live, ended) = (DotMap<Bytes, Part>(), ended)
        for (key, parts) in self.live.map {
            var renamed = Entries()
            for part in parts.map({ $0.lowered(to: bound) }).sorted(by: { $0.dot < $1.dot }) {
                let dot = name(part.dot)
                if let last = renamed.indices.last, renamed[last].dot == dot {
                    renamed[last].payload.join(part.payload)
                } else {
                    renamed.append(DotEntry(dot: dot, payload: part.payload))
                }
            }
            live.append(key, renamed.sorted { $0.dot < $1.dot })
        }
        ended.rename(name) { $0.lower(to: bound) }
        return CountedMap(live: live, ended: ended)
    }
}
