import Base
import Causality

/// The search for the latest stamp that a node holds, after a stamp was found that its clock and
/// another node's do not believe.
///
/// What is latest is known otherwise: no stamp is stored without being noted. But one from a clock
/// that was far ahead says nothing about those below it, and it is stamped anew before anything is
/// emptied. So all records and hints are looked at, some a step.
struct StampAudit {
    enum Place {
        case records(cursor: UInt64)
        case hints(link: Int, number: UInt64)
    }

    enum Asker {
        case own(OperationID)
        case other(NodeID, number: UInt64)
    }

    static let askersMax = 64

    private(set) var place: Place?
    private(set) var askers: [Asker] = []

    var isIdle: Bool { place == nil }

    /// Somebody waits for the latest stamp.
    ///
    /// - Returns: whether the search begins only now.
    mutating func begin(for asker: Asker) -> Bool {
        if askers.count < StampAudit.askersMax { askers.append(asker) }
        guard place == nil else { return false }
        place = .records(cursor: 0)
        return true
    }

    mutating func advance(to place: Place?) { self.place = place }

    mutating func takeAskers() -> [Asker] {
        defer { askers = [] }
        return askers
    }
}

extension Node {
    /// The latest stamp that this node minted, learned of or holds; nil while it is being looked
    /// for, as what a wrong clock put further ahead is brought back to the present first.
    func latestStamp() -> Stamp? {
        guard background.audit.isIdle else { return nil }
        var latest = max(clock.last, Stamp(milliseconds: now.wallMilliseconds))
        for queue in hints { latest = max(latest, queue.latest) }
        latest = max(latest, holdings.latest)
        return isDoubted(latest) ? nil : latest
    }

    /// Begins to look for the latest stamp.
    mutating func beginAudit(for asker: StampAudit.Asker, _ effects: inout Effects) {
        if background.audit.begin(for: asker) {
            holdings.forgetLatest()
            for index in hints.indices { hints[index].forgetLatest() }
        }
        workInBackground(&effects)
    }

    mutating func audit(_ budget: inout WorkBudget, _ effects: inout Effects) {
        switch background.audit.place {
        case .records(let cursor):
            var doubted: [[UInt8]] = []
            var latest: [(Stamp, RecordTally)] = []
            let next = store.visit(from: cursor, &budget) { entry, _ in
                let record = entry.record
                if isDoubted(record.dot.stamp) {
                    doubted.append(Array(record.key))
                } else {
                    latest.append((record.dot.stamp, entry.tally))
                }
                return 0
            }
            for (stamp, tally) in latest { holdings.noteLatest(stamp, tally) }
            restampDoubted(doubted, &effects)
            background.audit.advance(
                to: next.map { .records(cursor: $0) } ?? .hints(link: 0, number: 0))
        case .hints(let link, let number):
            guard link < hints.count else { return endAudit(&effects) }
            let next = auditHints(link, from: number, &budget, &effects)
            background.audit.advance(
                to: next.map { .hints(link: link, number: $0) }
                    ?? .hints(link: link + 1, number: 0))
        case nil: break
        }
    }

    private mutating func endAudit(_ effects: inout Effects) {
        background.audit.advance(to: nil)
        // What was stored ahead meanwhile is refused by whoever asked.
        let latest = latestStamp() ?? max(clock.last, holdings.latest)
        for asker in background.audit.takeAskers() {
            switch asker {
            case .own(let id): toldTime(id, latest, by: configuration.node, &effects)
            case .other(let node, let number): tellTime(latest, number, to: node, &effects)
            }
        }
    }
}
