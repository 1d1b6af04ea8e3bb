import Base
import Causality
import Coding

/// All keyspaces of a node, found by a key's prefix.
///
/// The keyspace of a key is the part before its first `:`; a key whose prefix names no keyspace
/// lives in `default`, which is always there, at index 0. A dropped keyspace stays as the memory of
/// what went with it until every node has emptied it (`Forgetting`): keys of its prefix that are
/// written later live by the settings of `default`. Then its name is forgotten and its index
/// `isVacant`: no key is found there any more, and once nothing refers to it, another keyspace may
/// have it.
struct KeyspaceCatalog {
    /// Keyspaces that exist at a time, as far as one node makes them.
    static let keyspacesMax = 1_024
    /// Indices: of what is remembered (`NodeConfiguration.keyspaceNamesMax`), of what other nodes
    /// made at the same time, and of names that were forgotten just now.
    static let indicesMax = 8_192
    static let nameBytesMax = 64

    /// What is known of the names that are not remembered.
    struct Forgotten: Equatable {
        /// Definitions that were dropped, and changed last up to here, are forgotten by some nodes
        /// and not spoken of by the others: what is unknown and not later was one of them.
        var known: UInt64 = 0
        /// None of them emptied its keyspace up to a later moment.
        var emptiedAt = Stamp(rawValue: 0)
    }

    /// What the request path needs, without reference counts; indices do not change. Read field by
    /// field: a copy of the whole costs more than a request's other look-ups together.
    struct Active {
        var fingerprint: UInt64
        var isDropped: Bool
        /// The name that it had is forgotten; it `isDropped` as well.
        var isVacant = false
        /// How records that count are accounted for.
        var tally: RecordTally
        /// The levels as numbers, resolved once.
        var n: Int
        var reads: ReadLevels
        var writes: WriteLevels
        /// What was written up to here does not count on this node: `drop.emptiedAt`, or later
        /// while what is left of a dropped keyspace is being discarded.
        var truncatedAt: Stamp
        var drop: Drop
        var readRepairPerMille: Int
        var keyBytesMax: Int
        /// Of what needs no closer look: at most 1 MiB.
        var valueBytesMax: Int
        /// A replica answers a plain read from its own state, and compares nothing in the
        /// background.
        var answersReadsAlone: Bool
        /// The one replica answers a plain write at once: nothing to sync, send, expire or keep
        /// beside it.
        var answersWritesAlone: Bool
        /// In force; the settings' own when that is durable.
        var durability: Durability
        var settings: KeyspaceSettings
    }

    /// What became of keys that were written before this node heard that their keyspace was
    /// dropped.
    struct Drop {
        /// What was written up to here is gone on every node.
        var emptiedAt = Stamp(rawValue: 0)
        /// When this node heard last that what the keyspace held is gone whatever its stamp: it was
        /// dropped, or merges typed values no longer.
        var heardAt = Stamp(rawValue: 0)
        /// Which of the drops heard of that was (`dropsHeard`). What began before was about what is
        /// gone; stamps do not tell, as a clock may be set back.
        var number: UInt64 = 0
        /// What is here from before is being removed; nothing is taken from other nodes meanwhile.
        var isDiscarding = false
    }

    /// How many drops this node has heard of.
    private(set) var dropsHeard: UInt64 = 0

    private(set) var definitions: [KeyspaceDefinition] = []
    private(set) var active: [Active] = []
    /// Of each keyspace; only its last two fields are set.
    private var drops: [Drop] = []
    /// What the journal has of each keyspace.
    var standings: [DurabilityStanding] = []
    /// Where each keyspace stands in `active`.
    private var places = FingerprintIndex()
    /// Of each definition; 0 for what is not spoken of.
    private var digests: [UInt64] = []
    /// Equal on two nodes exactly when they know the same definitions (up to hash collision), but
    /// for what is forgotten somewhere; the order does not matter.
    private(set) var digest: UInt64 = 0
    private(set) var forgotten = Forgotten()
    /// Indices that a new name may have.
    private var free: [Int] = []
    /// Whether any keyspace merges typed values.
    private(set) var hasTyped = false
    private let hashKey: UInt64
    /// Which definitions the journal brought; as many as there were then.
    private var isRestored: [Bool] = []
    /// What the configuration says beside them.
    var configured = ConfiguredKeyspaces()

