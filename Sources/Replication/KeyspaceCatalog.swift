import Base
import Causality
import Coding

/// All keyspaces of a node, found by a key's prefix.
///
/// The keyspace of a key is the part before its first `:`; a key whose prefix names no keyspace
/// lives in `default`, which is always there, at index 0. A dropped keyspace stays as the memory of
/// what went with it: keys of its prefix that are written later live by the settings of `default`.
struct KeyspaceCatalog {
    /// Keyspaces that exist at a time, as far as one node makes them.
    static let keyspacesMax = 1_024
    /// Definitions that are remembered: those of dropped keyspaces, and what nodes made apart.
    static let definitionsMax = 4_096
    static let nameBytesMax = 64

    /// What the request path needs, without reference counts; indices do not change. Read field by
    /// field: a copy of the whole costs more than a request's other look-ups together.
    struct Active {
        var fingerprint: UInt64
        var isDropped: Bool
        /// How records that count are accounted for.
        var tally: RecordTally
        /// The levels as numbers, resolved once.
        var n: Int
        var reads: ReadLevels
        var writes: WriteLevels
        var truncatedAt: Stamp
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
        var settings: KeyspaceSettings
    }

    private(set) var definitions: [KeyspaceDefinition] = []
    private(set) var active: [Active] = []
    /// Where each keyspace stands in `active`.
    private var places = FingerprintIndex()
    /// Of each definition.
    private var digests: [UInt64] = []
    /// Equal on two nodes exactly when they know the same definitions (up to hash collision); the
    /// order does not matter.
    private(set) var digest: UInt64 = 0
    /// Whether any keyspace merges typed values.
    private(set) var hasTyped = false
    private let hashKey: UInt64
    /// Names of what the journal brought.
    private var restored: [[UInt8]] = []

    init(hashKey: UInt64) {
        self.hashKey = hashKey
    }

