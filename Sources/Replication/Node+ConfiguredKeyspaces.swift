import Base
import Causality
import Coding

// Keyspaces from the configuration (`ConfiguredKeyspaces`).
extension Node {
    /// The stamp of what a configuration defines where nothing is known.
    private static let configuredStamp = Stamp(rawValue: 1)

    /// What the configuration says of each keyspace, `default` first, which it need not name.
    private var configuredKeyspaces: [(name: [UInt8], settings: KeyspaceSettings)] {
        let given = configuration.keyspaces
        let others = given.filter { $0.name != Node.defaultName }
        if let first = given.first(where: { $0.name == Node.defaultName }) {
            return [first] + others
        }
        var settings = KeyspaceSettings()
        settings.replicationFactor =
            min(settings.replicationFactor, configuration.members.count)
        return [(Node.defaultName, settings)] + others
    }

    /// What the configuration defines, under dots that depend on nothing but the definition, so
    /// that nodes with one configuration agree without a word, and nodes with different ones meet
    /// at the safer of each. What the journal knows takes its place (`restoreDefinitions`).
    mutating func defineConfiguredKeyspaces() {
        for keyspace in configuredKeyspaces { define(keyspace.name, keyspace.settings) }
    }

    private mutating func define(_ name: [UInt8], _ settings: KeyspaceSettings) {
        let change = KeyspaceChange(dropped: false, settings: settings, origin: .files)
        let dot = Node.dot(of: settings, .files)
        do throws(DecodeError) {
            let changes = SiblingSet(dot: dot, value: change.encoded())
            _ = try catalog.join(KeyspaceDefinition(name: name, changes: changes))
        } catch {
            preconditionFailure("configured keyspaces are checked before a node is made of them")
        }
        holdings.extend(to: catalog.active.count)
    }

    private static func dot(of settings: KeyspaceSettings, _ origin: KeyspaceChange.Origin) -> Dot {
        Dot(
            identity: ReplicaIdentity(rawValue: digest(settings, origin) & 0xFFFF_FFFF_FFFF),
            stamp: configuredStamp)
    }

    private static func digest(
        _ settings: KeyspaceSettings, _ origin: KeyspaceChange.Origin = .files
    ) -> UInt64 {
        var settings = settings
        settings.truncatedAt = Stamp(rawValue: 0)
        return KeyspaceChange(dropped: false, settings: settings, origin: origin).encoded()
            .withUnsafeBytes { keyHash($0, key: 1) }
    }

    /// Compares what the configuration says with what it said at the last start: after the journal
    /// was read, before the first step.
    ///
    /// - Returns: what the configuration changes and cannot; when there is anything the node is
    ///   not to run.
    /// - Complexity: O(records) where what keys need changes.
    public mutating func takeUpConfiguration() -> [KeyspaceObstacle] {
        defer { beginGeneration() }
        guard !catalog.configured.isTaken else { return [] }
        let before = catalog
        let said = configuredKeyspaces
        let isNew = said.map { catalog.position(named: $0.name) == nil }
        for (keyspace, isNew) in zip(said, isNew) where isNew {
            define(keyspace.name, keyspace.settings)
        }
        reshape(from: before)
        for (keyspace, isNew) in zip(said, isNew) where isNew { keepPromises(to: keyspace.name) }
        restoreDurability(since: before, [])
        var obstacles: [KeyspaceObstacle] = []
        var changes: [(index: Int, settings: KeyspaceSettings)] = []
        for (keyspace, isNew) in zip(said, isNew) {
            guard let index = catalog.position(named: keyspace.name) else { continue }
            let former =
                isNew ? catalog.definitions[0].settings : catalog.definitions[index].settings
            guard let former, isNew || mayChange(keyspace.name, to: keyspace.settings) else {
                continue
            }
            if let obstacle = obstacle(index, former, keyspace.settings) {
                obstacles.append(obstacle)
                continue
            }
            let safer = safer(index, former, keyspace.settings)
            if !isNew, safer != former { changes.append((index, safer)) }
        }
        if obstacles.isEmpty { change(changes) }
        catalog.configured.take(said.map { ($0.name, Node.digest($0.settings)) })
        settleStandings()
        return obstacles
    }