    init(hashKey: UInt64) {
        self.hashKey = hashKey
    }

    /// Whether both put every key into the same keyspace and let the same records count.
    func isShaped(like other: KeyspaceCatalog) -> Bool {
        active.count == other.active.count
            && zip(active, other.active).allSatisfy {
                $0.isShaped(like: $1)
            }
    }

    /// The index of the keyspace that a key lives in.
    @inline(__always)
    func index(of key: UnsafeRawBufferPointer) -> Int {
        guard active.count > 1 else { return 0 }
        let limit = min(key.count, KeyspaceCatalog.nameBytesMax + 1)
        var colon = 0
        while colon < limit, key[colon] != UInt8(ascii: ":") { colon += 1 }
        guard colon < limit else { return 0 }
        return known(UnsafeRawBufferPointer(rebasing: key[..<colon])) ?? 0
    }

    /// The keyspace of this name, unless it is dropped.
    func index(named name: UnsafeRawBufferPointer) -> Int? {
        known(name).flatMap { active[$0].isDropped ? nil : $0 }
    }

    private func known(_ name: UnsafeRawBufferPointer) -> Int? {
        let fingerprint = keyHash(name, key: hashKey)
        return places.find(fingerprint) { active[$0].fingerprint }
    }

    /// How many keyspaces there are.
    var living: Int { active.count { !$0.isDropped } }

    /// How many indices are taken.
    var taken: Int { active.count - free.count }

    /// The definition of this name, dropped or not.
    func position(named name: [UInt8]) -> Int? {
        name.withUnsafeBytes { known($0) }
    }

    /// Takes a definition in, or joins it with what is known. What is forgotten stays so.
    ///
    /// - Returns: whether anything changed.
    mutating func join(_ definition: KeyspaceDefinition) throws(DecodeError) -> Bool {
        let isOld = !definition.isConfigured && definition.newest <= forgotten.known
        // Unless it is known, it was dropped since, whether or not the name was made anew.
        let born = position(named: definition.name).map { definitions[$0].madeAt } ?? .max
        if isOld, definition.madeAt < born { return false }
        return try takeIn(definition)
    }

    private mutating func takeIn(_ definition: KeyspaceDefinition) throws(DecodeError) -> Bool {
        if let index = position(named: definition.name) {
            guard try definitions[index].join(definition.changes) else { return false }
            update(index)
            return true
        }
        guard !free.isEmpty || active.count < KeyspaceCatalog.indicesMax else {
            throw .invalid("more keyspaces than the limit")
        }
        let index = free.popLast() ?? definitions.count
        if index == definitions.count {
            definitions.append(definition)
            digests.append(0)
            drops.append(Drop())
            standings.append(DurabilityStanding())
            active.append(resolve(index))
        } else {
            definitions[index] = definition
            drops[index] = Drop()
            standings[index] = DurabilityStanding()
            active[index] = resolve(index)
        }
        places.insert(index) { active[$0].fingerprint }
        noteDigest(index)
        return true
    }

    /// Puts definitions from the journal in the place of what the configuration said under their
    /// names. Behind a damaged checkpoint the journal may begin with older ones than the
    /// checkpoint's: what was emptied stays so, and what the checkpoint has forgotten is forgotten
    /// again later, as the journal may begin with older records as well.
    mutating func restore(_ definition: KeyspaceDefinition) throws(DecodeError) {
        let known = position(named: definition.name)
        if let known, known >= isRestored.count || !isRestored[known] {
            definitions[known] = definition
            update(known)
        } else {
            _ = try takeIn(definition)
        }
        guard let index = position(named: definition.name) else { return }
        while isRestored.count < definitions.count { isRestored.append(false) }
        isRestored[index] = true
    }

