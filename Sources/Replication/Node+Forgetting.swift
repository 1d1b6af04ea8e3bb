import Base
import Causality
import Coding

// The names of dropped keyspaces are forgotten once all nodes have emptied them (`Forgetting`).
extension Node {
    /// At a heartbeat.
    mutating func tendForgetting(_ effects: inout Effects) {
        releaseVacated(&effects)
        guard !forgetting.isBehind else { return markForgetting(&effects) }
        if forgetting.ripen(leastSettled, at: now.monotonic) {
            catalog.learn(.init(known: forgetting.forgotten))
            for index in links.indices { noteBehind(index) }
        }
        forgetNames(&effects)
        settleNames(&effects)
        markForgetting(&effects)
    }

    /// What this node says with its heartbeats.
    var forgettingWord: ForgettingMarker {
        ForgettingMarker(
            promised: forgetting.promised, forgotten: forgetting.settled, catalog.forgotten)
    }

    /// What this node knows of names is on its disk.
    var hasDurableDefinitions: Bool {
        background.reshaping.durableChanges == background.reshaping.changes
    }

    mutating func heardWord(_ names: Message.Names, _ index: Int) {
        let word = names.word
        guard clock.permits(word.catalog.emptiedAt) else {
            counters.refusedAhead += 1
            return
        }
        let before = forgetting.words[index]
        forgetting.words[index].promised = max(before.promised, word.promised)
        forgetting.words[index].settled = max(before.settled, word.forgotten)
        if configuration.plantedBug != .namesForgottenUnheard {
            forgetting.words[index].known = max(before.known, word.catalog.known)
        }
        if !forgetting.isBehind {
            catalog.learn(word.catalog)
            if names.isDurable, names.digest == catalog.digest {
                forgetting.words[index].equalAt = latestChange
            }
        }
        noteBehind(index)
    }

    /// Every change that is yet to be made here is later.
    private var latestChange: UInt64 {
        max(clock.latest.rawValue, catalog.newest, forgetting.promised)
    }

    /// Whether a node may hold what was forgotten here.
    func isUnaware(_ index: Int) -> Bool {
        configuration.plantedBug != .namesForgottenUnheard
            && forgetting.words[index].promised < forgetting.forgotten
    }

    private func leastWord(_ own: UInt64, _ word: (Forgetting.Word) -> UInt64) -> UInt64 {
        links.indices.reduce(own) { least, index in
            let node = links[index].node
            guard node != configuration.node, !isRemoved(node) else { return least }
            if configuration.plantedBug == .namesForgottenUnheard, !isHeard(node) { return least }
            return min(least, links[index].isUp ? word(forgetting.words[index]) : 0)
        }
    }

    private var leastSettled: UInt64 { leastWord(forgetting.settled, \.settled) }

    // MARK: Forgetting

    /// Forgets what was dropped and may go.
    private mutating func forgetNames(_ effects: inout Effects) {
        let indices = catalog.dropped(
            after: 0, upTo: min(forgetting.forgotten, forgetting.settled))
        guard !indices.isEmpty else { return }
        counters.namesForgotten += indices.count
        vacate(indices)
        // So that a replay knows what it may forget when it needs the room.
        effects.append { encodeForgetting(into: &$0) }
        workInBackground(&effects)
    }

    private mutating func vacate(_ indices: [Int]) {
        catalog.vacate(indices)
        forgetting.noteVacated(indices, at: now.monotonic)
        recount(indices)
    }

    /// Keys that live elsewhere now are counted there, before long.
    private mutating func recount(_ indices: [Int]) {
        guard indices.contains(where: { holdings.keyspaces[$0].contents.records > 0 }) else {
            return
        }
        background.reshaping.begin(
            mixing: [], isExact: background.reshaping.isExact, trees: nil)
    }

    /// Gives the places of forgotten names to others, as far as nothing refers to them.
    private mutating func releaseVacated(_ effects: inout Effects) {
        guard !forgetting.vacated.isEmpty, background.reshaping.isIdle else { return }
        let areOver = forgetting.vacated.map { !isAnythingUnderWay(since: $0.since) }
        let indices = forgetting.takeVacated(areOver)
        // What was under way may have put something there behind the walk.
        let isEmpty = indices.allSatisfy { holdings.keyspaces[$0].contents.records == 0 }
        guard isEmpty else {
            forgetting.noteVacated(indices, at: 0)
            recount(indices)
            return workInBackground(&effects)
        }
        catalog.release(indices)
    }

    /// Whether some operation is under way that began up to a moment.
    private func isAnythingUnderWay(since moment: Deadline) -> Bool {
        writes.hasElement(begunBy: moment) || reads.hasElement(begunBy: moment)
            || gathers.hasElement(begunBy: moment) || forwards.hasElement(begunBy: moment)
            || administrations.hasElement(begunBy: moment)
            || requestIDs.claims.hasElement(begunBy: moment)
    }

    /// An index has another name than before.
    mutating func renew(_ keyspace: Int) {
        holdings.renew(keyspace)
        ledger.renew(keyspace)
        if keyspace < staleness.count { staleness[keyspace] = StalenessFigures() }
        if keyspace < hedging.count { hedging[keyspace] = KeyspaceHedging(links: links.count) }
    }

    // MARK: Settling