    /// Whether what the configuration says of a known keyspace is another thing than before.
    private func mayChange(_ name: [UInt8], to settings: KeyspaceSettings) -> Bool {
        let digest = Node.digest(settings)
        let configured = catalog.configured
        guard configured.isRestored, !configured.isOver, configured.isChanged(name, digest),
            let index = catalog.position(named: name),
            let former = catalog.definitions[index].settings
        else { return false }
        return Node.digest(former) != digest
    }

    /// What counts of a changed configuration: what makes a setting safer. It is the word of one
    /// node, so what lowers a promise takes a command.
    private func safer(
        _ index: Int, _ former: KeyspaceSettings, _ settings: KeyspaceSettings
    ) -> KeyspaceSettings {
        var safer = former.saferOf(settings)
        safer.truncatedAt = former.truncatedAt
        let followsMembers = mayFollowMembers(index, former)
        if followsMembers { safer.replicationFactor = settings.replicationFactor }
        safer.keepFloor()
        if safer.objection == nil { return safer }
        return followsMembers ? settings : former
    }

    /// A new keyspace that takes in keys of `default` promises these no less.
    private mutating func keepPromises(to name: [UInt8]) {
        guard let index = catalog.position(named: name), index > 0,
            let former = catalog.definitions[0].settings,
            let settings = catalog.definitions[index].settings, settings.suitsKeys(of: former)
        else { return }
        let safer = safer(index, former, settings)
        guard safer.fields.map(\.value) != settings.fields.map(\.value), hasRecords(index) else {
            return
        }
        try? catalog.change(index, to: safer, dot: Node.dot(of: safer, .files), by: .files)
    }

    private mutating func hasRecords(_ index: Int) -> Bool {
        walkRestored()
        return holdings.keyspaces[index].counted > 0
    }

    private mutating func obstacle(
        _ index: Int, _ former: KeyspaceSettings, _ settings: KeyspaceSettings
    ) -> KeyspaceObstacle? {
        guard !settings.suitsKeys(of: former) else { return nil }
        let changesConflict = !settings.conflictSuitsKeys(of: former)
        guard changesConflict || !mayFollowMembers(index, former) else { return nil }
        guard hasRecords(index) else { return nil }
        let records = holdings.keyspaces[index].counted
        let (n, conflict) = ("\(settings.replicationFactor)", "\(settings.conflict)")
        let setting = changesConflict ? "conflict" : "n"
        let name = catalog.definitions[index].name
        return KeyspaceObstacle(
            keyspace: String(decoding: name, as: UTF8.self), setting: setting,
            stored: changesConflict ? "\(former.conflict)" : "\(former.replicationFactor)",
            configured: changesConflict ? conflict : n, isDefault: isDefault(setting, of: name),
            records: records)
    }

    /// Whether the configuration gives a keyspace a setting only by not naming it.
    private func isDefault(_ setting: String, of keyspace: [UInt8]) -> Bool {
        guard configuration.keyspaces.contains(where: { $0.name == keyspace }) else { return true }
        let defaulted = configuration.defaulted.first { $0.keyspace == keyspace }
        return defaulted?.settings.contains(setting) == true
    }

    /// Whether n may change with the list of members: all nodes begin with the new one, and new
    /// members are refilled before they answer. `default` follows it where no file says otherwise,
    /// and no keyspace has more replicas than there are members.
    private func mayFollowMembers(_ index: Int, _ former: KeyspaceSettings) -> Bool {
        let isImplied =
            index == 0 && !configuration.keyspaces.contains { $0.name == Node.defaultName }
        return configuration.takesOtherMembers
            && (isImplied || former.replicationFactor > configuration.members.count)
    }

    private mutating func change(_ changes: [(index: Int, settings: KeyspaceSettings)]) {
        let before = catalog
        for (index, settings) in changes {
            // Where too many lives have changed it, it stays as it is, which is told.
            try? catalog.change(
                index, to: settings, dot: Node.dot(of: settings, .files), by: .files)
        }
        guard !changes.isEmpty else { return }
        reshape(from: before)
        restoreDurability(since: before, [])
        let next = background.reshaping.changes + 1
        for (index, _) in changes where isInMemoryOnly(index) {
            catalog.hold(index, before.active[index].durability, until: next)
        }
    }

    /// Hands to the journal what the configuration says, with what it made of the definitions, and
    /// before anything that depends on it.
    mutating func saveConfiguration(_ effects: inout Effects) {
        if !catalog.configured.isTaken { _ = takeUpConfiguration() }
        guard catalog.configured.isUnsaved else { return }
        effects.append { encodeConfigured(into: &$0) }
        effects.append { encodeDefinitions(into: &$0) }
        for index in standingKeyspaces { keepStanding(of: index, &effects) }
        if catalog.isHolding { _ = notifyOfChange(&effects) }
        catalog.configured.noteSaved()
    }

