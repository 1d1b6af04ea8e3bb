import AntiEntropy
import Base
import Causality
import Coding
import RESP

// Defining keyspaces, and spreading definitions among the nodes.
extension Node {
    static let defaultName = Array("default".utf8)
    static let administrationMilliseconds: UInt64 = 5_000

    mutating func keyspace(
        _ target: ReplyTarget, _ effects: inout Effects
    ) throws(CommandError) {
        try request.checkSubcommand(of: .keyspace)
        if request.matches(1, "LIST") {
            listKeyspaces(target, &effects)
        } else if request.matches(1, "GET") {
            describeKeyspace(target, &effects)
        } else if request.matches(1, "DROP") {
            dropKeyspace(target, &effects)
        } else {
            changeKeyspace(exists: request.matches(1, "ALTER"), target, &effects)
        }
    }

    private mutating func listKeyspaces(_ target: ReplyTarget, _ effects: inout Effects) {
        let live = catalog.definitions.indices.filter { !catalog.active[$0].isDropped }
        let start = effects.bytes.count
        effects.bytes.writeArrayHeader(count: live.count)
        for index in live { writeKeyspace(index, &effects) }
        deliver(target, from: start, &effects)
    }

    private mutating func describeKeyspace(_ target: ReplyTarget, _ effects: inout Effects) {
        guard let index = catalog.index(named: request[2]) else {
            return fail(target, "ERR no such keyspace", &effects)
        }
        let start = effects.bytes.count
        writeKeyspace(index, &effects)
        deliver(target, from: start, &effects)
    }

    private func writeKeyspace(_ index: Int, _ effects: inout Effects) {
        let definition = catalog.definitions[index]
        var fields = catalog.active[index].settings.fields
        fields.append(("keys", "\(holdings.keyspaces[index].keys)"))
        let isConflicted = definition.isConflicted(known: catalog.forgotten.known)
        fields.append(("conflicted", isConflicted ? "yes" : "no"))
        effects.bytes.writeMapHeader(pairs: fields.count + 1, client.dialect)
        effects.bytes.writeBulk("name")
        definition.name.withUnsafeBytes { effects.bytes.writeBulk($0) }
        for (name, value) in fields {
            effects.bytes.writeBulk(text: name)
            effects.bytes.writeBulk(text: value)
        }
    }

    private mutating func changeKeyspace(
        exists: Bool, _ target: ReplyTarget, _ effects: inout Effects
    ) {
        let name = Array(request[2])
        let current = catalog.index(named: request[2])
        guard KeyspaceCatalog.isValid(name) else {
            return fail(target, "ERR keyspace name must be 1 to 64 of a-z A-Z 0-9 . _ -", &effects)
        }
        guard (current != nil) == exists else {
            return failExistence(!exists, target, &effects)
        }
        let base = catalog.active[current ?? 0].settings
        var settings = exists ? base : KeyspaceSettings()
        if !exists {
            settings.replicationFactor = min(3, configuration.members.count)
            settings.truncatedAt = catalog.active[0].truncatedAt
        }
        if !exists, let problem = namesFull(for: name) {
            return fail(target, text: problem, &effects)
        }
        guard !isBeingChanged(name) else { return failFenced(target, &effects) }
        if let problem = apply(from: 3, to: &settings) {
            return fail(target, text: "ERR \(problem)", &effects)
        }
        if !settings.suitsKeys(of: base) {
            return survey(
                KeyspaceChangeRequest(name: name, settings: settings, exists: exists), target,
                &effects)
        }
        change(name, to: settings, target, &effects)
    }

    /// Reads `field=value` arguments.
    ///
    /// - Returns: what is wrong with them; nil when they were applied.
    private func apply(from start: Int, to settings: inout KeyspaceSettings) -> String? {
        var given: [String] = []
        for index in start..<max(start, request.count) {
            let text = String(decoding: request[index], as: UTF8.self)
            let field = text.prefix { $0 != "=" }.lowercased()
            guard !given.contains(field) else { return "\(field) is given twice" }
            given.append(field)
            if let problem = settings.set(text) { return problem }
        }
        // A list of members may have become shorter than n since.
        if given.contains("n"), settings.replicationFactor > configuration.members.count {
            return "n=\(settings.replicationFactor) exceeds the cluster's "
                + "\(configuration.members.count) nodes"
        }
        return settings.objection
    }

