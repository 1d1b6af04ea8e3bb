import Base
import Causality
import Coding

// A node that fell behind.
extension Node {
    /// Another node told all that it knows. Where this one is behind, what it has, and others have
    /// forgotten, was dropped, also if they have made it anew since.
    ///
    /// - Parameters:
    ///   - joined: all that is known here, before what was told comes to it.
    ///   - word: how far the other node is.
    ///   - told: all that it knows.
    /// - Returns: the names that are buried.
    mutating func catchUp(
        _ joined: inout KeyspaceCatalog, _ word: ForgettingMarker, _ told: [KeyspaceDefinition]
    ) throws(DecodeError) -> [[UInt8]] {
        guard mayCatchUp(word) else { return [] }
        _ = clock.observe(word.catalog.emptiedAt)
        var isKnown = Array(repeating: false, count: joined.definitions.count)
        for other in told {
            guard let index = joined.position(named: other.name) else { continue }
            isKnown[index] = other.madeAt <= joined.definitions[index].madeAt
        }
        var buried: [[UInt8]] = []
        for index in joined.definitions.indices.dropFirst() where !isKnown[index] {
            let definition = joined.definitions[index]
            guard !joined.active[index].isDropped, !definition.isConfigured,
                definition.madeAt <= word.catalog.known
            else { continue }
            try joined.bury(index, word.catalog)
            buried.append(definition.name)
        }
        return buried
    }

    /// Notes how far another node says it is, with all that it knows.
    mutating func heardAll(_ word: ForgettingMarker, from node: NodeID) {
        if let index = linkIndex(of: node), noteWord(word, index) { noteBehind(index) }
    }

    func mayCatchUp(_ word: ForgettingMarker) -> Bool {
        let known = word.catalog.known
        return known > forgetting.promised && known <= forgetting.heard && word.promised >= known
            && clock.permits(word.catalog.emptiedAt)
    }

    /// What was told is in force.
    mutating func noteTold(
        _ word: ForgettingMarker?, _ news: [[UInt8]], _ effects: inout Effects
    ) {
        if let word, mayCatchUp(word) {
            forgetting.noteTold(catalog.forgotten, at: now.monotonic)
            for index in links.indices { noteBehind(index) }
            let hasRecords = holdings.keyspaces.contains { $0.contents.records > 0 }
            if hasRecords { catchUp(&effects) } else { forgetting.noteDropped() }
        }
        var isOld = false
        for name in news {
            guard let index = catalog.position(named: name) else { continue }
            isOld =
                isOld || catalog.definitions[index].isForgettable(known: forgetting.settled)
        }
        if isOld { forgetting.unsettle() }
    }
}

// The journal.
extension Node {
    /// Definitions that are kept while a journal is read, unless they are needed.
    private static let restoredMax = 1_024

    mutating func restoreDefinitions(
        _ payload: UnsafeRawBufferPointer
    ) throws(DecodeError) {
        var definitions = ByteReader(payload)
        let restored = try KeyspaceCatalog.definitions(decoding: &definitions)
        if catalog.taken >= Node.restoredMax { forgetRestored() }
        // What was buried was gone before anything said so.
        if catalog.isHaunted { exhumeRestored() }
        if restored.first?.name == Node.defaultName { beginRestoring() }
        let before = catalog
        for definition in restored {
            try catalog.restore(definition)
            resume(after: definition)
        }
        restoreDrops(since: before)
        reshape(from: before)
        restoreDurability(since: before, restored)
        if catalog.isDiscarding { walkRestored() }
        collection.reconsider()
    }

    /// What is written from now on is later than what a keyspace was emptied of.
    private mutating func resume(after definition: KeyspaceDefinition) {
        let isTrusted = definition.changes.siblings.contains {
            !isOfWrongClock(Dot(identity: $0.dot.identity, stamp: definition.truncatedAt))
        }
        if isTrusted { clock.resume(after: definition.truncatedAt) }
    }
}

// What an operator sees.
extension Node {
    /// How many keyspaces there are, how many names of dropped ones are to be forgotten, and the
    /// nodes without which they cannot be, ascending.
    public var nameFigures: (living: Int, dropped: Int, waitsFor: [NodeID]) {
        let dropped = catalog.dropped(after: 0, upTo: .max)
        guard !dropped.isEmpty else { return (catalog.living, 0, []) }
        let oldest = dropped.reduce(UInt64.max) { min($0, catalog.definitions[$1].newest) }
        let others = links.indices.filter {
            links[$0].node != configuration.node && !isRemoved(links[$0].node)
        }
        // While one is away the others cannot go on either.
        let away = others.filter { !isHeard(links[$0].node) }
        let behind = others.filter { forgetting.words[$0].settled < oldest }
        let waitsFor = (away.isEmpty ? behind : away).map { links[$0].node }
        return (catalog.living, dropped.count, waitsFor)
    }

    var nameFields: [(String, String)] {
        let figures = nameFigures
        let nodes = figures.waitsFor.map { "\($0.rawValue)" }.joined(separator: ",")
        return [
            ("dropped_keyspaces", "\(figures.dropped)"), ("dropped_keyspaces_wait_for", nodes),
        ]
    }

    /// Why no keyspace of this name can be made, and what to do; nil when one can.
    func namesFull(for name: [UInt8]) -> String? {
        let figures = nameFigures
        if figures.living >= KeyspaceCatalog.keyspacesMax {
            return "ERR \(figures.living) keyspaces exist, which is the limit; drop one first "
                + "(KEYSPACE DROP)"
        }
        guard catalog.taken >= configuration.keyspaceNamesMax,
            catalog.position(named: name) == nil
        else { return nil }
        let nodes = figures.waitsFor.map { "\($0)" }.joined(separator: ", ")
        return "ERR \(figures.living) keyspaces exist and the names of \(figures.dropped) dropped "
            + "ones are remembered until every node has emptied them; try again"
            + (nodes.isEmpty
                ? " in some seconds" : " once \(nodes) has, or was taken out (CLUSTER FORGET)")
    }
}
