import Base
import Causality
import Coding
import Quorum

/// One keyspace as the cluster knows it: a sibling set of settings under the keyspace's name.
///
/// Definitions spread by gossip, so two sides of a partition may change one keyspace without
/// knowing of each other. Definitions are therefore kept as what they are, concurrent values under
/// a causal context, and the effective settings are the safer of each (`KeyspaceSettings.saferOf`):
/// more replicas, larger quorums, siblings rather than last-writer-wins, the stronger durability. A
/// drop loses against a concurrent change: the keyspace is emptied and stays. The next change
/// anywhere that has seen both replaces both.
///
/// What a configuration says has no say beside a concurrent command (`KeyspaceChange.Origin`).
struct KeyspaceDefinition {
    let name: [UInt8]
    private(set) var changes: SiblingSet
    /// The settings in force; nil when the keyspace is dropped.
    private(set) var settings: KeyspaceSettings?
    /// Changes that were made without knowledge of each other and give it settings.
    private(set) var rivals = 0
    /// What was written up to this stamp is gone, also when the keyspace is defined again.
    private(set) var truncatedAt = Stamp(rawValue: 0)
    /// The stamp of the latest change.
    private(set) var newest: UInt64 = 0
    /// When it was made, or the first of those that met: what is older was dropped and forgotten.
    private(set) var madeAt: UInt64 = 0
    /// Some node's configuration has it, and brings it back at every start.
    private(set) var isConfigured = false
    /// Whose word decides among the changes that met.
    private(set) var origin = KeyspaceChange.Origin.command
    /// The latest of the drops that are not replaced; 0 for none.
    private var latestDrop: UInt64 = 0
    /// It was buried on this node at some time.
    private var isBuried = false
    /// It exists, and what was buried of it is not known to be gone.
    private(set) var isHaunted = false

    /// - Throws: `invalid` for settings that contradict each other or nothing at all.
    init(name: [UInt8], changes: SiblingSet) throws(DecodeError) {
        guard !changes.isTombstone else { throw .invalid("a keyspace has no settings") }
        guard KeyspaceDefinition.mayGrow(changes) else {
            throw .invalid("changes of a keyspace exceed the limits")
        }
        self.name = name
        self.changes = changes
        try fold()
    }

    /// Whether two changes were made without knowledge of each other and nobody has settled it
    /// since.
    ///
    /// - Parameter known: up to where drops are forgotten: who made it anew knew of the drop.
    func isConflicted(known: UInt64) -> Bool {
        rivals > 1 || changes.siblings.count > 1 && latestDrop > known
    }

    /// Whether it is nothing but the memory of a drop that every node has heard of.
    ///
    /// - Parameter known: up to where definitions that were dropped are forgotten.
    func isForgettable(known: UInt64) -> Bool {
        settings == nil && !isConfigured && newest <= known
    }

    /// Under this name a node notes what nobody else is told: that a keyspace was dropped, and
    /// whoever knew when has forgotten it.
    private static let undertaker = ReplicaIdentity(rawValue: .max)

    /// What other nodes are told; a tombstone when that is nothing.
    var spoken: SiblingSet { isBuried ? changes.without(KeyspaceDefinition.undertaker) : changes }

    /// All that was known up to a moment was dropped.
    mutating func bury(_ forgotten: KeyspaceCatalog.Forgotten) throws(DecodeError) {
        var change = KeyspaceChange(
            dropped: true, settings: KeyspaceSettings(), madeAt: madeAt)
        change.settings.truncatedAt = max(truncatedAt, forgotten.emptiedAt)
        let dot = Dot(
            identity: KeyspaceDefinition.undertaker, stamp: Stamp(rawValue: newest))
        guard let last = changes.newest, last < dot else {
            throw .invalid("a keyspace was changed at the end of time")
        }
        let replaced = newest <= forgotten.known ? changes.context : CausalContext()
        changes.update(dot: dot, value: change.encoded(), expiry: 0, context: replaced)
        try fold()
    }

    /// What it held is gone by now; where it was made anew, nothing is left to be known.
    mutating func exhume() throws(DecodeError) {
        changes.removeValues(of: KeyspaceDefinition.undertaker)
        try fold()
    }

    /// How many lives the changes of a keyspace may name: more than a cluster has in years.
    static let livesMax = 2_048

