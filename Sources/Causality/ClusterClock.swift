import Base

/// What the time is, when wall clocks are wrong; and what stamps are near it.
///
/// A wall clock can be a day ahead, alone or together with all others, and be set right at any
/// moment. Two questions have to be answered all the same, and they have different answers.
///
/// **What is the time?** (expiry, ages, everything that is told) What the wall clocks of a majority
/// show. A node that is one of the majority goes by its own wall clock; one that is not goes by the
/// median of the others'. Once confirmed, the time runs on with the monotonic clock while no
/// majority is heard, so a wall clock that steps while its node is cut off changes nothing. When a
/// majority steps, the time steps with it.
///
/// **Up to which time may stamps be?** (`reach`) The bound exists so that one wrong clock cannot
/// drag the others along. But what a majority has reached is no wrong clock's: stamps near it have
/// been acknowledged. So a node's reach never falls because a wall clock went back: it runs on,
/// slower than the time by an eighth, until the time has caught up. Nothing has to be stamped anew,
/// nothing is refused. Reaches of different nodes meet at the later one, which keeps every order
/// that was acknowledged. Only the reach of a life that no majority has confirmed yet can be proved
/// wrong: by a majority that is linked and never came near it.
///
///     A, B, C     all step an hour ahead, write, and step back. Their reaches stay an hour ahead:
///                 the next stamps follow the last ones. Expiry goes by the time, which went back.
///     A           starts an hour ahead, alone, and writes. It meets B and C, who have not been
///                 there: A takes their time, and its reach falls to theirs (`retreat`). What it
///                 wrote is brought to that moment (`ClockCorrection`), before what follows.
///     A, C        stepped ahead while B was down, and back; now C is down. Nobody proves A wrong,
///                 so after a second B's reach follows A's: no write of A and C is undone.
///
/// Two nodes that were never confirmed and do not agree are `isUndecided`: nobody can tell which
/// one is right. Then nothing is stamped, and the earlier of their times counts, so that nothing
/// expires by a clock that is contradicted.
///
/// A reading is only believed when the way of its message is known to be short: it carries back
/// what the receiver's monotonic clock showed when it last sent one (as LinkFreshness's reports
/// do). What was in a stopped process's sockets for a minute is not taken for clocks that are a
/// minute behind.
///
/// What the caller owes it: `advance` before anything else in a step; `resume` with every stamp
/// that was stored before this life; a new replica identity when `receive` says that the reach
/// fell.
///
/// Invariants:
/// - I1: a stamp that is minted or observed is at most `reach + forwardDriftMax`.
/// - I2: the reach is at most what some wall clock showed, plus the time that passed since; stamps
///   never raise it.
/// - I3: `last` never falls but in `retreat`, which no reach comes to that was proven once.
public struct ClusterClock: Equatable, Sendable {
    /// What is known of another node.
    private struct Neighbour: Equatable, Sendable {
        /// Its wall clock, less this node's monotonic one; nil while it is not linked.
        var wallBase: Int64?
        /// How far it had come, as last heard; nil before.
        var reach: Reach?
        /// The `sentAt` of its last reading over this link, and when it came.
        var last: (sentAt: UInt64, at: UInt64)?
        /// It was not taken out of the cluster.
        var isVoter = true

        static func == (a: Neighbour, b: Neighbour) -> Bool {
            a.wallBase == b.wallBase && a.reach == b.reach && a.isVoter == b.isVoter
                && a.last?.sentAt == b.last?.sentAt && a.last?.at == b.last?.at
        }
    }

    /// A time that was reached, and when that was by the monotonic clock.
    private struct Reach: Equatable, Sendable {
        let milliseconds: UInt64
        let at: UInt64

        /// Where it has come to; an eighth slower than time, so that time catches up.
        @inline(__always)
        func reading(at monotonic: UInt64) -> UInt64 {
            let elapsed = monotonic - min(at, monotonic)
            return milliseconds + elapsed - elapsed / 8
        }
    }

