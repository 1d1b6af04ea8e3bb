import Base
import Causality
import Coding
import Ring

// How keyspaces are kept follows changed definitions (`DurabilityStanding`).
extension Node {
    /// Definitions changed, and are about to go to the journal.
    mutating func followDurability(since before: KeyspaceCatalog) {
        let changes = catalog.durabilityChanges(since: before)
        for change in changes {
            let durability = catalog.active[change.index].settings.durability
            if durability == .memory {
                background.keeping.remove(change.index)
                catalog.standings[change.index].noteUnproven(at: clock.latest, wasInMemory: true)
                let next = background.reshaping.changes + 1
                catalog.hold(change.index, change.formerInForce, until: next)
                if catalog.definitions[change.index].origin == .command {
                    background.keeping.doubt(change.index)
                }
            } else if change.former == .memory {
                catalog.standings[change.index].noteUnproven(at: clock.latest, wasInMemory: true)
                catalog.refresh(change.index)
                let isWritten = configuration.plantedBug != .memoryLeftUnwritten
                if !change.isDropped, isWritten { background.keeping.add(change.index) }
            } else if durability == .fsync {
                // The journal has what was written before, and has it on disk with the definition.
                catalog.standings[change.index].noteUnproven(at: clock.latest, wasInMemory: false)
                catalog.standings[change.index].noteProven(from: firstIdentity.epoch)
            }
        }
        guard !changes.isEmpty else { return }
        if background.keeping.isIdle {
            background.reshaping.settleKept(background.reshaping.changes)
        }
    }

    /// At a heartbeat: a keyspace came to be kept in memory. If that was while this node was down,
    /// its replay would have dropped the keyspace had it known. That is made good for what is as it
    /// was then, once a majority says how late it is.
    mutating func forgetWhatWasBefore() {
        guard !background.keeping.doubted.isEmpty, clock.isConfirmed else { return }
        let age = (now.monotonic - statistics.startedAt) / 1_000_000
        let born = now.wallMilliseconds - min(age, now.wallMilliseconds)
        for keyspace in background.keeping.takeDoubted() where isInMemoryOnly(keyspace) {
            let changedAt = Stamp(rawValue: catalog.definitions[keyspace].newest).milliseconds
            guard changedAt + 2 * configuration.clockDriftMax < born else { continue }
            forgetWhatWasBefore(born, in: keyspace)
        }
    }

    private mutating func forgetWhatWasBefore(_ born: UInt64, in keyspace: Int) {
        background.reshaping.forget(
            keyspace, through: Stamp(milliseconds: born), trees: clock.latest)
        equalities.forgetAll()
        forgetHints(in: [keyspace]) { $0.since < born }
        let catalog = catalog
        requestIDs.ledger.forget { name, since in
            since < born && name.withKey { catalog.index(of: $0) } == keyspace
        }
    }

    private mutating func forgetHints(in keyspaces: [Int], where isOver: (Hint) -> Bool) {
        for link in hints.indices {
            var from: UInt64 = 0
            while let (number, hint) = hints[link].first(from: from) {
                from = number + 1
                hint.withRecord { record in
                    guard keyspaces.contains(catalog.index(of: record.key)), isOver(hint) else {
                        return
                    }
                    hints[link].remove(number, key: Array(record.key))
                }
            }
        }
    }
}

// The journal.
extension Node {
    /// Has the journal say what it has of a keyspace, behind that.
    func keepStanding(of index: Int, _ effects: inout Effects) {
        let standing = catalog.standings[index]
        effects.persist { standing.encode(catalog.definitions[index].name, into: &$0) }
    }

    /// The keyspaces of which there is something to say.
    var standingKeyspaces: [Int] {
        catalog.active.indices.filter {
            !catalog.active[$0].isVacant && !catalog.standings[$0].isPlain
        }
    }

    /// Appends what a checkpoint says, as `exportState` writes it.
    func exportStandings(into buffer: inout ByteBuffer) {
        for index in standingKeyspaces {
            buffer.appendSized {
                catalog.standings[index].encode(catalog.definitions[index].name, into: &$0)
            }
        }
    }

    mutating func restoreStanding(_ payload: UnsafeRawBufferPointer) throws(DecodeError) {
        let (name, standing) = try DurabilityStanding.decode(payload)
        if let index = catalog.position(named: name) { catalog.standings[index] = standing }
    }

    /// Definitions were restored, or taken from a configuration: what the journal has said so far
    /// of a keyspace that came to be kept in memory is not what it held.
    ///
    /// A checkpoint may know later definitions than the journal behind it begins with. What that
    /// says of a keyspace which was kept in memory for a while is dropped in its place all the
    /// same: when the keyspace was kept on disk again, all of it was written behind that.
    ///
    /// - Parameter said: what the journal says in this place.
    mutating func restoreDurability(
        since before: KeyspaceCatalog, _ said: [KeyspaceDefinition]
    ) {
        let moment = max(clock.latest, holdings.latest)
        var forgotten: [Int] = []
        for change in catalog.durabilityChanges(since: before) {
            let durability = catalog.active[change.index].settings.durability
            if durability == .memory { forgotten.append(change.index) }
            let wasInMemory = durability == .memory || change.former == .memory
            guard wasInMemory || durability == .fsync else { continue }
            catalog.standings[change.index].noteUnproven(at: moment, wasInMemory: wasInMemory)
        }
        for definition in said where definition.settings?.durability == .memory {
            guard let index = catalog.position(named: definition.name),
                !forgotten.contains(index)
            else { continue }
            catalog.standings[index].noteUnproven(at: moment, wasInMemory: true)
            forgotten.append(index)
        }
        if !forgotten.isEmpty { dropRestored(in: forgotten) }
    }

    /// - Complexity: O(records) where there may be some of these keyspaces.
    private mutating func dropRestored(in keyspaces: [Int]) {
        forgetHints(in: keyspaces) { _ in true }
        let catalog = catalog
        requestIDs.ledger.forget { name, _ in
            keyspaces.contains(name.withKey { catalog.index(of: $0) })
        }
        // What became part of another keyspace is still counted where it was.
        let places = background.reshaping.isIdle ? keyspaces : Array(holdings.keyspaces.indices)
        guard places.contains(where: { holdings.keyspaces[$0].contents.records > 0 }) else {
            return
        }
        var next: UInt64? = 0
        while let cursor = next {
            var budget = WorkBudget(units: 16_384, bytes: .max)
            var gone: [(entry: RecordTable.Entry, range: KeyRange)] = []
            next = store.visit(from: cursor, &budget) { entry, range in
                if keyspaces.contains(catalog.index(of: entry.record.key)) {
                    gone.append((entry, range))
                }
                return 0
            }
            for (entry, range) in gone { remove(entry, in: range) }
        }
    }

    /// A replay is over, and what the configuration says was taken up.
    mutating func settleStandings() {
        var isNews = false
        for index in standingKeyspaces {
            let moment = max(clock.latest, holdings.latest)
            if catalog.standings[index].beginLife(firstIdentity.epoch, at: moment) { isNews = true }
        }
        if isNews { catalog.configured.noteUnsaved() }
    }

    /// Whether the journal keeps a key. What it says of one that it does not keep is from before
    /// its keyspace came to be kept in memory.
    @inline(__always)
    func isInMemoryOnly(_ keyspace: Int) -> Bool {
        catalog.active[keyspace].settings.durability == .memory
    }
}