    /// Whether another change can come behind these, and be kept.
    private static func mayGrow(_ changes: SiblingSet) -> Bool {
        let latest = changes.context.newest?.stamp.milliseconds ?? 0
        return changes.context.entries.count <= livesMax && changes.isWithinLimits
            && latest <= ReplicaIdentity.epochMax
    }

    /// Replaces everything that is known by one change; nil drops the keyspace.
    ///
    /// What is known may have come from a clock far ahead. A definition's dots only say what
    /// replaces what, so the change then comes right behind it, while a drop still empties the
    /// keyspace up to the moment at which it happened.
    ///
    /// - Parameters:
    ///   - dot: stamped by this node's clock; of what a configuration says, whose identity follows
    ///     from the settings, the stamp does not matter.
    ///   - emptied: the moment up to which what was written is gone.
    mutating func change(
        to settings: KeyspaceSettings?, dot: Dot, emptied: Stamp? = nil,
        by origin: KeyspaceChange.Origin = .command
    ) throws(DecodeError) {
        var change = KeyspaceChange(
            dropped: settings == nil, settings: settings ?? KeyspaceSettings(), madeAt: madeAt,
            origin: origin)
        if let emptied { change.settings.truncatedAt = emptied }
        change.settings.truncatedAt = max(change.settings.truncatedAt, truncatedAt)
        let next = Stamp(rawValue: max(dot.stamp.rawValue, newest + 1))
        let before = changes
        changes.update(
            dot: Dot(identity: dot.identity, stamp: next), value: change.encoded(), expiry: 0,
            context: changes.context)
        guard KeyspaceDefinition.mayGrow(changes) else {
            changes = before
            throw .invalid("the keyspace was changed under too many lives of nodes")
        }
        try fold()
    }

    /// Learns what another node knows of this keyspace.
    ///
    /// - Returns: whether anything changed.
    /// - Throws: `invalid` when the two together exceed the limits; nothing has changed then.
    mutating func join(_ other: SiblingSet) throws(DecodeError) -> Bool {
        var joined = changes
        joined.join(other)
        guard joined != changes else { return false }
        guard KeyspaceDefinition.mayGrow(joined), !joined.isTombstone else {
            throw .invalid("changes of a keyspace exceed the limits or cancel each other")
        }
        changes = joined
        try fold()
        return true
    }

    private mutating func fold() throws(DecodeError) {
        var changed: [KeyspaceChange] = []
        for sibling in changes.siblings {
            changed.append(try KeyspaceChange(encoded: sibling.value))
        }
        settings = nil
        truncatedAt = Stamp(rawValue: 0)
        newest = changes.context.newest?.stamp.rawValue ?? 0
        isConfigured = changes.context.entries.contains { $0.identity.isConfiguration }
        latestDrop = 0
        isBuried = changes.context.entries.last?.identity == KeyspaceDefinition.undertaker
        isHaunted = false
        madeAt = .max
        origin = .files
        for (sibling, change) in zip(changes.siblings, changed)
        where sibling.dot.identity != KeyspaceDefinition.undertaker || changed.count == 1 {
            madeAt = min(madeAt, change.madeAt)
            origin = max(origin, change.origin)
        }
        rivals = changed.count { !$0.dropped && $0.origin == origin }
        for (sibling, change) in zip(changes.siblings, changed) where change.dropped {
            latestDrop = max(latestDrop, sibling.dot.stamp.rawValue)
            isHaunted =
                isHaunted
                || rivals > 0 && sibling.dot.identity == KeyspaceDefinition.undertaker
        }
        for change in changed {
            truncatedAt = max(truncatedAt, change.settings.truncatedAt)
            guard !change.dropped, change.origin == origin else { continue }
            settings = settings?.saferOf(change.settings) ?? change.settings
        }
        settings?.keepFloor()
        settings?.truncatedAt = truncatedAt
    }
}

/// One change of a keyspace, as bytes: the value of a sibling.
struct KeyspaceChange: Equatable {
    var dropped: Bool
    var settings: KeyspaceSettings
    /// The stamp of the change that made the keyspace where nothing was known of its name; what a
    /// configuration defines has none.
    var madeAt: UInt64
    var origin: Origin

    /// Whose word the settings are; of changes that did not know of each other only those of the
    /// highest origin count.
    enum Origin: UInt8, Comparable {
        /// A configuration.
        case files
        /// What a keyspace had that has keys, put back against a configuration that changed what
        /// keys need.
        case kept
        /// A `KEYSPACE` command.
        case command

