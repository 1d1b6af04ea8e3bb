import Causality
import Coding

/// What this node's journal has of a keyspace whose `durability` was changed.
///
/// A definition says how a keyspace is kept from now on. What the journal has of it from before is
/// another question, and what stands upon the journal needs the answer:
///
///     became        what follows
///     memory        the journal's records of it are those of a state that went on without the
///                   journal: a restart drops them, and until the definition is on disk the
///                   keyspace is kept as before (`held`)
///     not memory    the journal has nothing of the state that deltas stand upon: the whole of it
///                   is written first (`Keeping`), and what is settled may never have come to this
///                   node, which forgot it at a restart (`leftMemoryAt`)
///     fsync         what was acknowledged in earlier lives may be missing, and so may the rights
///                   to a bounded counter that those have used (`provenEpoch`)
struct DurabilityStanding: Equatable {
    /// How the keyspace is kept, and which change of definitions has to be durable before that
    /// ends.
    struct Held: Equatable {
        let durability: Durability
        let change: UInt64
    }

    /// When the keyspace was kept in memory last; 0 for never.
    private(set) var leftMemoryAt = Stamp(rawValue: 0)
    /// Since when the journal has each write before it is acknowledged, if that has not always been
    /// so; it says nothing where the keyspace is not `fsync`.
    private(set) var syncedSince = Stamp(rawValue: 0)
    /// The journal has all that lives of this node from this epoch on have acknowledged; `max`
    /// while it does not have all of this one's.
    private(set) var provenEpoch: UInt64 = 0
    var held: Held?

    init() {}

    /// The journal does not have all that this node has acknowledged.
    mutating func noteUnproven(at moment: Stamp, wasInMemory: Bool) {
        if wasInMemory { leftMemoryAt = max(leftMemoryAt, moment) }
        syncedSince = max(syncedSince, moment)
        provenEpoch = .max
        held = nil
    }

    /// The journal has all that this life has acknowledged.
    mutating func noteProven(from epoch: UInt64) { provenEpoch = epoch }

    /// A replay is over. Whatever was to be written to the journal and is not is lost: what another
    /// life had not, this one need not write.
    ///
    /// - Returns: whether that changes anything.
    mutating func beginLife(_ epoch: UInt64, at moment: Stamp) -> Bool {
        guard provenEpoch == .max else { return false }
        noteUnproven(at: moment, wasInMemory: leftMemoryAt.rawValue > 0)
        provenEpoch = epoch
        return true
    }

    /// There is nothing to say.
    var isPlain: Bool { self == DurabilityStanding() }

    /// `name bytes (1) | name | left memory at (8) | synced since (8) | proven epoch (8)`.
    func encode(_ name: [UInt8], into buffer: inout ByteBuffer) {
        buffer.append(JournalKind.durability.rawValue)
        buffer.append(UInt8(name.count))
        buffer.append(name)
        buffer.append(integer: leftMemoryAt.rawValue)
        buffer.append(integer: syncedSince.rawValue)
        buffer.append(integer: provenEpoch)
    }

    /// - Throws: `truncated` or `invalid`.
    static func decode(
        _ bytes: UnsafeRawBufferPointer
    ) throws(DecodeError) -> (name: [UInt8], standing: DurabilityStanding) {
        var reader = ByteReader(bytes)
        let name = Array(try reader.slice(Int(try reader.integer(UInt8.self))))
        var standing = DurabilityStanding()
        standing.leftMemoryAt = Stamp(rawValue: try reader.integer())
        standing.syncedSince = Stamp(rawValue: try reader.integer())
        standing.provenEpoch = try reader.integer()
        try reader.end()
        return (name, standing)
    }
}

extension KeyspaceCatalog {
    /// A keyspace whose keys are kept otherwise than they were before.
    struct DurabilityChange {
        let index: Int
        /// As its definition said, and as it was in force.
        let former: Durability
        let formerInForce: Durability
        /// It was dropped just now.
        let isDropped: Bool
    }

    /// What has changed about how keys are kept. A keyspace that is new goes on with what
    /// `default` had.
    mutating func durabilityChanges(since before: KeyspaceCatalog) -> [DurabilityChange] {
        guard !before.active.isEmpty else { return [] }
        var changes: [DurabilityChange] = []
        for index in active.indices where !active[index].isVacant {
            let isNew = index >= before.active.count || before.active[index].isVacant
            let former = before.active[isNew ? 0 : index]
            if isNew {
                standings[index] = before.standings[0]
                refresh(index)
            }
            guard former.settings.durability != active[index].settings.durability else { continue }
            changes.append(
                DurabilityChange(
                    index: index, former: former.settings.durability,
                    formerInForce: former.durability,
                    isDropped: active[index].isDropped && !former.isDropped))
        }
        return changes
    }

    /// A keyspace goes on being kept as it is until a change of definitions is durable.
    mutating func hold(_ index: Int, _ durability: Durability, until change: UInt64) {
        standings[index].held = .init(durability: durability, change: change)
        refresh(index)
    }

    /// Changes of definitions are durable.
    mutating func releaseHeld(upTo change: UInt64) {
        for index in standings.indices {
            guard let held = standings[index].held, held.change <= change else { continue }
            standings[index].held = nil
            refresh(index)
        }
    }

    var isHolding: Bool { standings.contains { $0.held != nil } }
}
