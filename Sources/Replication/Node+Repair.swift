import Base
import Causality
import Coding
import Ring

// What a read found to differ is brought up to the sum of all answers.
extension Node {
    /// Brings every replica that answered with less than the sum of all answers up to it, unless
    /// read repair is switched off.
    mutating func repair(_ read: ReadOperation, _ effects: inout Effects) {
        guard read.answers.count > 1, catalog.active[read.keyspace].readRepairPerMille > 0,
            !isOutlived(read)
        else { return }
        withSum(of: read) { node, sum, behind, _ in
            let stale = behind.filter { read.answers[$0].replica < read.primaries }
            guard var sum, !stale.isEmpty, node.catalog.index(of: sum.key) == read.keyspace else {
                return
            }
            node.counters.readRepairs += 1
            if node.configuration.plantedBug == .repairWithFreshStamp { node.stampAnew(&sum) }
            let frame = effects.bytes.appendMessage(kind: 1, number: 0, sum.bytes)
            let replicas = node.ring.primaries(
                of: read.range, replicationFactor: read.tally.replicaCount)
            for index in stale {
                let target = replicas[replicas.startIndex + read.answers[index].replica]
                if target == node.configuration.node {
                    node.repairOwn(sum, read.keyspace, &effects)
                } else {
                    node.send(frame, to: target, &effects)
                }
            }
        }
    }

    /// The planted bug `repairWithFreshStamp`.
    private mutating func stampAnew(_ record: inout Record) {
        guard !record.isSiblingSet else { return }
        merged.removeAll()
        merged.append(record.bytes)
        Record.stamp(merged.mutableBytes, Dot(identity: identity, stamp: clock.tick()))
        if let base = merged.bytes.baseAddress { record = Record(at: base) }
    }

    private mutating func repairOwn(
        _ record: Record, _ keyspace: Int, _ effects: inout Effects
    ) {
        guard mergeIn(record, keyspace, &effects) == .acknowledged,
            let stored = store.find(store.address(of: record.key), record.key)
        else { return }
        counters.repaired += 1
        keep(
            stored, catalog.active[keyspace].durability, synced: false, token: nil,
            &effects)
    }
}
