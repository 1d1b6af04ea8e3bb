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
            guard replicas.contains(where: { $0.seen & bit != 0 })
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

    /// One replica forgets what it may forget by now.
    mutating func compact(_ index: Int) {
        settle()
        guard let newest = replicas[index].state.context.newest, newest.stamp <= settled else {
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
            if replica.state.contents.bounded.isEmpty, Set(left) != named {
                fail("\(left) are left of \(named)")
            }
        }
    }

    /// Who wrote what the operations say is live.
    private func namedIdentities(_ seen: UInt64) -> Set<ReplicaIdentity> {
        Set(oracle.view(seen, now: now).live.map { oracle.dot($0).identity })
    }
}
