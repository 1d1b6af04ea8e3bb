import Base
import Causality
import Coding
import Replication

// The end of some runs: everything is deleted and forgotten, and then a disk from before returns.
extension World {
    /// Milliseconds in which what an old disk brings has spread, or was found out.
    private static let haunting: UInt64 = 20_000

    /// Copies a disk before all keys are deleted.
    func bury() {
        let relic = machines[Int(seed) % machines.count]
        relic.backup = relic.disk.copy(prng: relic.random.split())
        assign()
    }

    /// Deletes a key; everything is healed, so it happens.
    func buryKey(_ index: Int, _ key: Int) {
        ask(index, .bury(key: key), [], words("DEL") + [history.keys[key].name])
    }

    /// Puts the copy in, and starts everybody on what the disks have.
    func haunt() {
        checkBuried()
        let relic = machines[Int(seed) % machines.count]
        let delay = 100
        for machine in machines {
            stop(machine, isPowerCut: true, restartAfter: machine === relic ? delay : 50)
        }
        note("\(relic.node) gets its disk of before the deletions")
        if let backup = relic.backup { relic.disk = backup }
        relic.backup = nil
        schedule(
            .phase(.end),
            after: .nanoseconds(milliseconds: World.haunting + UInt64(delay)) + belated)
    }

    /// Where stamps are ahead of the time, a restart of all takes them back to what is stored, and
    /// what waits for its age by them waits again.
    private var belated: UInt64 { plan.mayMisleadClocks ? plan.collectionEnd : 0 }

    /// Nothing that was deleted is anywhere. With one replica the old disk is all there is.
    func checkBuried() {
        for machine in machines {
            for (key, record) in records(of: machine) {
                guard let index = history.keys.firstIndex(where: { $0.name == key }),
                    history.replicas(of: index).count > 1
                else { continue }
                violate(
                    "\(machine.node) has \(String(decoding: key, as: UTF8.self)) again, which is "
                        + "deleted, in \(record.count) bytes")
            }
        }
    }

    /// What a machine's node would write into a checkpoint and nobody may have forgotten, by key;
    /// compacted if somebody may have done so.
    func records(of machine: Machine) -> [(key: [UInt8], payload: [UInt8])] {
        guard machine.index < memberCount else { return [] }
        guard let process = machine.process else {
            violate("\(machine.node) is down although everything is healed")
            return []
        }
        var held: [(key: [UInt8], payload: [UInt8])] = []
        var cursor: UInt64?
        repeat {
            var piece = ByteBuffer(capacity: 65_536)
            cursor = process.node.exportState(from: cursor, bytesMax: 65_536, into: &piece)
            World.eachPayload(of: piece) { payload in
                guard payload[0] == 1, payload.count > 33, let base = payload.baseAddress else {
                    return
                }
                let record = Record(at: base + 1)
                guard process.node.counts(record), !isForgettable(record) else { return }
                let compacted = isSettled(record) ? Node.compacted(record) : nil
                held.append((Array(record.key), compacted ?? Array(payload.dropFirst())))
            }
        } while cursor != nil
        return held
    }

    /// Whether some replica may have forgotten a record that another one is about to forget.
    private func isForgettable(_ record: Record) -> Bool {
        machines.contains { $0.process?.node.isForgettable(record) ?? false }
    }

    /// Whether some replica may have compacted a record that another one is about to compact.
    private func isSettled(_ record: Record) -> Bool {
        machines.contains { $0.process?.node.isSettled(record) ?? false }
    }

    /// Nothing that is deleted takes room for ever.
    func checkCollected() {
        for machine in machines {
            for keyspace in machine.process?.node.keyspaceFigures ?? []
            where keyspace.contents.tombstones > 0 {
                violate(
                    "\(machine.node) keeps \(keyspace.contents.tombstones) tombstones of "
                        + keyspace.name)
            }
            guard let figures = machine.process?.node.nameFigures, figures.dropped > 0 else {
                continue
            }
            violate(
                "\(machine.node) remembers \(figures.dropped) names of dropped keyspaces, for want "
                    + "of \(figures.waitsFor)")
        }
    }
}
