import AntiEntropy
import Causality
import Ring

/// What the records on this node amount to: sums by keyspace, and the hash trees that replicas
/// compare.
///
/// Each record is part of what its `RecordTally` says, and is taken out of the same again; so the
/// sums stay right while definitions change, and each record follows in its own time (`Reshaping`).
/// What is emptied stops counting at once where its keyspace holds nothing later (`empty`): the
/// records, which are removed by and by, are then no part of the counts any more.
///
/// Invariants (`checkHoldings`):
/// I1. a keyspace's `contents` are the sums over the records with its tally;
/// I2. its `counted`, `keys` and `expiring` are those of them that count and are later than
///     `emptiedAt`;
/// I3. no stamp of these is later than `latest`;
/// I4. a tree is the sum of the digests of the records whose tally names its n.
struct Holdings {
    /// Of one keyspace.
    struct Sums {
        /// Live keys, expired ones included.
        fileprivate(set) var keys = 0
        /// Those of them that expire.
        fileprivate(set) var expiring = 0
        /// Records that count, tombstones included.
        fileprivate(set) var counted = 0
        /// No record that counts has a later stamp.
        fileprivate(set) var latest = Stamp(rawValue: 0)
        /// What has a tally that counts and no later stamp than this was taken out of the counts.
        fileprivate(set) var emptiedAt = Stamp(rawValue: 0)
        /// All records, what was emptied away included as long as it takes room.
        fileprivate(set) var contents = KeyspaceContents()
    }

    /// By the catalog's index.
    private(set) var keyspaces: [Sums] = []
    /// By n, then by key range; empty where no record has this n.
    private(set) var forests: [[HashTree]] = Array(repeating: [], count: 65)

    /// Live keys of all keyspaces.
    var keys: Int { keyspaces.reduce(0) { $0 + $1.keys } }

    /// Those of them that expire.
    var expiring: Int { keyspaces.reduce(0) { $0 + $1.expiring } }

    /// No record that counts has a later stamp.
    var latest: Stamp { keyspaces.reduce(Stamp(rawValue: 0)) { max($0, $1.latest) } }

    /// Room for so many keyspaces.
    mutating func extend(to count: Int) {
        while keyspaces.count < count { keyspaces.append(Sums()) }
    }

    /// One state of a key is about to give way to another.
    ///
    /// - Parameters:
    ///   - before: what is stored, and how it is accounted for.
    ///   - after: the new record's share, its tally and the stamp of its dot.
    @inline(__always)
    mutating func replace(
        _ before: Record?, _ old: RecordTally, by after: KeyspaceContents.Share,
        _ tally: RecordTally, _ stamp: Stamp
    ) {
        if let before, old != tally {
            takeOut(before, old)
            putIn(after, tally, stamp)
            return
        }
        guard let before else { return putIn(after, tally, stamp) }
        let place = tally.keyspace
        let share = KeyspaceContents.Share(before)
        keyspaces[place].contents.replace(share, by: after)
        guard tally.counts else { return }
        if before.written.stamp > keyspaces[place].emptiedAt {
            keyspaces[place].expiring &+= after.expiring &- share.expiring
            if before.isTombstone { keyspaces[place].keys += 1 - after.tombstones }
            if !before.isTombstone { keyspaces[place].keys -= after.tombstones }
        } else {
            keyspaces[place].counted += 1
            keyspaces[place].keys += 1 - after.tombstones
            keyspaces[place].expiring += after.expiring
        }
        if stamp > keyspaces[place].latest { keyspaces[place].latest = stamp }
    }

    /// A record comes to the sums.
    @inline(__always)
    mutating func putIn(_ share: KeyspaceContents.Share, _ tally: RecordTally, _ stamp: Stamp) {
        let place = tally.keyspace
        keyspaces[place].contents.replace(.none, by: share)
        guard tally.counts else { return }
        keyspaces[place].counted += 1
        keyspaces[place].keys += 1 - share.tombstones
        keyspaces[place].expiring += share.expiring
        if stamp > keyspaces[place].latest { keyspaces[place].latest = stamp }
    }

    /// A record goes from the sums.
    mutating func takeOut(_ record: Record, _ tally: RecordTally) {
        let place = tally.keyspace
        let share = KeyspaceContents.Share(record)
        keyspaces[place].contents.replace(share, by: .none)
        guard tally.counts, record.written.stamp > keyspaces[place].emptiedAt else { return }
        keyspaces[place].counted -= 1
        keyspaces[place].keys -= 1 - share.tombstones
        keyspaces[place].expiring -= share.expiring
    }

    /// Everything of a keyspace up to a stamp, which is everything, counts no more.
    ///
    /// - Precondition: nothing of it is later.
    mutating func empty(_ keyspace: Int, upTo stamp: Stamp) {
        precondition(keyspaces[keyspace].latest <= stamp, "nothing later is emptied")
        keyspaces[keyspace].keys = 0
        keyspaces[keyspace].expiring = 0
        keyspaces[keyspace].counted = 0
        keyspaces[keyspace].emptiedAt = stamp
    }

