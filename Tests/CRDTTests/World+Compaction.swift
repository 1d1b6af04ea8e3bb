import Base
import Causality

@testable import CRDT

extension World {
    /// Finds out what every replica has seen by now. What is on its way with such a stamp is not
    /// taken any more.
    mutating func settle() {
        let everywhere = replicas.reduce(UInt64.max) { $0 & $1.seen }
        let left = replicas.reduce(messages.reduce(0) { $0 | $1.ops }) { $0 | $1.seen }
        // What nobody has any more was lost.
        let missing = left & ~everywhere
        var first: Stamp?
        for (index, op) in oracle.ops.enumerated() where missing & 1 << UInt64(index) != 0 {
            first = min(first ?? op.dot.stamp, op.dot.stamp)
        }
        for (index, op) in oracle.ops.enumerated() where everywhere & 1 << UInt64(index) != 0 {
            if first.map({ op.dot.stamp < $0 }) ?? true { settled = max(settled, op.dot.stamp) }
        }
        let early = numbered { $0.dot.stamp <= settled }
        messages.removeAll { $0.ops & early != 0 }
    }

    /// Up to where nothing is on its way any more that was done without knowing of it: what not all
    /// replicas have seen has itself seen everything up to here.
    mutating func stable() -> Stamp {
        settle()
        var stable = settled
        let everywhere = replicas.reduce(UInt64.max) { $0 & $1.seen }
        let left = replicas.reduce(messages.reduce(0) { $0 | $1.ops }) { $0 | $1.seen }
        let early = numbered { $0.dot.stamp <= settled }
        // What was settled before a replica lost its memory stays so.
        let heard = everywhere | early & left
        var unheard: UInt64 = 0
        for (index, op) in oracle.ops.enumerated() {
            let bit = 1 << UInt64(index) as UInt64
            if left & ~everywhere & bit != 0 { unheard |= heard & ~op.seen & ~bit }
        }
        for (index, op) in oracle.ops.enumerated() where unheard & 1 << UInt64(index) != 0 {
            stable = min(stable, Stamp(rawValue: op.dot.stamp.rawValue - 1))
        }
        return stable
    }

    /// The operations of a kind, as bits.
    func numbered(_ isMeant: (Op) -> Bool) -> UInt64 {
        var bits: UInt64 = 0
        for (index, op) in oracle.ops.enumerated() where isMeant(op) { bits |= 1 << UInt64(index) }
        return bits
    }

    /// One replica forgets what it may forget by now.
    mutating func compact(_ index: Int) {
        let stable = stable()
        guard let newest = replicas[index].state.context.newest, newest.stamp <= stable else {
            return
        }
        guard replicas[index].state.compact() else { return }
        reached.insert(.compacted)
        check(index, always: true)
        if replicas[index].state.compact() { fail("compacted twice") }
    }

    /// All forget what they can once all of them have everything.
    mutating func compactAll() {
        messages = []
        for index in replicas.indices { compact(index) }
        guard let newest = replicas[0].state.context.newest else { return }
        var named = namedIdentities(replicas[0].seen)
        named.insert(newest.identity)
        for replica in replicas {
            if bytes(of: replica.state) != bytes(of: replicas[0].state) { fail("bytes differ") }
            let left = replica.state.context.entries.map(\.identity)
            // What a live total counts from names who ended it.
            let contents = replica.state.contents
            let isPlain =
                contents.bounded.isEmpty && contents.hash.ended.isEmpty
                && contents.sortedSet.members.ended.isEmpty
            if isPlain, Set(left) != named {
                fail("\(left) are left of \(named)")
            }
        }
    }

    /// Who wrote what the operations say is live.
    private func namedIdentities(_ seen: UInt64) -> Set<ReplicaIdentity> {
        let view = oracle.view(seen, now: now)
        let shown = view.live.filter { item in
            let (type, key) = (oracle.items[item].type, oracle.items[item].key)
            return type != .list || oracle.isInsertion(item) || view.items(type, key).last == item
        }
        return Set(shown.map { oracle.dot($0).identity })
    }
}