    /// Goes on towards having nothing left of what was dropped up to where everybody has promised.
    private mutating func settleNames(_ effects: inout Effects) {
        if forgetting.episode == nil {
            let target = max(
                leastWord(forgetting.promised, \.promised), forgetting.forgotten)
            guard target > forgetting.settled else { return }
            guard !catalog.dropped(after: forgetting.settled, upTo: target).isEmpty else {
                return forgetting.settle(target)
            }
            forgetting.begin(target, at: now.monotonic)
        }
        if case .emptying = forgetting.episode?.stage, background.reshaping.isIdle,
            background.audit.isIdle
        {
            forgetting.advance(to: .hints(link: 0, number: 0))
        }
        if case .hints(let link, let number) = forgetting.episode?.stage {
            let next = dropEmptiedHints(link, from: number, &effects)
            forgetting.advance(
                to: next.map { .hints(link: $0.link, number: $0.number) } ?? .operations)
        }
        if case .operations = forgetting.episode?.stage, let episode = forgetting.episode,
            forgetting.marking == nil, disk.room == .free,
            !isAnythingUnderWay(since: episode.begunAt)
        {
            forgetting.advance(to: .writing)
            mark(promised: forgetting.promised, &effects)
        }
    }

    /// Drops hints that were emptied away.
    ///
    /// - Returns: where to go on; nil at the end.
    private mutating func dropEmptiedHints(
        _ link: Int, from number: UInt64, _ effects: inout Effects
    ) -> (link: Int, number: UInt64)? {
        var (link, from) = (link, number)
        for _ in 0..<Forgetting.hintsMax {
            while link < hints.count, hints[link].first(from: from) == nil {
                (link, from) = (link + 1, 0)
            }
            guard link < hints.count, let (number, hint) = hints[link].first(from: from) else {
                return nil
            }
            from = number + 1
            guard !hint.withRecord({ counts($0) }) else { continue }
            counters.hintsDropped += 1
            removeHint(number, link, &effects)
        }
        return (link, from)
    }

    // MARK: The disk

    /// Promises what can be promised by now, as far as it is of use.
    private mutating func markForgetting(_ effects: inout Effects) {
        guard forgetting.marking == nil, disk.room == .free else { return }
        if forgetting.isBehind {
            guard let known = forgetting.caughtUpTo, background.reshaping.isIdle,
                hasDurableDefinitions
            else { return }
            return mark(promised: known, &effects)
        }
        let promise = leastWord(latestChange, \.equalAt)
        guard !catalog.dropped(after: forgetting.promised, upTo: promise).isEmpty else { return }
        mark(promised: promise, &effects)
    }

    private mutating func mark(promised: UInt64, _ effects: inout Effects) {
        let marker = ForgettingMarker(
            promised: promised, forgotten: forgetting.forgotten, catalog.forgotten)
        forgetting.mark(marker)
        effects.inScope { effects in
            effects.persist {
                $0.append(JournalKind.forgetting.rawValue)
                marker.encode(into: &$0)
            }
            let token = OperationID(kind: .forgetting, index: 0, generation: 0)
            effects.add(.notify(token.rawValue))
        }
    }

    mutating func reachedForgetting(_ effects: inout Effects) {
        let wasBehind = forgetting.isBehind
        forgetting.reachedMarker()
        guard wasBehind, !forgetting.isBehind else { return }
        catalog.learn(.init(known: forgetting.heard))
        // What was buried is gone: it was before this was promised.
        var changed = catalog
        do throws(DecodeError) {
            let names = try changed.exhume()
            guard !names.isEmpty else { return }
            for name in names {
                if let index = catalog.position(named: name) { holdings.revive(index) }
            }
            adopt(changed, &effects)
            persistDefinitions(names, &effects)
        } catch { preconditionFailure("what was read before can be read again") }
    }

    private func encodeForgetting(into buffer: inout ByteBuffer) {
        buffer.append(JournalKind.forgetting.rawValue)
        ForgettingMarker(
            promised: forgetting.promised, forgotten: forgetting.forgotten, catalog.forgotten
        ).encode(into: &buffer)
    }

    /// Appends what a checkpoint says, as `exportState` writes it.
    func exportForgetting(into buffer: inout ByteBuffer) {
        buffer.appendSized { encodeForgetting(into: &$0) }
    }

    mutating func restoreForgetting(_ marker: ForgettingMarker) {
        forgetting.restore(marker)
        catalog.learn(marker.catalog)
    }

    /// Makes room for what a journal defines that is longer than what is remembered at a time: what
    /// was forgotten before the process ended is forgotten again.
    mutating func forgetRestored() {
        emptyRestored()
        let indices = catalog.dropped(after: 0, upTo: forgetting.forgotten)
        catalog.vacate(indices)
        recount(indices)
        walkRestored()
        catalog.release(indices)
    }

    /// What is buried is gone by now, as it was when the journal was written.
    mutating func exhumeRestored() {
        emptyRestored()
        for index in catalog.definitions.indices where catalog.definitions[index].isHaunted {
            holdings.revive(index)
        }
    }

    private mutating func emptyRestored() {
        walkRestored()
        for index in hints.indices {
            var from: UInt64 = 0
            while let (number, hint) = hints[index].first(from: from) {
                from = number + 1
                hint.withRecord { record in
                    if !counts(record) { hints[index].remove(number, key: Array(record.key)) }
                }
            }
        }
    }

    private mutating func walkRestored() {
        while !background.reshaping.isIdle {
            var budget = WorkBudget.unlimited
            reshapeRecords(&budget)
        }
    }
}

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
        guard mayCatchUp(word), clock.observe(word.catalog.emptiedAt) else { return [] }
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

    func mayCatchUp(_ word: ForgettingMarker) -> Bool {
        configuration.plantedBug != .namesForgottenUnheard
            && word.catalog.known > forgetting.promised && word.promised >= word.catalog.known
            && clock.permits(word.catalog.emptiedAt)
    }

    /// What was told is in force.
    mutating func noteTold(_ word: ForgettingMarker?, _ news: [[UInt8]]) {
        if let word, mayCatchUp(word) {
            forgetting.noteTold(word.catalog.known)
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
