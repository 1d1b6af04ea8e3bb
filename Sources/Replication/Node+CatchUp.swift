import AntiEntropy
import Base
import Causality
import Coding
import Ring

// A replica that is behind, and how it catches up.
//
// Behind in a key range is a replica that has promised less than somebody collected there
// (`Node+Collection`), or that remembers less than what names of dropped keyspaces were forgotten
// (`Forgetting`): an old disk, a damaged or a lost one, a node that was forgotten. Up to a limit,
// the latest that was collected, it may hold what was deleted meanwhile. It is not whole, and
// nothing of the range is taken from it (`isKeptOut`).
//
// What it holds is in doubt, and may be the last copy all the same. So it drops nothing by itself.
// It asks a replica that *vouches* for the range: one that is whole there, and has promised, over
// the link as it is now, no less than is known to be collected. Whatever that one does not hold of
// what is older than the limit was deleted, for it has promised to hold all of it. This goes leaf
// by leaf, as a refill does and by its messages: where two leaves differ, the one that vouches
// names what of the other's it does not hold like that, and sends what it holds instead
// (`Node+Refutation`). So at each moment the replica that is behind has what it had or what the
// other one has, and a voucher that is lost half-way has cost nothing. What is later than the limit
// stays, and merges. When all leaves are covered the replica promises what was collected: it is no
// longer behind, and is refilled like any other.
//
// **Nobody vouches** where every replica has lost its memory or is behind: a damage in all of them,
// disks of a backup for all. When each replica of the range was heard, over the link as it is now,
// and none vouches, all keep what they have, promise what was collected, exchange it, and become
// whole by the rules of a refill. That may bring back what was deleted; nobody can tell any more
// (`keptUnvouched`). Who is away may be the one that vouches, and is waited for until an operator
// takes it out (`CLUSTER FORGET`) or gives it up (`CLUSTER REFILL WITHOUT`).
//
// **While the list of members is open** (`Generation`) no range is whole. Then who was whole by the
// former list vouches (`FormerWholeness`), whether it still replicates the range or not, and that
// none does holds only when all members were heard. No node hands over what it no longer
// replicates, and so none closes, before it has caught up; who waits for it waits for that as well.
//
//     one decides before  It is not whole, so it vouches for nothing; nor does it become whole
//     the others          before it has covered them, which have to be caught up for that.
//     they collect        What was collected is *revoked* up to there: nothing of it is settled any
//                         more, or one of them would ignore or collect what others have brought
//                         back. It is settled again once all have promised more, and only who is
//                         whole promises. Who hears of that revokes it too.
//     a voucher is late   Whoever was given up, or admitted again, and knows of no later collection
//                         takes what was brought back, as nothing of it is settled there either.
//                         If it knows of a later one, all others are behind again, and drop what it
//                         does not hold.
//     a process ends      Promises and what is revoked are on disk before anybody hears of them.
//                         Before that the node is behind again when it returns, and begins anew.
extension Node {
    /// Up to which stamp what this node holds of a range may have been deleted meanwhile; 0 where
    /// it is not behind.
    func doubtedUpTo(_ range: KeyRange, _ n: Int) -> UInt64 {
        guard Int(ranks[Int(range.rawValue)]) < n else { return 0 }
        let missed = collection.parts[n]?.missed(range.rawValue) ?? 0
        let limit = max(forgetting.doubtfulUpTo.rawValue, missed)
        let cleared = refill.parts[n]?.cleared[range.rawValue] ?? 0
        return limit > cleared ? limit : 0
    }

    /// Finds out where this node is behind by what it has heard: these ranges are not whole.
    mutating func catchUp(_ effects: inout Effects) {
        guard links.count > 1, configuration.plantedBug != .emptiedAnswersAtOnce else { return }
        promiseBareRanges(&effects)
        let wasBehind = refill.isBehind
        var isNews = false
        for n in replicationFactors {
            let ranges = Array(KeyRange.all).filter {
                doubtedUpTo($0, n) > refill.parts[n]?.doubted[$0.rawValue] ?? 0
            }
            guard !ranges.isEmpty else { continue }
            isNews = true
            beginRefill(of: ranges, n)
        }
        guard isNews else { return promiseCleared(&effects) }
        if !wasBehind { counters.fellBehind += 1 }
        persistWholeness(&effects)
        tellAllPromises(&effects)
        inquireAll(&effects)
    }

