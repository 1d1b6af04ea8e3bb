import Base
import Causality
import Ring

/// A keyspace that was dropped, as another node may not have heard.
struct UnheardDrop {
    /// Its index.
    let keyspace: Int
    /// What was written up to here is gone; who says so of the keyspace has heard of it.
    let truncatedAt: Stamp
}

// What was written to a keyspace that is dropped meanwhile goes with it, and never lives on in
// `default`, or in a keyspace that is made under its name, whose values may be of another kind.
//
// A drop empties up to a stamp that is later than those of all writes that were begun before, as
// nodes begin none between the time that they tell and the drop (`Fence`). That does not hold for a
// node that was cut off for longer than it waits. Say that C has not heard that A dropped k, and
// takes writes:
//
// 1. What is on C goes when it hears of the drop, whatever its stamp: all of that was written to
//    what was dropped (`KeyspaceCatalog.Drop`). Until a walk has removed it, C takes nothing of the
//    keyspace from others; exchanges bring that later.
// 2. What C sends before A knows that it has heard is refused by A (`UnheardDrop`): a node says
//    what it has heard before it sends anything that follows from it, and links keep the order.
// 3. What A had under way when it heard ends with an error. Nothing is kept, handed off or repaired
//    of it.
extension Node {
    /// Definitions changed: whatever is here, or under way, of what is gone goes.
    mutating func noteDrops(since before: KeyspaceCatalog, _ effects: inout Effects) {
        let dropped = catalog.dropped(since: before)
        guard !dropped.isEmpty, configuration.plantedBug != .dropSparesUnheard else { return }
        let moment = clock.tick()
        for index in dropped {
            catalog.hearOfDrop(index, at: moment, isLeft: isLeft(index, of: before))
            for (link, hint) in hintsLeft(of: index) {
                counters.hintsDropped += 1
                removeHint(hint.number, link, &effects)
            }
            abandonWrites(of: index, &effects)
        }
        for link in links.indices where links[link].isUp { expectNews(of: dropped, link) }
    }

    /// The same in a replay, which goes on when nothing is left: what follows in the journal was
    /// taken in after that.
    mutating func restoreDrops(since before: KeyspaceCatalog) {
        for index in catalog.dropped(since: before) {
            let moment = max(clock.latest, holdings.latest)
            catalog.hearOfDrop(index, at: moment, isLeft: isLeft(index, of: before))
            for (link, hint) in hintsLeft(of: index) {
                hints[link].remove(hint.number, key: hint.key)
            }
        }
    }

    /// Whether something may be here that was stamped later than what is gone everywhere.
    private func isLeft(_ index: Int, of before: KeyspaceCatalog) -> Bool {
        let isNew = index >= before.active.count || before.active[index].isVacant
        guard !isNew else { return holdings.keyspaces[0].counted > 0 }
        return latestCounted(index).map { $0 > catalog.active[index].drop.emptiedAt } ?? true
    }

    /// Hints of a keyspace by link, where one may be later than what is gone everywhere.
    private func hintsLeft(of keyspace: Int) -> [(link: Int, hint: (number: UInt64, key: [UInt8]))]
    {
        let emptiedAt = catalog.active[keyspace].drop.emptiedAt
        var left: [(link: Int, hint: (number: UInt64, key: [UInt8]))] = []
        for link in hints.indices where hints[link].latest > emptiedAt {
            var from: UInt64 = 0
            while let (number, hint) = hints[link].first(from: from) {
                from = number + 1
                hint.withRecord { record in
                    guard catalog.index(of: record.key) == keyspace else { return }
                    left.append((link, (number, Array(record.key))))
                }
            }
        }
        return left
    }

    /// A walk over all records has ended.
    mutating func endDiscarding() {
        for index in catalog.endDiscarding() { holdings.revive(index) }
    }

    /// Up to which stamp a key of which nothing is here has no value anywhere.
    func absentUpTo(_ range: KeyRange, _ keyspace: Int) -> Stamp {
        let truncatedAt = catalog.active[keyspace].drop.emptiedAt
        return isTyped(keyspace) ? truncatedAt : max(truncatedAt, settled(range, keyspace))
    }

    /// Whether a read began before this node heard that its keyspace was dropped.
    func isOutlived(_ read: ReadOperation) -> Bool {
        read.dropsHeard < catalog.active[read.keyspace].drop.number
    }

    /// Ends a read that did; nobody waits for a comparison.
    mutating func endOutlived(_ read: ReadOperation, _ effects: inout Effects) {
        guard !read.purpose.isComparison else { return }
        counters.unavailable += 1
        count(read, .unavailable)
        fail(
            read.head.target, "UNAVAILABLE the keyspace was dropped meanwhile; nothing was changed",
            &effects)
    }
}

// Who has heard.
extension Node {
    /// Nothing of these keyspaces is taken over a link before the other node says that it has heard
    /// of their drop.
    private mutating func expectNews(of dropped: [Int], _ link: Int) {
        forgetting.words[link].unheard.removeAll { dropped.contains($0.keyspace) }
        for index in dropped {
            let truncatedAt = catalog.definitions[index].truncatedAt
            forgetting.words[link].unheard.append(
                UnheardDrop(keyspace: index, truncatedAt: truncatedAt))
        }
    }

    /// A link came up: the other node may have heard of drops, or not.
    mutating func introduceDrops(to node: NodeID, _ link: Int, _ effects: inout Effects) {
        let dropped = catalog.everDropped
        guard !dropped.isEmpty else { return }
        expectNews(of: dropped, link)
        let names = dropped.map { catalog.definitions[$0].name }
        sendDefinitions(names, to: node, number: 0, &effects)
    }

    /// Another node has said what it knows of some keyspaces.
    mutating func heard(_ definitions: [KeyspaceDefinition], from node: NodeID) {
        guard let link = linkIndex(of: node), !forgetting.words[link].unheard.isEmpty else {
            return
        }
        for definition in definitions {
            guard let index = catalog.position(named: definition.name) else { continue }
            forgetting.words[link].unheard.removeAll {
                $0.keyspace == index && $0.truncatedAt <= definition.truncatedAt
            }
        }
    }

    /// Whether what a node says about a keyspace is about one that was dropped.
    @inline(__always)
    func isUnheard(_ keyspace: Int, by node: NodeID) -> Bool {
        guard let link = linkIndex(of: node), configuration.plantedBug != .dropSparesUnheard else {
            return false
        }
        return !forgetting.words[link].unheard.isEmpty
            && forgetting.words[link].unheard.contains { $0.keyspace == keyspace }
    }

    /// Counts what is not taken because it was written to a keyspace that was dropped.
    mutating func refuseDropped() -> ReplicaStatus {
        counters.refusedDropped += 1
        return .wrongEpoch
    }
}
