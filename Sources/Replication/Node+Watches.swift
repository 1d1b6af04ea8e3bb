import Base
import Causality
import Coding
import RESP
import Ring

// WATCH and UNWATCH: EXEC runs nothing when a watched key was changed since.
//
// A key is watched at the node that decides about it. The commands are of the same slot as the
// watched keys, so they run on that node too, in the step in which it looks whether a watched key
// was changed: nothing comes between the two.
extension Node {
    mutating func watch(_ index: Int, _ target: ReplyTarget, _ effects: inout Effects) {
        var first = sessions[index].transaction.key
        var refusal = refusalToWatch(index)
        for argument in 1..<request.count where refusal == nil {
            refusal = self.refusal(toWatch: request[argument], with: &first)
        }
        if let refusal {
            sessions[index].transaction.hasRefusedWatch = true
            return fail(target, text: refusal, &effects)
        }
        let watches = (1..<request.count).map {
            Transaction.Watch(key: Array(request[$0]), seen: watchedState(of: request[$0]))
        }
        for watch in watches where watch.seen.isAbsent { absences.begin(watch.key) }
        sessions[index].transaction.watch(watches)
        count(transactionOf: index)
        tellOK(target, &effects)
    }

    /// Lets go of what a connection watches.
    mutating func endWatches(of index: Int) {
        for watch in sessions[index].transaction.watches where watch.seen.isAbsent {
            absences.end(watch.key)
        }
    }

    func hasChangedWatch(_ transaction: Transaction) -> Bool {
        transaction.watches.contains { watch in
            watch.key.withUnsafeBytes { watchedState(of: $0) } != watch.seen
        }
    }

    /// Why a connection watches no more keys; nil when it may.
    private func refusalToWatch(_ index: Int) -> String? {
        let count = sessions[index].transaction.watches.count + request.count - 1
        guard count <= Transaction.watchesMax else {
            return "ERR a connection watches at most \(Transaction.watchesMax) keys; "
                + "UNWATCH and EXEC end its watches"
        }
        let bytes = (1..<request.count).reduce(0) {
            $0 + request[$1].count + Transaction.entryBytes
        }
        return refusal(toKeep: bytes)
    }

    private func refusal(
        toWatch key: UnsafeRawBufferPointer, with first: inout [UInt8]?
    ) -> String? {
        let location = place(of: key)
        if let refusal = refusal(toDecideAbout: key) { return refusal }
        guard isReplica(of: location) else {
            return "MODE WATCH is for the node that decides about the key: "
                + address(of: location)
        }
        guard isWhole(location.address.range, location.keyspace) else {
            return awaitsHandOver
        }
        return refusal(toMix: key, with: &first)
    }

    private func watchedState(of key: UnsafeRawBufferPointer) -> WatchedState {
        let location = place(of: key)
        let emptied = catalog.active[location.keyspace].truncatedAt.rawValue
        guard let record = liveState(location.address, key, location.keyspace) else {
            return WatchedState(emptied: emptied, removals: absences.removals(of: Array(key)))
        }
        return WatchedState(
            emptied: emptied, stamp: record.dot.stamp.rawValue,
            identity: record.dot.identity.rawValue, expiry: record.expiry,
            isLive: isLive(record))
    }
}

/// Enough of a key's state to tell whether it was changed.
struct WatchedState: Equatable {
    /// When its keyspace was last emptied.
    var emptied: UInt64
    /// Of the newest change; zeros where nothing is stored.
    var stamp: UInt64 = 0
    var identity: UInt64 = 0
    var expiry: UInt64 = 0
    /// A value whose time is over is no longer there, although nobody changed it.
    var isLive = false
    /// How often something was removed where nothing is stored.
    var removals: UInt64 = 0

    /// Nothing is stored that would tell of a value that comes and goes.
    var isAbsent: Bool { stamp == 0 }
}

/// Watched keys of which nothing is stored. Where a node is the only replica, a value that is
/// written and deleted leaves nothing behind either; so removals are counted.
struct WatchedAbsences {
    private struct Entry {
        var watchers = 0
        var removals: UInt64 = 0
    }

    private var entries = Table<[UInt8], Entry>()

    var isEmpty: Bool { entries.isEmpty }

    mutating func begin(_ key: [UInt8]) { entries[key, default: Entry()].watchers += 1 }

    mutating func end(_ key: [UInt8]) {
        guard var entry = entries[key] else { return }
        entry.watchers -= 1
        entries[key] = entry.watchers == 0 ? nil : entry
    }

    mutating func noteRemoval(of key: UnsafeRawBufferPointer) {
        let key = Array(key)
        if entries[key] != nil { entries[key]?.removals += 1 }
    }

    func removals(of key: [UInt8]) -> UInt64 { entries[key]?.removals ?? 0 }
}
