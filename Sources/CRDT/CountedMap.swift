import Base
import Causality
import Coding

/// A part of a field or a member: what was put there, or what one identity has added to it.
protocol CountedPart: DotPayload {
    /// When its identity began to add; nil for what is no running total.
    var since: Stamp? { get }
    /// The part without what an earlier balance of the same running total holds.
    func beyond(_ earlier: Self) -> Self
    /// The same with a running total that began at a stamp at the latest.
    func begun(by stamp: Stamp) -> Self
}

extension CountedPart {
    func mayStand(under dot: Dot) -> Bool { since.map { $0 <= dot.stamp } ?? true }
}

/// Running totals that a write replaced or removed, each as it was then: at most one an identity.
struct EndedTotals<Part: CountedPart>: DotPayload {
    /// Ascending by identity.
    private(set) var parts: [DotEntry<Part>]

    init(_ parts: [DotEntry<Part>]) {
        self.parts = parts.sorted { $0.dot.identity < $1.dot.identity }
    }

    func names(_ identity: ReplicaIdentity) -> Bool {
        parts.contains { $0.dot.identity == identity }
    }

    mutating func remove(_ identity: ReplicaIdentity) {
        parts.removeAll { $0.dot.identity == identity }
    }

    /// Keeps the later of two balances of one identity.
    mutating func join(_ other: EndedTotals) {
        for part in other.parts {
            guard let index = parts.firstIndex(where: { $0.dot.identity == part.dot.identity })
            else {
                parts.append(part)
                continue
            }
            if parts[index].dot == part.dot { parts[index].payload.join(part.payload) }
            if parts[index].dot < part.dot { parts[index] = part }
        }
        parts.sort { $0.dot.identity < $1.dot.identity }
    }

    func allDots(_ isKnown: (Dot) -> Bool) -> Bool { parts.allSatisfy { $0.allDots(isKnown) } }

    /// Sets the total of an identity to a stamp that it has passed.
    mutating func lower(to bound: Dot) { parts = parts.map { $0.lowered(to: bound) } }

    func encode(into encoder: inout DotEncoder) {
        encoder.append(count: parts.count)
        for part in parts {
            encoder.append(part.dot)
            part.payload.encode(into: &encoder)
        }
    }

    init(decoding decoder: inout DotDecoder) throws(DecodeError) {
        parts = []
        for _ in 0..<(try decoder.count()) {
            let dot = try decoder.dot()
            if let last = parts.last, dot.identity <= last.dot.identity {
                throw .invalid("ended totals are out of order")
            }
            let part = try Part(decoding: &decoder)
            guard part.since != nil, part.mayStand(under: dot) else {
                throw .invalid("only a running total is kept when it has ended")
            }
            parts.append(DotEntry(dot: dot, payload: part))
        }
        if parts.isEmpty { throw .invalid("no ended totals are not written") }
    }
}

/// Values under keys, and increments on top of them: the fields of a hash, the members of a sorted
/// set.
///
/// A write that replaces or removes a key takes exactly the increments with it that it has seen. An
/// identity keeps one running total a key, so that a counter costs the same however often it is
/// counted. But then an increment that did not know of the removal brings a total that holds the
/// removed increments as well:
///
///     everywhere      f = A's total 10
///     on B            HDEL f
///     on A, unaware   HINCRBY f 1, which makes A's total 11
///     together        1, not 11
///
/// So the removal keeps the total that it removed, as it was (`ended`), and what continues the same
/// total counts without it. A total is named by its identity and by when that began it: who
/// increments a key of which it sees no total of its own begins a new one, which owes nothing to
/// those that have ended; its own among these are of no use to anybody any more.
///
/// What has ended is forgotten once everybody is known to have heard of it (`forget`,
/// `CRDTState.sweep`). Plain keys, never incremented, leave nothing behind.
///
/// Source: the exact reset is that of Weidner & Almeida, "An Oblivious Observed-Reset Embeddable
/// Replicated Counter" (2022), for states in place of operations: a state has to remember what it
/// resets until it is stable.
struct CountedMap<Part: CountedPart>: Equatable, Sendable {
    typealias Entries = DotMap<Bytes, Part>.Entries
    typealias Changes = CountedChanges<Part>