    /// Forgets what the configuration defined: the journal has all definitions that there were.
    mutating func beginRestoring() {
        guard isRestored.isEmpty else { return }
        let configured = configured
        self = KeyspaceCatalog(hashKey: hashKey)
        self.configured = configured
    }

    /// Changes or drops the keyspace at an index.
    mutating func change(
        _ index: Int, to settings: KeyspaceSettings?, dot: Dot, emptied: Stamp? = nil,
        by origin: KeyspaceChange.Origin = .command
    ) throws(DecodeError) {
        try definitions[index].change(to: settings, dot: dot, emptied: emptied, by: origin)
        update(index)
    }

    var isDiscarding: Bool { drops.contains { $0.isDiscarding } }

    /// This node hears that what a keyspace held is gone.
    ///
    /// - Parameter isLeft: whether there may be something that was stamped later than what every
    ///   node knows to be gone.
    mutating func hearOfDrop(_ index: Int, at moment: Stamp, isLeft: Bool) {
        drops[index].heardAt = moment
        dropsHeard += 1
        drops[index].number = dropsHeard
        drops[index].isDiscarding = isLeft || drops[index].isDiscarding
        active[index] = resolve(index)
    }

    /// Nothing of what was to be discarded is here any more.
    ///
    /// - Returns: where something was.
    mutating func endDiscarding() -> [Int] {
        let indices = drops.indices.filter { drops[$0].isDiscarding }
        for index in indices {
            drops[index].isDiscarding = false
            refresh(index)
        }
        return indices
    }

    /// The keyspace at an index was dropped, and whoever knew of it has forgotten it.
    ///
    /// - Parameter forgotten: what they have.
    mutating func bury(_ index: Int, _ forgotten: Forgotten) throws(DecodeError) {
        try definitions[index].bury(forgotten)
        update(index)
    }

    /// Whether something of what was made anew here may be older than that.
    var isHaunted: Bool { definitions.contains { $0.isHaunted } }

    /// All that was buried is gone.
    ///
    /// - Returns: the names that this changes.
    mutating func exhume() throws(DecodeError) -> [[UInt8]] {
        var names: [[UInt8]] = []
        for index in definitions.indices where definitions[index].isHaunted {
            try definitions[index].exhume()
            update(index)
            names.append(definitions[index].name)
        }
        return names
    }

    private mutating func noteDigest(_ index: Int) {
        var one: UInt64 = 0
        if isSpokenOf(index) {
            var buffer = ByteBuffer(capacity: 128)
            KeyspaceCatalog.encode(definitions[index], spoken: true, into: &buffer)
            one = keyHash(buffer.bytes, key: 0)
        } else {
            forgotten.emptiedAt = max(forgotten.emptiedAt, definitions[index].truncatedAt)
        }
        digest = digest &- digests[index] &+ one
        digests[index] = one
    }

    /// Whether other nodes have to know of a definition.
    func isSpokenOf(_ index: Int) -> Bool {
        !active[index].isVacant && !definitions[index].isForgettable(known: forgotten.known)
            && !definitions[index].spoken.isTombstone
    }

    /// What was dropped and changed last up to a moment is not spoken of any more.
    mutating func learn(_ more: Forgotten) {
        forgotten.emptiedAt = max(forgotten.emptiedAt, more.emptiedAt)
        guard more.known > forgotten.known else { return }
        forgotten.known = more.known
        for index in definitions.indices where digests[index] != 0 && !isSpokenOf(index) {
            noteDigest(index)
        }
    }

    /// Definitions that were dropped for good, and changed last after one moment and up to another.
    func dropped(after: UInt64, upTo: UInt64) -> [Int] {
        definitions.indices.filter {
            !active[$0].isVacant && definitions[$0].newest > after
                && definitions[$0].isForgettable(known: upTo)
        }
    }