    /// Appends the same, as `exportState` writes it.
    func exportDefinitions(into buffer: inout ByteBuffer) {
        buffer.appendSized { encodeConfigured(into: &$0) }
        buffer.appendSized { encodeDefinitions(into: &$0) }
        exportStandings(into: &buffer)
    }

    private func encodeConfigured(into buffer: inout ByteBuffer) {
        buffer.append(JournalKind.configured.rawValue)
        catalog.configured.encode(into: &buffer)
    }

    private func encodeDefinitions(into buffer: inout ByteBuffer) {
        buffer.append(JournalKind.definitions.rawValue)
        catalog.encode(into: &buffer)
    }

    /// The journal knows all definitions: what the configuration says, which may have names beside
    /// them, waits until it was read.
    mutating func beginRestoring() {
        guard catalog.configured.isRestored, store.count == 0 else { return }
        catalog.beginRestoring()
    }

    /// Definitions go to the journal: whether there was a command goes before them.
    mutating func noteCommands(_ effects: inout Effects) {
        guard !catalog.configured.isOver,
            catalog.definitions.contains(where: { $0.origin == .command })
        else { return }
        catalog.configured.noteCommand()
        effects.append { encodeConfigured(into: &$0) }
        catalog.configured.noteSaved()
    }

    /// Puts back what the keys of a keyspace need, where another node's configuration has changed
    /// it. That node knew of no keys, and all nodes that do put back the same.
    ///
    /// - Parameters:
    ///   - joined: what is known with what that node told.
    ///   - news: the names that this changes.
    mutating func keepWhatKeysNeed(
        _ joined: inout KeyspaceCatalog, _ news: [[UInt8]]
    ) throws(DecodeError) {
        for name in news {
            guard let index = catalog.position(named: name),
                let former = catalog.definitions[index].settings,
                joined.definitions[index].origin == .files,
                let settings = joined.definitions[index].settings,
                !settings.suitsKeys(of: former), holdings.keyspaces[index].counted > 0
            else { continue }
            try joined.change(index, to: former, dot: Node.dot(of: former, .kept), by: .kept)
            counters.configurationsOverruled += 1
        }
    }
}

// What an operator sees.
extension Node {
    /// Keyspaces by name that were changed on two sides at once, which nobody has settled.
    public var conflictedKeyspaces: [String] {
        catalog.definitions.filter { $0.isConflicted(known: catalog.forgotten.known) }
            .map { String(decoding: $0.name, as: UTF8.self) }
    }

    /// What this node's configuration says of keyspaces and does not count.
    public var configurationDifferences: [KeyspaceDifference] {
        configuration.keyspaces.flatMap { keyspace -> [KeyspaceDifference] in
            let name = String(decoding: keyspace.name, as: UTF8.self)
            guard let index = catalog.position(named: keyspace.name) else { return [] }
            guard let settings = catalog.definitions[index].settings else {
                return [
                    KeyspaceDifference(
                        keyspace: name, setting: "dropped", configured: "no", isDefault: false,
                        inForce: "yes", isCommanded: true)
                ]
            }
            return zip(keyspace.settings.fields, settings.fields).filter { $0.value != $1.value }
                .map {
                    KeyspaceDifference(
                        keyspace: name, setting: $0.name, configured: $0.value,
                        isDefault: isDefault($0.name, of: keyspace.name), inForce: $1.value,
                        isCommanded: catalog.configured.isOver)
                }
        }
    }

    /// The same, by keyspace.
    var configurationFields: [(String, String)] {
        let differences = configurationDifferences
        let names = configuration.keyspaces.map { String(decoding: $0.name, as: UTF8.self) }
        let differing = names.compactMap { name -> (String, String)? in
            let words = differences.filter { $0.keyspace == name }
                .map { "\($0.setting)=\($0.configured)" }
            return words.isEmpty ? nil : ("configured_\(name)", words.joined(separator: ","))
        }
        return [
            ("configuration_differs", "\(differences.count)"),
            ("keyspaces_conflicted", conflictedKeyspaces.joined(separator: ",")),
        ] + differing
    }
}