    private mutating func beginRefill(of ranges: [KeyRange], _ n: Int) {
        if !isRefilling {
            isRefilling = true
            refill = Refill(since: clock.latest)
            for other in replicationFactors {
                prepareRefill(other)
                refill.parts[other]?.trustAll()
            }
        }
        prepareRefill(n)
        refill.begin(since: clock.latest)
        for range in ranges { doubt(range, n) }
    }

    private mutating func doubt(_ range: KeyRange, _ n: Int) {
        let limit = doubtedUpTo(range, n)
        refill.parts[n]?.doubt(range.rawValue, upTo: limit)
        generation.former.remove(range.rawValue, n)
        guard configuration.plantedBug == .behindKeepsAll else { return }
        refill.parts[n]?.clear(range.rawValue, upTo: limit)
    }

    /// At a heartbeat.
    mutating func tendCatchUp(_ effects: inout Effects) {
        catchUp(&effects)
        for n in replicationFactors { keepUnvouched(n, &effects) }
        promiseCleared(&effects)
        guard isBehindSomewhere else { return }
        for index in links.indices where links[index].isUp && !hasSaidAll(index) {
            tellPromises(to: index, asks: true, &effects)
        }
    }

    /// Whether this node has to catch up in a range that a keyspace has.
    var isBehindSomewhere: Bool {
        replicationFactors.contains { refill.parts[$0].map { !$0.inDoubt.isEmpty } ?? false }
    }

    /// Whether another node knows of all that was collected, as it says.
    private func hasSaidAll(_ index: Int) -> Bool {
        links[index].hasPromised
            && collection.replicationFactors.allSatisfy { n in
                KeyRange.all.allSatisfy { hasSaidAll(index, $0, n) }
            }
    }

    private func hasSaidAll(_ index: Int, _ range: KeyRange, _ n: Int) -> Bool {
        guard let part = collection.parts[n] else { return true }
        return part.knownThere[index][range.rawValue] >= part.known[range.rawValue]
    }

    private mutating func keepUnvouched(_ n: Int, _ effects: inout Effects) {
        guard let part = refill.parts[n], !part.inDoubt.isEmpty else { return }
        for range in KeyRange.all where part.inDoubt.contains(range.rawValue) {
            if doubtedUpTo(range, n) == 0 {
                refill.parts[n]?.clear(range.rawValue, upTo: part.doubted[range.rawValue])
            } else if isUnvouched(range, n) {
                keepUnvouched(range, n, &effects)
            }
        }
    }

    /// Whether another replica knows what was deleted in a range.
    func vouches(_ index: Int, _ range: KeyRange, _ n: Int) -> Bool {
        guard let part = collection.parts[n], links[index].hasPromised,
            !isBehind(index, range, n)
        else { return false }
        return part.whole[index].contains(range.rawValue)
            && part.others[index][range.rawValue] >= part.known[range.rawValue]
    }

    /// A range is compared with one that vouches: it has nothing left that was deleted.
    ///
    /// - Returns: whether this node is not behind there, or no longer.
    mutating func clear(_ range: KeyRange, _ n: Int) -> Bool {
        let limit = doubtedUpTo(range, n)
        guard limit > 0 else { return true }
        guard let part = refill.parts[n], part.doubted[range.rawValue] == limit else {
            return false
        }
        // What does not come from one that vouches was not counted.
        let isVouched = links.indices.contains {
            let coverage = part.coverage[$0][Int(range.rawValue)]
            return coverage.isComplete && coverage.isOfWhole
        }
        if isVouched { refill.parts[n]?.clear(range.rawValue, upTo: limit) }
        return isVouched
    }