    /// Whether both put every key into the same keyspace and let the same records count.
    func isShaped(like other: KeyspaceCatalog) -> Bool {
        active.count == other.active.count
            && zip(active, other.active).allSatisfy {
                $0.n == $1.n && $0.truncatedAt == $1.truncatedAt && $0.isDropped == $1.isDropped
                    && ($0.settings.conflict == .crdt) == ($1.settings.conflict == .crdt)
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

    /// Whether one more keyspace may be made.
    var hasRoom: Bool {
        active.count { !$0.isDropped } < KeyspaceCatalog.keyspacesMax
            && active.count < KeyspaceCatalog.definitionsMax
    }

    /// The definition of this name, dropped or not.
    func position(named name: [UInt8]) -> Int? {
        name.withUnsafeBytes { known($0) }
    }

    /// Takes a definition in, or joins it with what is known.
    ///
    /// - Returns: whether anything changed.
    mutating func join(_ definition: KeyspaceDefinition) throws(DecodeError) -> Bool {
        guard let index = position(named: definition.name) else {
            guard definitions.count < KeyspaceCatalog.definitionsMax else {
                throw .invalid("more keyspaces than the limit")
            }
            definitions.append(definition)
            digests.append(0)
            active.append(resolve(definitions.count - 1))
            places.insert(active.count - 1) { active[$0].fingerprint }
            noteDigest(definitions.count - 1)
            return true
        }
        guard try definitions[index].join(definition.changes) else { return false }
        update(index)
        return true
    }

    /// Puts definitions from the journal in the place of what the configuration said under their
    /// names. Behind a damaged checkpoint the journal may begin with older ones than the
    /// checkpoint's: what was emptied stays so.
    mutating func restore(decoding reader: inout ByteReader) throws(DecodeError) {
        for definition in try KeyspaceCatalog.definitions(decoding: &reader) {
            if let index = position(named: definition.name), !restored.contains(definition.name) {
                definitions[index] = definition
                update(index)
            } else {
                _ = try join(definition)
            }
            if !restored.contains(definition.name) { restored.append(definition.name) }
        }
    }

    /// All definitions that `encode` wrote.
    static func definitions(
        decoding reader: inout ByteReader
    ) throws(DecodeError) -> [KeyspaceDefinition] {
        var definitions: [KeyspaceDefinition] = []
        for _ in 0..<(try reader.integer(UInt16.self)) {
            let name = Array(try reader.slice(Int(try reader.integer(UInt8.self))))
            guard isValid(name) else { throw .invalid("keyspace name is malformed") }
            let length: UInt32 = try reader.integer()
            let changes = try SiblingSet(encoded: try reader.slice(Int(length)))
            definitions.append(try KeyspaceDefinition(name: name, changes: changes))
        }
        try reader.end()
        return definitions
    }

    /// Changes or drops the keyspace at an index.
    mutating func change(
        _ index: Int, to settings: KeyspaceSettings?, dot: Dot, emptied: Stamp? = nil
    ) throws(DecodeError) {
        try definitions[index].change(to: settings, dot: dot, emptied: emptied)
        update(index)
    }

    private mutating func noteDigest(_ index: Int) {
        var buffer = ByteBuffer(capacity: 128)
        KeyspaceCatalog.encode(definitions[index], into: &buffer)
        let one = keyHash(buffer.bytes, key: 0)
        digest = digest &- digests[index] &+ one
        digests[index] = one
    }

    private mutating func update(_ index: Int) {
        noteDigest(index)
        active[index] = resolve(index)
        guard index == 0 else { return }
        for other in active.indices.dropFirst() { active[other] = resolve(other) }
    }

    private mutating func resolve(_ index: Int) -> Active {
        let definition = definitions[index]
        let settings = definition.settings ?? definitions[0].settings ?? KeyspaceSettings()
        hasTyped = hasTyped || settings.conflict == .crdt
        // What empties `default` empties every keyspace, also one that was made meanwhile.
        let truncatedAt = max(definition.truncatedAt, definitions[0].truncatedAt)
        let pr = settings.count(settings.primaryReadQuorum)
        let pw = settings.count(settings.primaryWriteQuorum)
        let dw = settings.count(settings.durableWriteQuorum)
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
            truncatedAt: truncatedAt,
            readRepairPerMille: Int(settings.readRepairPerMille),
            keyBytesMax: Int(settings.keyBytesMax),
            valueBytesMax: min(Int(settings.valueBytesMax), 1 << 20),
            answersReadsAlone: settings.conflict != .crdt
                && settings.count(settings.readQuorum) == 1 && pr <= 1
                && (settings.replicationFactor == 1 || settings.readRepairPerMille == 0),
            answersWritesAlone: settings.replicationFactor == 1
                && settings.durability == .memory && settings.conflict == .lww
                && settings.ttlMilliseconds == 0,
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

    /// All definitions: count (2), then each as name length (1), name, length (4), sibling set.
    func encode(into buffer: inout ByteBuffer) {
        buffer.append(integer: UInt16(definitions.count))
        for definition in definitions { KeyspaceCatalog.encode(definition, into: &buffer) }
    }

    private static func encode(_ definition: KeyspaceDefinition, into buffer: inout ByteBuffer) {
        buffer.append(UInt8(definition.name.count))
        buffer.append(definition.name)
        buffer.appendSized { definition.changes.encode(into: &$0) }
    }

    /// The same of the definitions of some names.
    func encode(_ names: [[UInt8]], into buffer: inout ByteBuffer) {
        buffer.append(integer: UInt16(names.count))
        for name in names {
            guard let index = position(named: name) else {
                preconditionFailure("what has changed is defined")
            }
            KeyspaceCatalog.encode(definitions[index], into: &buffer)
        }
    }

    /// How many bytes `encode` appends.
    var encodedBytes: Int {
        definitions.reduce(2) { $0 + 5 + $1.name.count + $1.changes.encodedBytes }
    }
}