        static func < (a: Origin, b: Origin) -> Bool { a.rawValue < b.rawValue }
    }

    init(
        dropped: Bool, settings: KeyspaceSettings, madeAt: UInt64 = 0, origin: Origin = .command
    ) {
        self.dropped = dropped
        self.settings = settings
        self.madeAt = madeAt
        self.origin = origin
    }

    func encoded() -> [UInt8] {
        var buffer = ByteBuffer(capacity: 64)
        buffer.append((dropped ? 1 : 0) | origin.rawValue << 1)
        buffer.append(UInt8(truncatingIfNeeded: settings.replicationFactor))
        for level in [
            settings.readQuorum, settings.writeQuorum, settings.primaryReadQuorum,
            settings.primaryWriteQuorum, settings.durableWriteQuorum,
        ] { buffer.append(level.code) }
        buffer.append(settings.floor.code)
        buffer.append(settings.conflict.rawValue)
        switch settings.durability {
        case .memory: buffer.append(integer: UInt32(0))
        case .interval(let milliseconds): buffer.append(integer: milliseconds)
        case .fsync: buffer.append(integer: UInt32.max)
        }
        buffer.append(integer: settings.ttlMilliseconds)
        for limit in [
            settings.timeoutMilliseconds, settings.keyBytesMax, settings.valueBytesMax,
            settings.siblingsMax, settings.readRepairPerMille,
        ] { buffer.append(integer: limit) }
        buffer.append(integer: settings.truncatedAt.rawValue)
        buffer.append((settings.isSloppy ? 1 : 0) | settings.overflow.rawValue << 1)
        buffer.append(integer: settings.hedge.code)
        buffer.append(integer: madeAt)
        return Array(buffer.bytes)
    }

    init(encoded: [UInt8]) throws(DecodeError) {
        let outcome: Result<KeyspaceChange, DecodeError> = encoded.withUnsafeBytes { bytes in
            var reader = ByteReader(bytes)
            return Result { () throws(DecodeError) in try KeyspaceChange(decoding: &reader) }
        }
        self = try outcome.get()
    }

    private init(decoding reader: inout ByteReader) throws(DecodeError) {
        let flag: UInt8 = try reader.integer()
        guard let origin = Origin(rawValue: flag >> 1) else {
            throw .invalid("keyspace change has unknown flags")
        }
        self.origin = origin
        dropped = flag & 1 == 1
        madeAt = 0
        settings = KeyspaceSettings()
        try readLevels(&reader)
        settings.ttlMilliseconds = try reader.integer()
        settings.timeoutMilliseconds = try reader.integer()
        settings.keyBytesMax = try reader.integer()
        settings.valueBytesMax = try reader.integer()
        settings.siblingsMax = try reader.integer()
        settings.readRepairPerMille = try reader.integer()
        settings.truncatedAt = Stamp(rawValue: try reader.integer())
        let choices: UInt8 = try reader.integer()
        guard let overflow = OverflowPolicy(rawValue: choices >> 1) else {
            throw .invalid("overflow policy is unknown")
        }
        settings.isSloppy = choices & 1 == 1
        settings.overflow = overflow
        settings.hedge = try HedgeDelay(code: try reader.integer())
        madeAt = try reader.integer()
        try reader.end()
        guard settings.objection == nil else { throw .invalid("keyspace settings contradict") }
    }

    private mutating func readLevels(_ reader: inout ByteReader) throws(DecodeError) {
        settings.replicationFactor = Int(try reader.integer(UInt8.self))
        settings.readQuorum = try QuorumLevel(code: try reader.integer())
        settings.writeQuorum = try QuorumLevel(code: try reader.integer())
        settings.primaryReadQuorum = try QuorumLevel(code: try reader.integer())
        settings.primaryWriteQuorum = try QuorumLevel(code: try reader.integer())
        settings.durableWriteQuorum = try QuorumLevel(code: try reader.integer())
        settings.floor = try ConsistencyFloor(code: try reader.integer())
        guard let conflict = ConflictPolicy(rawValue: try reader.integer()) else {
            throw .invalid("conflict policy is unknown")
        }
        settings.conflict = conflict
        switch try reader.integer(UInt32.self) {
        case 0: settings.durability = .memory
        case .max: settings.durability = .fsync
        case let milliseconds: settings.durability = .interval(milliseconds: milliseconds)
        }
    }
}