    /// Makes a change here and waits until every reachable node has learned it.
    mutating func change(
        _ name: [UInt8], to settings: KeyspaceSettings?, _ target: ReplyTarget,
        _ effects: inout Effects
    ) {
        guard let dot = nextChange(target, &effects) else { return }
        var changed = catalog
        do throws(DecodeError) {
            if let index = catalog.position(named: name) {
                let emptied = settings == nil ? clock.tick() : nil
                try changed.change(index, to: settings, dot: dot, emptied: emptied)
            } else {
                let value = KeyspaceChange(
                    dropped: settings == nil, settings: settings ?? KeyspaceSettings(),
                    madeAt: dot.stamp.rawValue
                ).encoded()
                let changes = SiblingSet(dot: dot, value: value)
                _ = try changed.join(KeyspaceDefinition(name: name, changes: changes))
            }
        } catch {
            return fail(
                target, text: "ERR the keyspace cannot be changed any more: \(error)", &effects)
        }
        guard changed.encodedBytes <= configuration.recordBytesMax else {
            return fail(
                target,
                text: "ERR the definitions of all keyspaces take more than the "
                    + "\(configuration.recordBytesMax) bytes that the journal takes at once; drop "
                    + "some (KEYSPACE DROP)", &effects)
        }
        noteChange(of: name, to: settings, for: target)
        adopt(changed, &effects)
        spread([name], SpreadChange(name: name, isDrop: settings == nil), target, &effects)
    }

    /// Names a change of keyspaces: later than whatever was promised to be known (`Forgetting`), be
    /// it by a clock that was ahead. Changes are ordered by what their makers had seen, so the name
    /// need not be near the wall clock.
    ///
    /// - Returns: nil, and an error reply, when there is no later name.
    mutating func nextChange(
        _ target: ReplyTarget, _ effects: inout Effects
    ) -> Dot? {
        guard !forgetting.isBehind, !catalog.isHaunted else {
            counters.unavailable += 1
            let what = linksUp > 0 ? "try again" : "it needs another node, and hears none"
            fail(
                target,
                text: "UNAVAILABLE this node is learning which keyspaces there are; \(what)",
                &effects)
            return nil
        }
        let before = max(forgetting.committed, catalog.forgotten.known)
        let (next, isTooLate) = before.addingReportingOverflow(1)
        guard !isTooLate else {
            fail(target, "CLOCK the keyspaces were changed at the end of time", &effects)
            return nil
        }
        return Dot(identity: identity, stamp: max(clock.tick(), Stamp(rawValue: next)))
    }

    /// Sends what was changed here to every node, and waits for all.
    mutating func spread(
        _ names: [[UInt8]], _ change: SpreadChange?, _ target: ReplyTarget,
        _ effects: inout Effects
    ) {
        persistDefinitions(names, &effects)
        guard let id = administer(.spreading(change), target, &effects) else { return }
        let scope = effects.beginScope()
        for index in links.indices where administrations[id]?.waiting.isSet(index) == true {
            sendDefinitions(names, to: links[index].node, number: id.rawValue, &effects)
        }
        announce(names, without: administrations[id]?.waiting ?? 0, &effects)
        effects.endScope(scope)
        if !background.reshaping.owe(.own(id), change: awaitedChange) {
            expireAdministration(id, &effects)
        }
    }

    /// Starts an operation that waits for every node that is up, and for this node's own disk. What
    /// spreads is not waited for where the members have declared a node dead: it hears of it when
    /// it is back.
    mutating func administer(
        _ stage: AdministrationOperation.Stage, _ target: ReplyTarget, _ effects: inout Effects
    ) -> OperationID? {
        guard !administrations.isFull else {
            overload(target, &effects)
            return nil
        }
        var mayPassOver = false
        if case .spreading = stage { mayPassOver = true }
        var waiting: UInt64 = 0
        for index in links.indices {
            let isWaitedFor = links[index].isUp && !(mayPassOver && isLost(index))
            guard isWaitedFor || links[index].node == configuration.node else { continue }
            waiting |= 1 << UInt64(index)
        }
        let deadline = now.monotonic + .nanoseconds(milliseconds: Node.administrationMilliseconds)
        let id = administrations.insert(
            AdministrationOperation(
                head: OperationHead(
                    target: outlasting(target), client: client, deadline: deadline,
                    begunAt: now.monotonic),
                stage: stage, waiting: waiting))
        watch(id, at: deadline)
        return id
    }