    var live = DotMap<Bytes, Part>()
    /// By key, under the dot of the write that ended them.
    private(set) var ended = DotMap<Bytes, EndedTotals<Part>>()

    init() {}

    init(live: DotMap<Bytes, Part>, ended: DotMap<Bytes, EndedTotals<Part>>) {
        self.live = live
        self.ended = ended
    }

    var map: ChunkedMap<Bytes, Entries> { live.map }
    var count: Int { live.count }
    var isEmpty: Bool { @_transparent get { live.isEmpty } }
    /// Nothing is remembered either.
    var isUntouched: Bool { live.isEmpty && ended.isEmpty }

    /// The parts of a key as they count.
    subscript(key: Bytes) -> Entries? { live[key].map { counting($0, of: key) } }

    /// Parts without what has ended of their totals.
    func counting(_ parts: Entries, of key: Bytes) -> Entries {
        guard !ended.isEmpty, let graves = ended[key] else { return parts }
        return parts.map { part in
            guard let grave = ending(of: part, among: graves) else { return part }
            return DotEntry(dot: part.dot, payload: part.payload.beyond(grave.payload))
        }
    }

    /// The latest balance that has ended of the total which a part continues.
    private func ending(
        of part: DotEntry<Part>, among graves: DotMap<Bytes, EndedTotals<Part>>.Entries
    ) -> DotEntry<Part>? {
        guard let since = part.payload.since else { return nil }
        return graves.flatMap(\.payload.parts)
            .filter { $0.dot.identity == part.dot.identity && since <= $0.dot.stamp }
            .max { $0.dot < $1.dot }
    }

    // MARK: Changes at home

    /// Puts a value in the place of everything that is there.
    mutating func put(_ key: Bytes, _ part: Part, dot: Dot, into changes: inout Changes) {
        let replaced = live[key] ?? []
        live.put(key, DotEntry(dot: dot, payload: part), into: &changes.live)
        end(foreign(replaced, dot), of: key, dot, &changes)
    }

    /// Removes everything that is there.
    mutating func take(_ key: Bytes, dot: Dot, into changes: inout Changes) {
        let removed = live[key] ?? []
        live.take(key, into: &changes.live)
        end(foreign(removed, dot), of: key, dot, &changes)
    }

    /// Adds under the identity of a dot.
    ///
    /// - Parameter grown: the identity's running total, nil before it has one, with the amount.
    mutating func add(
        _ key: Bytes, dot: Dot, into changes: inout Changes, _ grown: (Part?) -> Part
    ) {
        func isOwn(_ entry: DotEntry<Part>) -> Bool {
            entry.dot.identity == dot.identity && entry.payload.since != nil
        }
        let own = live[key]?.last(where: isOwn)
        let total = grown(own?.payload)
        live.put(key, DotEntry(dot: dot, payload: total), into: &changes.live) { entry in
            total.since != nil
                ? isOwn(entry)
                : entry.dot.identity == dot.identity
                    && entry.payload == total
        }
        if own == nil && total.since != nil { forgetOwn(dot, key, &changes) }
    }

    /// Ends every running total, before everything that is there is cleared.
    mutating func endAll(dot: Dot, into changes: inout Changes) {
        for chunk in live.map.chunks {
            for (place, parts) in chunk.values.enumerated()
            where parts.contains(where: { $0.payload.since != nil }) {
                end(foreign(parts, dot), of: chunk.keys[place], dot, &changes)
            }
        }
    }

    /// Whoever removes its own total does not go on with it.
    func foreign(_ parts: Entries, _ dot: Dot) -> Entries {
        parts.filter { $0.dot.identity != dot.identity }
    }