    /// Milliseconds by which one node's word moves a reach at most: 400 days.
    private static let claimMax: UInt64 = 34_560_000_000
    /// Milliseconds for which a majority may have to be heard before reaches meet without one.
    private static let settlingMilliseconds: UInt64 = 1_000

    private var stamps: HybridLogicalClock
    /// By link; this node's own place is `own`.
    private var neighbours: [Neighbour]
    private let own: Int
    /// Since when it is unknown whether a majority has come as far as somebody; nil when known.
    private var isOpenSince: UInt64?
    /// A majority has been as far as this node.
    private var isProven = false
    /// The monotonic clock, milliseconds.
    private var monotonic: UInt64
    /// The wall clock less the monotonic one.
    private var wallBase: Int64
    /// The same of the time that a majority confirmed; nil before.
    private var trustedBase: Int64?
    private var ahead: Reach
    /// The latest stamp of lives before this one.
    private var resumed = Stamp(rawValue: 0)
    /// The latest stamp that this life took from elsewhere.
    private var taken = Stamp(rawValue: 0)
    /// What the wall clock showed when this life began.
    private let begun: UInt64
    /// Whether a new identity can be had.
    public enum Retreat: Sendable {
        case possible
        /// Once what is under way is over.
        case later
        /// The reach stays where it is.
        case impossible
    }

    public var retreat = Retreat.possible
    /// No linked node's clock is near this one's, and no majority has confirmed either.
    public private(set) var isUndecided = false
    /// What the time is, milliseconds since 1970.
    public private(set) var time: UInt64
    /// The latest time by which this node stamps, milliseconds since 1970.
    public private(set) var reach: UInt64

    /// - Parameters:
    ///   - nodes: of the cluster, this one included.
    ///   - own: this node's place among them.
    ///   - forwardDriftMax: milliseconds that two good clocks differ at most.
    public init(nodes: Int, own: Int, now: Instant, forwardDriftMax: UInt64 = 500) {
        let wall = min(now.wallMilliseconds, ClockReading.millisecondsMax)
        stamps = HybridLogicalClock(milliseconds: wall, forwardDriftMax: forwardDriftMax)
        neighbours = Array(repeating: Neighbour(), count: max(1, nodes))
        self.own = own
        monotonic = now.monotonic / 1_000_000
        wallBase = Int64(wall) - Int64(monotonic)
        ahead = Reach(milliseconds: wall, at: monotonic)
        (time, reach, begun) = (wall, wall, wall)
    }

    // MARK: What the time is

    /// Takes what the clocks of this machine show.
    ///
    /// - Returns: the same moment by the cluster's time.
    @inline(__always)
    public mutating func advance(to now: Instant) -> Instant {
        monotonic = now.monotonic / 1_000_000
        wallBase =
            Int64(min(now.wallMilliseconds, ClockReading.millisecondsMax)) - Int64(monotonic)
        update()
        return Instant(monotonic: now.monotonic, wallMilliseconds: time)
    }

    @inline(__always)
    private mutating func update() {
        time = UInt64(max(0, base + Int64(monotonic)))
        let running = ahead.reading(at: monotonic)
        reach = max(time, running)
        if time >= running { ahead = Reach(milliseconds: time, at: monotonic) }
    }

    @inline(__always)
    private var base: Int64 {
        if let trustedBase {
            return (wallBase - trustedBase).magnitude <= drift ? wallBase : trustedBase
        }
        return isUndecided ? leastBase : wallBase
    }

    private var drift: UInt64 { stamps.forwardDriftMax }

    private var leastBase: Int64 {
        neighbours.reduce(wallBase) { min($0, $1.wallBase ?? $0) }
    }

    /// Whether a majority has confirmed the time in this life.
    public var isConfirmed: Bool { trustedBase != nil || votersCount == 1 }

    /// Milliseconds that this node's wall clock is ahead of the time that the others agree on.
    public var wallAheadMilliseconds: Int64 { wallBase + Int64(monotonic) - Int64(time) }

    /// Milliseconds that another node's wall clock is ahead of this one's; nil while unknown.
    public func aheadMilliseconds(of link: Int) -> Int64? {
        neighbours[link].wallBase.map { $0 - wallBase }
    }

