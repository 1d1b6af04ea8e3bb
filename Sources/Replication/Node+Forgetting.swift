import Base
import Causality
import Coding

// The names of dropped keyspaces are forgotten once all nodes have emptied them (`Forgetting`).
extension Node {
    /// At a heartbeat.
    mutating func tendForgetting(_ effects: inout Effects) {
        noteCaughtUp()
        releaseVacated(&effects)
        guard !forgetting.isBehind else { return markForgetting(&effects) }
        // A life that ended here had promised before this was written.
        if catalog.isHaunted, forgetting.hasCaughtUp, background.reshaping.isIdle {
            exhume(&effects)
        }
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
        forgetting.words[index].hasCaughtUp = names.hasCaughtUp
        guard noteWord(names.word, index) else { return }
        let isKnown = names.word.catalog.known <= forgetting.promised
        if !forgetting.isBehind {
            if isKnown { catalog.learn(names.word.catalog) } else { counters.namesDoubted += 1 }
            if names.isDurable, names.digest == catalog.digest {
                let reach = clock.reach(of: index)?.rawValue ?? 0
                forgetting.words[index].equalAt = min(clock.latest.rawValue, reach)
            }
        }
        noteBehind(index)
    }

    /// Notes how far another node says it is.
    ///
    /// - Returns: false when a clock of its is ahead.
    mutating func noteWord(_ word: ForgettingMarker, _ index: Int) -> Bool {
        let known = word.catalog.known
        guard clock.permits(word.catalog.emptiedAt),
            known <= forgetting.promised || clock.permits(Stamp(rawValue: known))
        else {
            counters.refusedAhead += 1
            return false
        }
        forgetting.words[index].isHeard = true
        let before = forgetting.words[index]
        forgetting.words[index].promised = max(before.promised, word.promised)
        forgetting.words[index].settled = max(before.settled, word.forgotten)
        if configuration.plantedBug != .namesForgottenUnheard {
            forgetting.words[index].known = max(before.known, known)
        }
        return true
    }

    /// Whether all other members were heard, and none was ahead.
    private mutating func noteCaughtUp() {
        guard !forgetting.hasCaughtUp else { return }
        let isCaughtUp = links.indices.allSatisfy { index in
            let node = links[index].node
            guard node != configuration.node, !isRemoved(node) else { return true }
            let word = forgetting.words[index]
            return links[index].isUp && word.isHeard && word.known <= forgetting.promised
        }
        if isCaughtUp { forgetting.noteCaughtUp() }
    }

    /// Whether a node may hold what is not remembered here.
    func isUnaware(_ index: Int) -> Bool {
        configuration.plantedBug != .namesForgottenUnheard
            && links[index].node != configuration.node
            && forgetting.words[index].promised < forgetting.unremembered
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
        let indices = forgetting.takeVacated(before: earliestBegin)
        // What was under way may have put something there behind the walk.
        let isEmpty = indices.allSatisfy { holdings.keyspaces[$0].contents.records == 0 }
        guard isEmpty else {
            forgetting.noteVacated(indices, at: 0)
            recount(indices)
            return workInBackground(&effects)
        }
        catalog.release(indices)
    }

    /// When the first of all operations that are under way began; the end of time if none is.
    ///
    /// - Complexity: O(operations that there ever were at a time).
    private var earliestBegin: Deadline {
        let first = min(writes.earliestBegin, reads.earliestBegin, gathers.earliestBegin)
        let other = min(
            forwards.earliestBegin, administrations.earliestBegin, requestIDs.claims.earliestBegin)
        return min(first, other)
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
            earliestBegin > episode.begunAt
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

    /// Drops hints of which nobody can say any more whether they count.
    private mutating func dropHints(upTo stamp: Stamp, _ effects: inout Effects) {
        for link in hints.indices {
            var from: UInt64 = 0
            while let (number, hint) = hints[link].first(from: from) {
                from = number + 1
                guard hint.withRecord({ $0.written.stamp <= stamp }) else { continue }
                counters.hintsDropped += 1
                removeHint(number, link, &effects)
            }
        }
    }

    // MARK: The disk

    /// Promises what can be promised by now, as far as it is of use.
    private mutating func markForgetting(_ effects: inout Effects) {
        guard forgetting.marking == nil, disk.room == .free else { return }
        if forgetting.isBehind {
            guard let known = forgetting.caughtUpTo, background.reshaping.isIdle,
                hasDurableDefinitions, earliestBegin > forgetting.toldAt
            else { return }
            dropHints(upTo: catalog.forgotten.emptiedAt, &effects)
            return mark(promised: known, &effects)
        }
        let promise = leastWord(clock.latest.rawValue, \.equalAt)
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
        exhume(&effects)
    }

    private mutating func exhume(_ effects: inout Effects) {
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

    mutating func restoreForgetting(_ marker: ForgettingMarker) throws(DecodeError) {
        guard marker.latest.isShownByClocks else {
            throw .invalid("definitions are forgotten beyond the year 6429")
        }
        forgetting.restore(marker)
        catalog.learn(marker.catalog)
    }

    /// Makes room for what a journal defines that is longer than what is remembered at a time: what
    /// was forgotten before the process ended is forgotten again.
    ///
    /// - Complexity: O(records), of which each call that does something spares as many as it
    ///   forgets names.
    mutating func forgetRestored() {
        let indices = catalog.dropped(after: 0, upTo: forgetting.forgotten)
        guard indices.count >= Forgetting.restoredMin else { return }
        emptyRestored()
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

    /// Lets records follow what was restored.
    mutating func walkRestored() {
        while !background.reshaping.isIdle {
            var budget = WorkBudget.unlimited
            reshapeRecords(&budget)
        }
    }
}
