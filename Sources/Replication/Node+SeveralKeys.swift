import Base
import RESP

/// A change of one key that is to be checked before anything is done.
struct WantedChange {
    let key: UnsafeRawBufferPointer
    let change: WriteIntent.Change
    /// Of the whole request that it is a part of.
    let bytes: Int
}

// What can be known is checked for all keys before anything is changed.
extension Node {
    /// Refuses a change of several keys that is known not to work for one of them.
    ///
    /// - Parameters:
    ///   - arguments: the parts' that are to be checked.
    ///   - bytes: of all parts.
    mutating func mayChangeAll(
        _ kind: GatherOperation.PartKind, _ arguments: Range<Int>, bytes: Int,
        _ target: ReplyTarget, _ effects: inout Effects
    ) -> Bool {
        let parts = arguments.count / kind.words
        let atOnce = min(parts, Node.partsAtOnce)
        var checked = Table<Int, Bool>()
        for part in 0..<parts {
            let index = arguments.lowerBound + part * kind.words
            let key = request[index]
            let spot = place(of: key)
            var change = WriteIntent.Change.delete
            if kind == .set {
                let value = request[index + 1]
                guard isWithinLimits(key, value, spot.keyspace, target, &effects) else {
                    return false
                }
                change = .value(value)
            }
            guard isChangeable(key, spot.keyspace, target, &effects) else { return false }
            // What follows is the same for all keys of a range that live in one keyspace.
            let mark = spot.keyspace << 8 | Int(spot.address.range.rawValue)
            guard checked[mark] == nil else { continue }
            checked[mark] = true
            guard hasRoom(for: atOnce, of: spot.keyspace) else {
                overload(target, &effects)
                return false
            }
            let wanted = WantedChange(key: key, change: change, bytes: bytes)
            guard mayChange(wanted, at: spot, target, &effects) else { return false }
        }
        guard kind != .set || store.allocatedBytes + bytes <= configuration.memoryBytesMax
        else {
            fail(target, text: outOfMemory, &effects)
            return false
        }
        return true
    }

    private func hasRoom(for parts: Int, of keyspace: Int) -> Bool {
        writes.admits(parts, of: keyspace) && reads.admits(parts, of: keyspace)
            && forwards.admits(parts, of: keyspace)
    }

    /// Whether the key itself stands in the way of a change.
    mutating func isChangeable(
        _ key: UnsafeRawBufferPointer, _ keyspace: Int, _ target: ReplyTarget,
        _ effects: inout Effects
    ) -> Bool {
        if isFenced(key) {
            counters.unavailable += 1
            fail(target, "UNAVAILABLE the keyspace is being changed; try again", &effects)
            return false
        }
        let keyBytesMax = catalog.active[keyspace].keyBytesMax
        guard key.count <= keyBytesMax || !isTyped(keyspace) else {
            fail(target, text: Node.tooLong(keyBytesMax), &effects)
            return false
        }
        return true
    }

    /// Whether levels, replicas in reach and room are what a change needs.
    mutating func mayChange(
        _ wanted: WantedChange, at spot: KeyLocation, _ target: ReplyTarget,
        _ effects: inout Effects
    ) -> Bool {
        guard let levels = writeLevels(.none, spot.keyspace, target, &effects) else { return false }
        if isTyped(spot.keyspace) {
            guard
                let reads = typedReadLevels(.none, spot.keyspace, isWrite: true, target, &effects),
                !coordinates(spot) || reads.readQuorum == 1
                    || mayAsk(spot, reads, .get, target, &effects)
            else { return false }
        }
        if coordinates(spot) || standsIn(at: spot) {
            // The parts find room together or not at all.
            let intent = WriteIntent(
                key: wanted.key, change: wanted.change, levels: levels, success: .ok,
                bytesBeside: wanted.bytes)
            return mayWrite(intent, spot.keyspace, spot.address, target, &effects)
        }
        let reachable = reachableHolders(of: spot, levels.primaryWriteQuorum)
        guard reachable < max(1, levels.writeQuorum) else { return true }
        countUnavailable(.write, spot.keyspace)
        fail(
            target,
            text: "UNAVAILABLE \(reachable) of \(catalog.active[spot.keyspace].n) replicas "
                + "reachable, W=\(levels.writeQuorum); nothing was written", &effects)
        return false
    }
}