    /// Hands what was changed to the journal.
    ///
    /// - Returns: the number of the change, which `reachedChange` brings back once it is durable.
    @discardableResult
    mutating func persistDefinitions(
        _ names: [[UInt8]], _ effects: inout Effects
    ) -> UInt64 {
        noteCommands(&effects)
        effects.persist { buffer in
            buffer.append(JournalKind.definitions.rawValue)
            catalog.encode(names, spoken: false, into: &buffer)
        }
        // Which hints may still be handed off follows from what the definitions were before.
        var marker = CollectionMarker()
        for n in collection.replicationFactors {
            guard let until = collection.parts[n]?.hintedUntil, until > 0 else { continue }
            marker.parts.append(.init(n: n, hintedUntil: until))
        }
        if !marker.parts.isEmpty { effects.append { marker.encode(into: &$0) } }
        for name in names {
            guard let index = catalog.position(named: name), !catalog.standings[index].isPlain
            else { continue }
            keepStanding(of: index, &effects)
        }
        let change = notifyOfChange(&effects)
        background.keeping.begin()
        if background.keeping.canGoOn { workInBackground(&effects) }
        return change
    }

    /// Has `reachedChange` told when all that was handed to the journal is durable.
    ///
    /// - Returns: the number that it is told.
    mutating func notifyOfChange(_ effects: inout Effects) -> UInt64 {
        let change = background.reshaping.noteChange()
        let token = OperationID(
            kind: .definitions, index: 0, generation: UInt32(truncatingIfNeeded: change))
        effects.add(.notify(token.rawValue))
        return change
    }

    /// Which change has to be durable before an answer says that one is: what came to be kept on
    /// disk has to be there.
    private var awaitedChange: UInt64 {
        background.keeping.isIdle ? background.reshaping.changes : .max
    }

    /// Sends definitions, or all.
    func sendDefinitions(
        _ names: [[UInt8]]? = nil, to node: NodeID, number: UInt64, _ effects: inout Effects
    ) {
        let frame = effects.bytes.appendMessage(
            kind: 7, flag: names == nil ? 1 : 0, number: number
        ) { buffer in
            if let names { return catalog.encode(names, spoken: true, into: &buffer) }
            forgettingWord.encode(into: &buffer)
            catalog.encodeSpoken(into: &buffer)
        }
        send(frame, to: node, &effects)
    }

    /// Tells the other nodes what has come to be known here, before anything that follows from it.
    ///
    /// - Parameter told: who knows by another way, as bits by link.
    private func announce(_ names: [[UInt8]], without told: UInt64, _ effects: inout Effects) {
        for index in links.indices where links[index].isUp && !told.isSet(index) {
            sendDefinitions(names, to: links[index].node, number: 0, &effects)
        }
    }

    private mutating func adopt(
        _ joined: KeyspaceCatalog, _ news: [[UInt8]], _ effects: inout Effects
    ) throws(DecodeError) {
        guard !news.isEmpty else {
            catalog = joined
            return
        }
        guard joined.encodedBytes <= configuration.recordBytesMax else {
            throw .invalid("definitions exceed what the journal takes")
        }
        // Before anything that follows from it.
        adopt(joined, &effects)
        announce(news, without: 0, &effects)
        _ = persistDefinitions(news, &effects)
        // What was asked before was asked of other trees.
        if isRefilling { inquireAll(&effects) }
    }

    mutating func learnDefinitions(
        _ number: UInt64, _ word: ForgettingMarker?, _ bytes: UnsafeRawBufferPointer,
        from node: NodeID, _ effects: inout Effects
    ) throws(DecodeError) {
        var reader = ByteReader(bytes)
        let definitions = try KeyspaceCatalog.definitions(decoding: &reader)
        // Who empties a keyspace for the time to come would have this node lose later writes.
        let emptied = definitions.lazy.map(\.truncatedAt).max() ?? Stamp(rawValue: 0)
        guard clock.observe(emptied) else {
            counters.refusedAhead += 1
            return
        }
        var joined = catalog
        var news: [[UInt8]] = []
        if let word {
            heardAll(word, from: node)
            news = try catchUp(&joined, word, definitions)
        }
        for definition in definitions where try joined.join(definition) {
            news.append(definition.name)
        }
        try keepWhatKeysNeed(&joined, news)
        if let word, mayCatchUp(word) { joined.learn(word.catalog) }
        try adopt(joined, news, &effects)
        heard(definitions, from: node)
        noteTold(word, news, &effects)
        guard number != 0 else { return }
        if background.reshaping.owe(.other(node, number: number), change: awaitedChange) {
            tellReshaped(&effects)
        }
    }
}
