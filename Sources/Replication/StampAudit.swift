import Base
import Causality

/// The search for what a wrong clock stamped (`ClockCorrection`), which is stamped anew, and for
/// the latest stamp of all else.
///
/// What is latest is known otherwise: no stamp is stored without being noted. But one from a clock
/// that was far ahead says nothing about those below it. So all records and hints are looked at,
/// some a step, and whoever asks for the latest stamp meanwhile waits (`Node+Emptying`).
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

    mutating func begin() { place = .records(cursor: 0) }

    /// Somebody waits for the latest stamp.
    mutating func note(_ asker: Asker) {
        if askers.count < StampAudit.askersMax { askers.append(asker) }
    }

    mutating func advance(to place: Place?) { self.place = place }

    mutating func takeAskers() -> [Asker] {
        defer { askers = [] }
        return askers
    }
}

extension Node {
    /// The latest stamp that this node minted, learned of or holds; nil while what a wrong clock
    /// put further ahead is brought to where it belongs.
    func latestStamp() -> Stamp? {
        guard correction == nil else { return nil }
        return hints.reduce(max(clock.latest, holdings.latest)) { max($0, $1.latest) }
    }

    mutating func audit(_ budget: inout WorkBudget, _ effects: inout Effects) {
        switch background.audit.place {
        case .records(let cursor):
            var doubted: [[UInt8]] = []
            var latest: [(Stamp, RecordTally)] = []
            let next = store.visit(from: cursor, &budget) { entry, _ in
                let record = entry.record
                if isDoubted(record.dot) {
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
        endCorrection(&effects)
        let latest = latestStamp() ?? clock.latest
        for asker in background.audit.takeAskers() {
            switch asker {
            case .own(let id): toldTime(id, latest, by: configuration.node, &effects)
            case .other(let node, let number): tellTime(latest, number, to: node, &effects)
            }
        }
    }
}
