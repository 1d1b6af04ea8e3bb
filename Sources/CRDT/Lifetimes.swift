import Base
import Causality

/// What is added to a key that ends inherits: who gave it which time.
public struct Inheritance: Sendable {
    let order: Dot
    /// Wall-clock milliseconds since 1970.
    let milliseconds: UInt64
}

/// The lifetimes of one key, asked when something of it ends.
struct Lifetimes {
    /// The one that was given last first.
    private let all: [Lifetime]

    init(_ entries: [DotEntry<Lifetime>]) {
        // Most keys that end have one.
        guard entries.count != 1 else {
            all = [entries[0].payload]
            return
        }
        all = entries.map(\.payload).sorted {
            $0.order == $1.order ? $1.milliseconds < $0.milliseconds : $1.order < $0.order
        }
    }

    var isEmpty: Bool { all.isEmpty }

    /// The lifetime of a write; nil for none.
    func lifetime(of dot: Dot) -> Lifetime? { all.first { $0.covers(dot) } }

    /// When a write ends; 0 for never.
    func deadline(of dot: Dot) -> UInt64 { lifetime(of: dot)?.milliseconds ?? 0 }

    func isOver(_ dot: Dot, _ now: UInt64) -> Bool { lifetime(of: dot)?.isOver(now) ?? false }

    /// The last one that ends at a time.
    func last(at time: UInt64) -> Lifetime? { all.first { $0.milliseconds == time } }

    /// When everything ends that a context has seen, if that can be told without looking at it: one
    /// time was given to all, and inherited by what was added since.
    func commonTime(_ context: VersionVector) -> UInt64? {
        guard let time = all.first?.milliseconds,
            all.allSatisfy({ $0.milliseconds == time })
        else { return nil }
        if all.count == 1 {
            return all[0].before.isEmpty && all[0].covered.dominates(context) ? time : nil
        }
        var covered = VersionVector()
        func start(_ lifetime: Lifetime) -> UInt64 {
            lifetime.before.entries.first?.stamp.rawValue ?? 0
        }
        for lifetime in all.sorted(by: { start($0) < start($1) })
        where covered.dominates(lifetime.before) {
            covered.join(lifetime.covered)
        }
        return covered.dominates(context) ? time : nil
    }

    /// The balances at which a counter's account has to be looked at: ascending, the present one
    /// last.
    func balances(_ identity: ReplicaIdentity, _ account: Account) -> [Account.Balance] {
        guard account.isLive else { return [] }
        return all.compactMap { $0.balances[identity] }
            .filter { account.reset.stamp < $0.stamp && $0.stamp < account.current.stamp }
            .sorted { $0.stamp < $1.stamp } + [account.current]
    }

    /// The same of a running total in a field or a member.
    func balances<Part: CountedPart>(
        _ part: DotEntry<Part>, after ended: Stamp, _ noted: (Lifetime) -> EndedTotals<Part>?
    ) -> [DotEntry<Part>] {
        guard let since = part.payload.since else { return [part] }
        return all.compactMap(noted).flatMap(\.parts).filter {
            $0.dot.identity == part.dot.identity && since <= $0.dot.stamp
                && ended < $0.dot.stamp && $0.dot.stamp < part.dot.stamp
        }.sorted { $0.dot < $1.dot } + [part]
    }

    /// How much of a running total is over. It ends from its beginning: what was added later and
    /// would end earlier stays as long as what it was added to.
    ///
    /// - Parameters:
    ///   - dots: of its balances, ascending.
    ///   - postponed: takes in what has to stay for that, with the time until when.
    /// - Returns: how many of the balances are over.
    func over(_ dots: [Dot], _ now: UInt64, postponed: inout Lifetime?) -> Int {
        let count = dots.prefix { isOver($0, now) }.count
        guard count < dots.count else { return count }
        let time = deadline(of: dots[count])
        for dot in dots.dropFirst(count) where time > 0 && isOver(dot, now) {
            guard let later = lifetime(of: dot)?.postponed(to: time) else { continue }
            if postponed?.join(later) == nil { postponed = later }
        }
        return count
    }

    /// When a running total ends as a whole; 0 for never.
    func deadline(ofAll dots: [Dot]) -> UInt64 {
        var latest: UInt64 = 0
        for dot in dots {
            let time = deadline(of: dot)
            if time == 0 { return 0 }
            latest = max(latest, time)
        }
        return latest
    }
}
