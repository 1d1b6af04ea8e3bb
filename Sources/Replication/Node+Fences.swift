import Base
import Causality

/// A keyspace that takes no writes here, because a node that asked whether it is empty is about to
/// change its n, or one that asked for the time is about to drop it.
struct Fence {
    let name: [UInt8]
    /// Who asked.
    let node: NodeID
    /// In which life; nil for this node itself.
    let life: ReplicaIdentity?
    /// When the change can no longer come, in nanoseconds of the monotonic clock.
    let until: Deadline
    /// It is to be dropped: what was stamped before goes with it, so that other replicas' writes
    /// may still come.
    var isForDrop = false
}

// Between the answer that a keyspace is empty and the change of its n nothing may be written under
// the old n: readers under the new one would not see it. Between the time that a node has told and
// the drop no write may begin either: it would be stamped later than what the drop empties.
extension Node {
    private static let fencesMax = 64
    private static let fenceMilliseconds = administrationMilliseconds + 1_000

    /// Begins to count what is held under a name; unless that is something, nothing comes to it
    /// until the asking node's change or word that there is none.
    ///
    /// - Returns: false when there is no room for another fence or another node is changing it.
    mutating func beginSurvey(
        _ name: [UInt8], for node: NodeID, _ asker: Survey.Asker
    ) -> Bool {
        fences.removeAll { $0.until <= now.monotonic }
        // Of two nodes that change one keyspace at a time, neither would know of the other's n.
        guard !fences.contains(where: { $0.name == name && $0.node != node }),
            fences.count < Node.fencesMax, background.surveys.count < Node.fencesMax
        else { return false }
        let until = now.monotonic + .nanoseconds(milliseconds: Node.fenceMilliseconds)
        fences.append(Fence(name: name, node: node, life: life(of: node), until: until))
        background.surveys.append(Survey(name: name, node: node, asker: asker))
        return true
    }

    /// Has no write of a keyspace begin here until it is dropped or the asking node says that it is
    /// not.
    mutating func fenceDrop(_ name: [UInt8], by node: NodeID) {
        fences.removeAll { $0.until <= now.monotonic }
        guard fences.count < Node.fencesMax, configuration.plantedBug != .dropSparesUnheard else {
            return
        }
        let until = now.monotonic + .nanoseconds(milliseconds: Node.fenceMilliseconds)
        fences.append(
            Fence(name: name, node: node, life: life(of: node), until: until, isForDrop: true))
    }

    private func life(of node: NodeID) -> ReplicaIdentity? {
        linkIndex(of: node).flatMap { links[$0].identity }
    }

    /// Another node knows the same definitions. What an earlier life of it asked for will not come:
    /// of a change that it told anybody its disk knows.
    mutating func endOutlivedFences(of index: Int) {
        fences.removeAll { $0.node == links[index].node && $0.life != links[index].identity }
    }

    /// There will be no change: the keyspace takes writes again.
    mutating func liftFence(_ name: [UInt8], of node: NodeID) {
        fences.removeAll { $0.node == node && $0.name == name }
    }

    /// Puts changed definitions in force; who fenced a keyspace for a change has made it.
    mutating func adopt(_ changed: KeyspaceCatalog, _ effects: inout Effects) {
        fences.removeAll { fence in
            guard let index = changed.position(named: fence.name) else { return false }
            let newest = changed.definitions[index].changes.context.newest
            guard newest?.identity.node == fence.node else { return false }
            let before = catalog.position(named: fence.name)
            return newest != before.flatMap { catalog.definitions[$0].changes.context.newest }
        }
        let before = catalog
        catalog = changed
        noteHintedUntilNow(before)
        noteDrops(since: before, &effects)
        followDurability(since: before)
        reshape(from: before)
        collection.reconsider()
        workInBackground(&effects)
    }

    /// Whether a node is about to change a keyspace's n: another change would bring the old one
    /// back.
    ///
    /// - Parameter drops: whether one that is about to drop it counts as well.
    func isBeingChanged(_ name: [UInt8], countingDrops drops: Bool = true) -> Bool {
        fences.contains {
            now.monotonic < $0.until && $0.name == name && (drops || !$0.isForDrop)
        }
    }

    mutating func failFenced(_ target: ReplyTarget, _ effects: inout Effects) {
        counters.unavailable += 1
        fail(target, "UNAVAILABLE a keyspace is being changed; try again", &effects)
    }

    /// Whether no write of a key may begin here.
    @inline(__always)
    func isFenced(_ key: UnsafeRawBufferPointer) -> Bool {
        !fences.isEmpty
            && fences.contains { now.monotonic < $0.until && isUnder($0.name, key) }
    }

    /// Whether other nodes' writes of a key are not taken here either.
    @inline(__always)
    func isFencedForReplicas(_ key: UnsafeRawBufferPointer) -> Bool {
        !fences.isEmpty
            && fences.contains {
                !$0.isForDrop && now.monotonic < $0.until && isUnder($0.name, key)
            }
    }

    /// Whether a key begins with the name and a colon; for `default`, whether it lives in no other
    /// keyspace.
    func isUnder(_ name: [UInt8], _ key: UnsafeRawBufferPointer) -> Bool {
        guard name != Node.defaultName else {
            let index = catalog.index(of: key)
            return index == 0 || catalog.active[index].isDropped
        }
        return key.count > name.count && key[name.count] == UInt8(ascii: ":")
            && key.prefix(name.count).elementsEqual(name)
    }
}