    /// Forgets names: keys of theirs live in `default`.
    mutating func vacate(_ indices: [Int]) {
        for index in indices {
            precondition(active[index].isDropped, "what is forgotten was dropped")
            places.remove(index) { active[$0].fingerprint }
            active[index].isVacant = true
            noteDigest(index)
            if index < isRestored.count { isRestored[index] = false }
        }
    }

    /// Nothing refers to these indices any more.
    mutating func release(_ indices: [Int]) { free += indices }

    private mutating func update(_ index: Int) {
        noteDigest(index)
        active[index] = resolve(index)
        guard index == 0 else { return }
        for other in active.indices.dropFirst() { refresh(other) }
    }

    /// Something beside a definition has changed that counts for what is in force.
    mutating func refresh(_ index: Int) {
        let isVacant = active[index].isVacant
        active[index] = resolve(index)
        active[index].isVacant = isVacant
    }

    private mutating func resolve(_ index: Int) -> Active {
        let definition = definitions[index]
        let settings = definition.settings ?? definitions[0].settings ?? KeyspaceSettings()
        hasTyped = hasTyped || settings.conflict == .crdt
        // What empties `default` empties every keyspace, also one that was made meanwhile.
        var drop = drops[index]
        drop.emptiedAt = max(definition.truncatedAt, definitions[0].truncatedAt)
        let pr = settings.count(settings.primaryReadQuorum)
        let pw = settings.count(settings.primaryWriteQuorum)
        let dw = settings.count(settings.durableWriteQuorum)
        let durability = standings[index].held?.durability ?? settings.durability
        return Active(
            fingerprint: definition.name.withUnsafeBytes { keyHash($0, key: hashKey) },
            isDropped: definition.settings == nil,
            tally: RecordTally(
                counting: index,
                n: settings.replicationFactor > 1 ? settings.replicationFactor : 0,
                isTyped: settings.conflict == .crdt),
            n: settings.replicationFactor,
            reads: ReadLevels(
                readQuorum: max(settings.count(settings.readQuorum), pr), primaryReadQuorum: pr,
                timeoutMilliseconds: settings.timeoutMilliseconds),
            writes: WriteLevels(
                writeQuorum: max(settings.count(settings.writeQuorum), pw, dw),
                primaryWriteQuorum: pw, durableWriteQuorum: dw,
                timeoutMilliseconds: settings.timeoutMilliseconds),
            truncatedAt: drop.isDiscarding ? max(drop.emptiedAt, drop.heardAt) : drop.emptiedAt,
            drop: drop,
            readRepairPerMille: Int(settings.readRepairPerMille),
            keyBytesMax: Int(settings.keyBytesMax),
            valueBytesMax: min(Int(settings.valueBytesMax), 1 << 20),
            answersReadsAlone: settings.conflict != .crdt
                && settings.count(settings.readQuorum) == 1 && pr <= 1
                && (settings.replicationFactor == 1 || settings.readRepairPerMille == 0),
            answersWritesAlone: settings.replicationFactor == 1
                && durability == .memory && settings.conflict == .lww
                && settings.ttlMilliseconds == 0,
            durability: durability,
            settings: settings)
    }

    /// 1…64 of letters, digits, `_`, `-` and `.`.
    static func isValid(_ name: [UInt8]) -> Bool {
        (1...nameBytesMax).contains(name.count)
            && name.allSatisfy { byte in
                switch byte {
                case 48...57, 65...90, 97...122, 45, 46, 95: true
                default: false
                }
            }
    }
}

extension KeyspaceCatalog.Active {
    /// Whether both have the same keys and let the same records count, in the same trees.
    func isShaped(like other: KeyspaceCatalog.Active) -> Bool {
        n == other.n && truncatedAt == other.truncatedAt && isDropped == other.isDropped
            && isVacant == other.isVacant
            && (settings.conflict == .crdt) == (other.settings.conflict == .crdt)
    }
}
