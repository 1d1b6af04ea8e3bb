import Base
import Causality

@testable import CRDT

extension World {
    /// Finds out what every replica has seen by now. What is on its way with such a stamp is not
    /// taken any more.
    private mutating func settle() {
        for (index, op) in oracle.ops.enumerated().sorted(by: { $0.1.dot.stamp < $1.1.dot.stamp }) {
            let bit = 1 << UInt64(index) as UInt64
            // What nobody has any more was lost.
            guard
                replicas.contains(where: { $0.seen & bit != 0 })
                    || messages.contains(where: { $0.ops & bit != 0 })
            else { continue }
            guard replicas.allSatisfy({ $0.seen & bit != 0 }) else { break }
            settled = max(settled, op.dot.stamp)
        }
        messages.removeAll { message in
            oracle.ops.enumerated().contains { index, op in
                message.ops & 1 << UInt64(index) != 0 && op.dot.stamp <= settled
            }
        }
    }

    /// Up to where nothing is on its way any more that was done without knowing of it: what not all
    /// replicas have seen has itself seen everything up to here.
    mutating func stable() -> Stamp {
        settle()
        var stable = settled
        for (index, op) in oracle.ops.enumerated() where !isEverywhere(index) && isLeft(index) {
            for (other, past) in oracle.ops.enumerated()
            where op.seen & 1 << UInt64(other) == 0 && other != index {
                // What was settled before a replica lost its memory stays so.
                guard isEverywhere(other) || past.dot.stamp <= settled && isLeft(other) else {
                    continue
                }
                stable = min(stable, Stamp(rawValue: past.dot.stamp.rawValue - 1))
            }
        }
        return stable
    }

    private func isLeft(_ op: Int) -> Bool {
        let bit = 1 << UInt64(op) as UInt64
        return replicas.contains { $0.seen & bit != 0 } || messages.contains { $0.ops & bit != 0 }
    }

    private func isEverywhere(_ op: Int) -> Bool {
        replicas.allSatisfy { $0.seen & 1 << UInt64(op) != 0 }
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