    /// What is put into a keyspace from now on counts, whatever its stamp.
    ///
    /// - Precondition: nothing that it was emptied of is there any more.
    mutating func revive(_ keyspace: Int) {
        keyspaces[keyspace].emptiedAt = Stamp(rawValue: 0)
    }

    /// A keyspace's index, under which there is nothing, is another's from now on.
    mutating func renew(_ keyspace: Int) {
        precondition(keyspaces[keyspace].contents.records == 0, "an index that is free is empty")
        keyspaces[keyspace] = Sums()
    }

    /// What is latest is found out anew by whoever is about to visit all records.
    mutating func forgetLatest() {
        for index in keyspaces.indices { keyspaces[index].latest = Stamp(rawValue: 0) }
    }

    /// A walk came by a record that counts.
    mutating func noteLatest(_ stamp: Stamp, _ tally: RecordTally) {
        guard tally.counts else { return }
        keyspaces[tally.keyspace].latest = max(keyspaces[tally.keyspace].latest, stamp)
    }
}

// Trees
extension Holdings {
    /// A record's share in a tree: its digest under its tally.
    struct TreeShare: Equatable {
        var n = 0
        var digest: UInt64 = 0

        @inline(__always)
        init() {}

        @inline(__always)
        init(_ record: Record?, _ tally: RecordTally) {
            guard tally.n > 0, let record else { return }
            n = tally.n
            digest = tally.isTyped ? record.contextDigest : record.digest
        }
    }

    /// A key's share in its tree gives way to another.
    @inline(__always)
    mutating func changeTree(
        _ address: RecordStore.Address, from before: TreeShare, to after: TreeShare
    ) {
        guard before != after else { return }
        if before.n == after.n || before.n == 0 {
            change(after.n, address, from: before.digest, to: after.digest)
        } else {
            change(before.n, address, from: before.digest, to: 0)
            if after.n > 0 { change(after.n, address, from: 0, to: after.digest) }
        }
    }

    @inline(__always)
    private mutating func change(
        _ n: Int, _ address: RecordStore.Address, from before: UInt64, to after: UInt64
    ) {
        if forests[n].isEmpty { forests[n] = Holdings.bareForest }
        forests[n][Int(address.range.rawValue)].change(address.hash, from: before, to: after)
    }

    private static let bareForest = Array(repeating: HashTree(), count: KeyRange.count)

    func tree(_ n: Int, _ range: KeyRange) -> HashTree {
        forests[n].isEmpty ? HashTree() : forests[n][Int(range.rawValue)]
    }
}

extension Node {
    /// How a record is accounted for by the definitions as they are.
    @inline(__always)
    func tally(_ stamp: Stamp, _ keyspace: Int) -> RecordTally {
        stamp > catalog.active[keyspace].truncatedAt
            ? catalog.active[keyspace].tally : RecordTally(emptied: keyspace)
    }

    /// Traps unless the holdings are those of the records, and, while nothing is being reshaped,
    /// each record is accounted for by the definitions as they are.
    ///
    /// - Complexity: O(bytes of all records).
    func checkHoldings() {
        var sums = holdings.keyspaces
        var roots = holdings.forests.map { $0.map(\.root) }
        var next: UInt64? = 0
        while let place = next {
            var budget = WorkBudget.unlimited
            next = store.visit(from: place, &budget) { entry, range in
                let (record, tally) = (entry.record, entry.tally)
                check(entry)
                let part = KeyspaceContents.Share(record)
                sums[tally.keyspace].contents.replace(part, by: .none)
                if tally.counts, record.written.stamp > sums[tally.keyspace].emptiedAt {
                    sums[tally.keyspace].counted -= 1
                    sums[tally.keyspace].keys -= record.isTombstone ? 0 : 1
                    sums[tally.keyspace].expiring -= part.expiring
                    precondition(
                        record.dot.stamp <= sums[tally.keyspace].latest
                            || !background.audit.isIdle, "no record is later than the latest")
                }
                let share = Holdings.TreeShare(record, tally)
                if share.n > 0 { roots[share.n][Int(range.rawValue)] &-= share.digest }
                return 0
            }
        }
        for keyspace in sums {
            precondition(keyspace.keys == 0 && keyspace.counted == 0, "live keys are counted")
            precondition(keyspace.expiring == 0, "keys that expire are counted")
            precondition(keyspace.contents == KeyspaceContents(), "records are summed up")
        }
        precondition(
            roots.allSatisfy { $0.allSatisfy { $0 == 0 } }, "a tree is the sum of its records")
    }

    private func check(_ entry: RecordTable.Entry) {
        guard background.reshaping.isIdle else { return }
        let record = entry.record
        precondition(
            entry.tally == tally(record.written.stamp, catalog.index(of: record.key)),
            "a record is accounted for by the definitions in force")
    }
}