    mutating func end(_ parts: Entries, of key: Bytes, _ dot: Dot, _ changes: inout Changes) {
        let totals = parts.filter { $0.payload.since != nil }
        if totals.isEmpty { return }
        let entry = DotEntry(dot: dot, payload: EndedTotals(latest(of: totals)))
        ended.put(key, entry, into: &changes.ended) { _ in false }
    }

    /// Only a broken disk or node makes two totals of one identity.
    private func latest(of totals: Entries) -> Entries {
        totals.filter { total in
            !totals.contains { $0.dot.identity == total.dot.identity && total.dot < $0.dot }
        }
    }

    /// An identity begins a new total: nobody continues one that has ended.
    private mutating func forgetOwn(_ dot: Dot, _ key: Bytes, _ changes: inout Changes) {
        let graves = (ended[key] ?? []).filter { $0.payload.names(dot.identity) }
        guard !graves.isEmpty else { return }
        var rest = EndedTotals<Part>([])
        for grave in graves { rest.join(grave.payload) }
        rest.remove(dot.identity)
        ended.take(key, into: &changes.ended) { $0.payload.names(dot.identity) }
        changes.ended.removed.remove(key) { $0.dot == dot }
        changes.ended.added.remove(key) { $0.dot == dot }
        if rest.parts.isEmpty { return }
        ended.put(key, DotEntry(dot: dot, payload: rest), into: &changes.ended) { _ in false }
    }

    // MARK: What ends by itself

    /// The running totals, by key.
    ///
    /// - Parameter identity: whose are left out.
    func totals(except identity: ReplicaIdentity) -> SortedMap<Bytes, EndedTotals<Part>> {
        var totals = SortedMap<Bytes, EndedTotals<Part>>()
        for (key, parts) in live.map {
            let others = parts.filter { $0.payload.since != nil && $0.dot.identity != identity }
            if !others.isEmpty { totals[key] = EndedTotals(latest(of: others)) }
        }
        return totals
    }

    /// The running total, as it is here, to which changes have added.
    ///
    /// - Parameter changes: of one command, which adds to one total at most.
    func continued(by changes: Changes) -> (key: Bytes, total: DotEntry<Part>)? {
        for (key, parts) in changes.live.added.map {
            for part in parts {
                let total = live[key]?.last {
                    $0.dot.identity == part.dot.identity && $0.payload.since != nil
                        && $0.payload.since == part.payload.since
                }
                if let total { return (key, total) }
            }
        }
        return nil
    }

    /// Whether every part satisfies `holds`, which gets the key, the part, and up to where the
    /// total that it continues has ended.
    func everyPart(_ holds: (Bytes, DotEntry<Part>, Stamp) -> Bool) -> Bool {
        live.isEmpty
            || live.map.allSatisfy { key, parts in
                let graves = ended[key] ?? []
                return parts.allSatisfy { holds(key, $0, endedThrough($0, graves)) }
            }
    }

    private func endedThrough(
        _ part: DotEntry<Part>, _ graves: DotMap<Bytes, EndedTotals<Part>>.Entries
    ) -> Stamp {
        ending(of: part, among: graves)?.dot.stamp ?? Stamp(rawValue: 0)
    }

    /// Parts of a key that end, each as a whole or up to an earlier balance.
    struct Ending {
        let key: Bytes
        var removed: Entries = []
        var balances: Entries = []
    }

    /// - Parameter last: the last balance of a part that ends; nil for none.
    func endings(
        _ last: (Bytes, DotEntry<Part>, Stamp) -> DotEntry<Part>?
    ) -> [Ending] {
        var endings: [Ending] = []
        for (key, parts) in live.map {
            var ending = Ending(key: key)
            let graves = ended[key] ?? []
            for part in parts {
                guard let balance = last(key, part, endedThrough(part, graves)) else { continue }
                if balance == part {
                    ending.removed.append(part)
                } else {
                    ending.balances.append(balance)
                }
            }
            if !ending.removed.isEmpty || !ending.balances.isEmpty { endings.append(ending) }
        }
        return endings
    }