    /// Whether every replica of a range, or every member while the list is open, was heard as far
    /// as it is waited for, and none vouches.
    func isUnvouched(_ range: KeyRange, _ n: Int) -> Bool {
        let isAlone = links.indices.allSatisfy {
            links[$0].node == configuration.node || !isAwaited($0)
        }
        // Who was taken out may have been let in again: that is heard from anybody.
        guard isAlone || links.contains(where: { $0.isUp && $0.hasPromised }) else { return false }
        let replicas = ring.primaries(of: range, replicationFactor: n)
        return links.indices.allSatisfy { index in
            let node = links[index].node
            guard node != configuration.node, isAwaited(index),
                !generation.isClosed || replicas.contains(node)
            else { return true }
            return hasShown(index, range, n) && !vouches(index, range, n)
        }
    }

    /// Whether it is known if another node vouches for a range: what it said is no older than what
    /// was collected, and is said of the present list of members.
    private func hasShown(_ index: Int, _ range: KeyRange, _ n: Int) -> Bool {
        links[index].isUp && links[index].hasPromised && hasSaidAll(index, range, n)
            && (generation.isClosed || generation.heard.isSet(index))
    }

    /// Whether a node that is away may return with what it had.
    private func isAwaited(_ index: Int) -> Bool {
        let givenUp = refill.givenUp | generation.givenUp
        return !isRemoved(links[index].node) && (links[index].isUp || !givenUp.isSet(index))
    }

    /// Nobody knows what was deleted: what is here stays, and what others bring as well.
    private mutating func keepUnvouched(_ range: KeyRange, _ n: Int, _ effects: inout Effects) {
        let limit = doubtedUpTo(range, n)
        if configuration.plantedBug == .behindDropsUnvouched { dropAll(range, n, limit, &effects) }
        collection.prepare(n, links: links.count)
        let known = collection.parts[n]?.known[range.rawValue] ?? 0
        collection.revoke(known, n, range.rawValue)
        refill.parts[n]?.clear(range.rawValue, upTo: limit)
        counters.keptUnvouched += 1
    }

    private mutating func dropAll(
        _ range: KeyRange, _ n: Int, _ limit: UInt64, _ effects: inout Effects
    ) {
        var gone: [[UInt8]] = []
        var budget = WorkBudget.unlimited
        _ = store.visit(range, from: 0, &budget) { entry in
            let isOfN = catalog.active[catalog.index(of: entry.record.key)].n == n
            if isOfN, entry.record.dot.stamp.rawValue <= limit {
                gone.append(Array(entry.record.key))
            }
            return 0
        }
        for key in gone {
            key.withUnsafeBytes { key in
                removeStored(key)
                forget(key, catalog.index(of: key), &effects)
            }
        }
    }

    /// Promises what was collected in the ranges in which this node is no longer behind.
    mutating func promiseCleared(_ effects: inout Effects) {
        var marker = CollectionMarker()
        for n in collection.replicationFactors {
            let promised = promiseCleared(n)
            guard promised.latest > 0, let part = collection.parts[n] else { continue }
            marker.parts.append(.init(n: n, promised: promised, revoked: part.revoked))
        }
        if !marker.parts.isEmpty { announce(marker, &effects) }
        guard forgetting.doubtfulUpTo.rawValue > 0 else { return }
        let isDoubtful = replicationFactors.contains { n in
            KeyRange.all.contains { doubtedUpTo($0, n) > 0 }
        }
        guard !isDoubtful else { return }
        generation.namesDoubtedUpTo = max(
            generation.namesDoubtedUpTo, forgetting.doubtfulUpTo.rawValue)
        forgetting.noteDropped()
    }

    /// - Returns: what was promised anew.
    private mutating func promiseCleared(_ n: Int) -> RangeStamps {
        var promised = RangeStamps()
        guard let part = collection.parts[n] else { return promised }
        let isKept = replicationFactors.contains(n)
        for range in KeyRange.all where Int(ranks[Int(range.rawValue)]) < n {
            let known = part.known[range.rawValue]
            guard part.promised[range.rawValue] < known,
                !isKept || doubtedUpTo(range, n) == 0
            else { continue }
            collection.promise(known, n, range.rawValue)
            promised[range.rawValue] = known
        }
        return promised
    }

    /// Has the journal forget what this node promised and that it was whole.
    func persistDistrust(_ effects: inout Effects) {
        effects.persist { $0.append(JournalKind.distrust.rawValue) }
        effects.append { appendOwnLives(into: &$0) }
    }
}