    // MARK: Stamps

    /// The last stamp that was minted or observed.
    public var last: Stamp { stamps.last }

    /// The latest stamp that a write acknowledged by now can have, as far as this node knows.
    public var latest: Stamp { max(stamps.last, Stamp(milliseconds: reach)) }

    /// The next stamp.
    @inline(__always)
    public mutating func tick() -> Stamp { stamps.tick(reach) }

    /// Learns a stamp from outside.
    ///
    /// - Returns: false, and nothing is learned, when it is further ahead than the bound.
    @inline(__always)
    public mutating func observe(_ stamp: Stamp) -> Bool {
        guard stamps.observe(stamp, reach) else { return false }
        if taken < stamp { taken = stamp }
        return true
    }

    /// Learns a stamp of this node's own, or of a state that it has taken before.
    ///
    /// - Returns: as `observe`.
    @inline(__always)
    public mutating func follow(_ stamp: Stamp) -> Bool { stamps.observe(stamp, reach) }

    /// Whether a stamp is within the bound.
    @inline(__always)
    public func permits(_ stamp: Stamp) -> Bool { stamp.milliseconds <= reach + drift }

    /// Learns a stamp that a former life of this node stored: its reach was that far.
    public mutating func resume(after stamp: Stamp) {
        guard stamp > resumed, stamp.milliseconds < ClockReading.millisecondsMax else { return }
        resumed = stamp
        stamps.resume(after: stamp)
        let milliseconds = stamp.milliseconds - min(drift, stamp.milliseconds)
        guard milliseconds > ahead.reading(at: monotonic) else { return }
        ahead = Reach(milliseconds: milliseconds, at: monotonic)
        update()
    }

    /// Stamps of former lives beyond this were brought to an earlier moment.
    public mutating func disown(beyond milliseconds: UInt64) {
        guard resumed.milliseconds > milliseconds else { return }
        resumed = Stamp(milliseconds: milliseconds)
        stamps.restart(max(time, milliseconds))
        ahead = Reach(milliseconds: min(reach, max(time, milliseconds)), at: monotonic)
        update()
    }

    /// How far another node has come, as far as was heard; nil before.
    public func reach(of link: Int) -> Stamp? {
        neighbours[link].reach.map { Stamp(milliseconds: max($0.reading(at: monotonic), time)) }
    }

    // MARK: Other nodes

    /// What this node tells another one.
    public func reading(for link: Int) -> ClockReading {
        let last = neighbours[link].last
        let wall = UInt64(max(0, wallBase + Int64(monotonic)))
        return ClockReading(
            wall: wall, time: time, reach: reach, isProven: isProven || votersCount == 1,
            timing: ClockReading.Timing(
                sentAt: max(1, monotonic), echo: last?.sentAt ?? 0,
                held: last.map { monotonic - min($0.at, monotonic) } ?? 0))
    }

    /// A link came up or broke: nothing is known of how long its messages take.
    public mutating func forget(link: Int) {
        neighbours[link].wallBase = nil
        neighbours[link].reach = nil
        neighbours[link].last = nil
    }

    /// Whether a node counts among those of which a majority is one.
    public mutating func setVoter(_ isVoter: Bool, link: Int) {
        neighbours[link].isVoter = isVoter
        // Who is alone is its own majority.
        if votersCount == 1 { (trustedBase, isUndecided) = (nil, false) }
    }

    /// Takes what another node tells.
    ///
    /// - Returns: whether this node's reach fell: it needs a new identity, and what it stamped is
    ///   to be brought to the present.
    public mutating func receive(_ told: ClockReading, link: Int) -> Bool {
        guard link != own else { return false }
        neighbours[link].last = (told.timing.sentAt, monotonic)
        let spent = told.timing.echo + told.timing.held
        guard told.timing.echo > 0, spent <= monotonic, monotonic - spent <= drift / 2 else {
            return false
        }
        let way = Int64(monotonic - spent) / 2
        neighbours[link].wallBase = Int64(told.wall) + way - Int64(monotonic)
        neighbours[link].reach = Reach(milliseconds: told.reach, at: monotonic)
        if trustedBase == nil, told.isProven {
            trustedBase = Int64(told.time) + way - Int64(monotonic)
        }
        vote()
        update()
        return isConfirmed && compareReaches(told)
    }