    mutating func end(_ ending: Ending, dot: Dot, into changes: inout Changes) {
        live.take(ending.key, into: &changes.live) { part in
            ending.removed.contains { $0.dot == part.dot }
        }
        end(foreign(ending.removed, dot) + ending.balances, of: ending.key, dot, &changes)
    }

    // MARK: What is stable

    /// Forgets, of some keys, what ended by a stamp of which everybody has heard.
    ///
    /// - Parameter first: of the keys with something that has ended, which to begin with; any
    ///   number.
    mutating func sweep(
        through stamp: Stamp, first: UInt64, keys: Int, into changes: inout Changes
    ) {
        guard !ended.isEmpty, stamp.rawValue > 0 else { return }
        var iterator = ended.map.iterator(from: Int(first % UInt64(ended.count)))
        var gone: [(Bytes, Dot)] = []
        for _ in 0..<keys {
            guard let (key, graves) = iterator.next() else { break }
            for grave in graves where grave.dot.stamp <= stamp && !isNeeded(grave, key) {
                gone.append((key, grave.dot))
            }
        }
        for (key, dot) in gone { ended.take(key, into: &changes.ended) { $0.dot == dot } }
    }

    /// Forgets what certain writes have ended, but for what a live total counts from.
    mutating func forgetUnneeded(where isForgotten: (Dot) -> Bool = { _ in true }) {
        if ended.isEmpty { return }
        var kept = DotMap<Bytes, EndedTotals<Part>>()
        for (key, graves) in ended.map {
            let needed = graves.filter { !isForgotten($0.dot) || isNeeded($0, key) }
            if !needed.isEmpty { kept.append(key, needed) }
        }
        ended = kept
    }

    /// Forgets all of it.
    mutating func forgetAll() { ended = DotMap() }

    private func isNeeded(_ grave: DotEntry<EndedTotals<Part>>, _ key: Bytes) -> Bool {
        (live[key] ?? []).contains { part in
            guard let since = part.payload.since else { return false }
            return grave.payload.parts.contains {
                $0.dot.identity == part.dot.identity && since <= $0.dot.stamp
            }
        }
    }

    /// Removes entries of a map that is not needed any more.
    mutating func removeLastEntries(_ budget: inout Int) {
        live.removeLastEntries(&budget)
        ended.removeLastEntries(&budget)
    }

    // MARK: Merging

    mutating func clear(_ seen: VersionVector) { live.clear(seen) }

    /// Removes every part; what has ended is remembered.
    mutating func removeAll() { live.removeAll() }

    /// Drops what was written up to a context, as if it had never been.
    mutating func truncate(_ seen: VersionVector) {
        live.clear(seen)
        ended.clear(seen)
    }

    mutating func join(_ other: CountedMap, seen: VersionVector, otherSeen: VersionVector) {
        live.join(other.live, seen: seen, otherSeen: otherSeen)
        ended.join(other.ended, seen: seen, otherSeen: otherSeen)
    }

    mutating func apply(_ changes: Changes, seen: VersionVector) {
        live.apply(changes.live, seen: seen)
        ended.apply(changes.ended, seen: seen)
    }

    func allDots(_ isKnown: (Dot) -> Bool) -> Bool {
        live.allDots(isKnown) && ended.allDots(isKnown)
    }
}

/// What a mutation did to a `CountedMap`.
struct CountedChanges<Part: CountedPart>: Equatable, Sendable {
    var live = DotMapChanges<Bytes, Part>()
    var ended = DotMapChanges<Bytes, EndedTotals<Part>>()

    /// Goes on with a later mutation, after it has cleared what `cleared` contains.
    mutating func append(_ next: CountedChanges, cleared: VersionVector) {
        live.append(next.live, cleared: cleared)
        ended.append(next.ended, cleared: VersionVector())
    }

    func allDots(_ isKnown: (Dot) -> Bool) -> Bool {
        live.allDots(isKnown) && ended.allDots(isKnown)
    }
}