    /// Finds what a majority of wall clocks show.
    private mutating func vote() {
        var bases = [wallBase]
        for (link, neighbour) in neighbours.enumerated() where link != own && neighbour.isVoter {
            if let base = neighbour.wallBase { bases.append(base) }
        }
        bases.sort()
        let median = bases[(bases.count - 1) / 2]
        let count = bases.reduce(0) { $0 + (($1 - median).magnitude <= drift ? 1 : 0) }
        if count >= majority {
            trustedBase = (wallBase - median).magnitude <= drift ? wallBase : median
        }
        // Twice the bound, because the two may differ by the bound and the way adds to it.
        isUndecided =
            trustedBase == nil && votersCount > 1 && bases.count > 1
            && bases.reduce(0) { $0 + (($1 - wallBase).magnitude <= 2 * drift ? 1 : 0) } == 1
    }

    private var votersCount: Int {
        neighbours.indices.reduce(0) { $0 + ($1 == own || neighbours[$1].isVoter ? 1 : 0) }
    }

    private var majority: Int { votersCount / 2 + 1 }

    /// Finds how far a majority has come.
    ///
    /// - Returns: whether this node's reach fell.
    private mutating func compareReaches(_ told: ClockReading) -> Bool {
        let (least, most) = commonReach
        if !isProven, retreat != .impossible, reach > max(most, time) + 2 * drift {
            guard retreat == .possible else { return false }
            ahead = Reach(milliseconds: max(most, time), at: monotonic)
            update()
            stamps.restart(reach)
            isProven = true
            return true
        }
        if least > reach { raise(to: least) }
        if told.isProven, told.reach > reach + drift, told.reach < time + ClusterClock.claimMax {
            raise(to: told.reach)
            isProven = true
        }
        guard least + drift < max(most, reach), !isProven || reach + drift < most else {
            (isProven, isOpenSince) = (true, nil)
            return false
        }
        let since = isOpenSince ?? monotonic
        isOpenSince = since
        if monotonic - since >= ClusterClock.settlingMilliseconds {
            if most > reach { raise(to: most) }
            (isProven, isOpenSince) = (true, nil)
        }
        return false
    }

    /// How far a majority has come, at least and at most: nothing is known of nodes that are not
    /// linked.
    private var commonReach: (least: UInt64, most: UInt64) {
        var known: [UInt64] = []
        for (link, neighbour) in neighbours.enumerated() where link == own || neighbour.isVoter {
            if link == own {
                known.append(reach)
            } else if let other = neighbour.reach {
                known.append(other.reading(at: monotonic))
            }
        }
        known.sort()
        let unknown = votersCount - known.count
        let least = majority > unknown ? known[majority - 1 - unknown] : 0
        return (least, known[min(majority, known.count) - 1])
    }

    private mutating func raise(to milliseconds: UInt64) {
        ahead = Reach(milliseconds: milliseconds, at: monotonic)
        update()
    }

    /// The stamp at which that is set which was written before this node's reach fell: later than
    /// all that was seen of others until then, and that stays; earlier than what follows, also by
    /// another node whose clock is a little behind.
    ///
    ///     A           starts an hour ahead. It hears B, which hears nothing of A: B's write of a
    ///                 key arrives at A, where a client reads it and writes the key. Then B hears
    ///                 A, and A's reach falls. A's write was acknowledged as the later one and has
    ///                 to be later than B's, which everybody else holds.
    public var correctionLimit: Stamp {
        let seen = max(taken, resumed)
        // One stamp that does not stay hides how late those are that do. And what this node stamped
        // itself at first may have come into reach. Nothing that stays is later than this.
        guard permits(seen), begun > reach + drift else {
            return Stamp(milliseconds: reach + drift)
        }
        return max(Stamp(milliseconds: reach - min(reach, 2 * drift)), seen.next)
    }
}
