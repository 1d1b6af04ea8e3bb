import AntiEntropy
import Causality
import Coding
import Ring

/// How far a node that cannot vouch for its memory has been refilled.
struct Refill {
    /// The trees of one n.
    struct Part {
        /// Ranges that this node keeps.
        let kept: RangeSet
        /// Ranges that it answers reads of: complete, and that is on disk.
        var whole: RangeSet
        /// Ranges of which nothing is lacked any more.
        var complete: RangeSet
        /// By link index, then by key range.
        var coverage: [[Coverage]]
        /// Up to which stamp what is here was in doubt when the coverage of a range began.
        private(set) var doubted = RangeStamps()
        /// Up to which stamp it no longer is (`Node+CatchUp`).
        private(set) var cleared = RangeStamps()
        /// Ranges that are in doubt.
        private(set) var inDoubt = RangeSet()

        init(kept: RangeSet, links: Int) {
            self.kept = kept
            (whole, complete) = (RangeSet(), RangeSet())
            let nothing = Array(repeating: Coverage(), count: KeyRange.count)
            coverage = Array(repeating: nothing, count: links)
        }

        mutating func trustAll() { (whole, complete) = (kept, kept) }

        /// What is here of a range has come to be in doubt: it is not whole.
        mutating func doubt(_ range: UInt8, upTo stamp: UInt64) {
            doubted[range] = stamp
            if stamp > cleared[range] { inDoubt.insert(range) }
            whole.remove(range)
            complete.remove(range)
            for link in coverage.indices { coverage[link][Int(range)] = Coverage() }
        }

        /// What is here of a range is in doubt no longer.
        mutating func clear(_ range: UInt8, upTo stamp: UInt64) {
            cleared[range] = stamp
            if stamp >= doubted[range] { inDoubt.remove(range) }
        }
    }

    /// By n; nil where no keyspace is known to have it.
    var parts: [Part?] = Array(repeating: nil, count: 65)
    /// Other nodes, by link index, that were found to know the same keyspaces.
    var agreed: UInt64 = 0
    /// Other nodes, by link index, that an operator gave up.
    var givenUp: UInt64 = 0
    /// How far other nodes have told which request ids there are.
    var requests = ToldRequests()
    /// What is on its way to the disk.
    var marking: WholenessMarker?
    /// Other nodes were not told yet in which ranges this one has become whole.
    var isUntold = false
    /// Only what was asked later counts: before, this node may have held more.
    private(set) var since: Stamp
    /// Other nodes, by link index, that have answered something that was asked later. Links keep
    /// their order, so what comes behind that was asked later too.
    private var answering: UInt64 = 0

    init(since: Stamp) { self.since = since }

    /// What was asked before counts no more.
    mutating func begin(since moment: Stamp) { (since, answering) = (moment, 0) }

    /// Whether what is here of some range is in doubt.
    var isBehind: Bool { parts.contains { $0.map { !$0.inDoubt.isEmpty } ?? false } }

    /// Another node answers what was asked at a moment.
    mutating func heard(_ index: Int, asked moment: Stamp) {
        if moment > since { answering |= 1 << UInt64(index) }
    }

    func isAnswering(_ index: Int) -> Bool { answering & 1 << UInt64(index) != 0 }

    /// The clock goes back to a moment.
    mutating func bringBack(to moment: Stamp) { since = min(since, moment) }

    /// The list of members is closed: what was covered before is not by its rules.
    mutating func beginAnew() {
        parts = Array(repeating: nil, count: 65)
        requests = ToldRequests()
    }

    /// The other node has begun a new life, in which it may not be whole: what is not covered yet
    /// is another matter now. What is covered stays so.
    mutating func beginAnew(with index: Int) {
        requests.beginAnew(with: index)
        for n in parts.indices {
            for range in parts[n]?.coverage[index].indices ?? 0..<0
            where parts[n]?.coverage[index][range].isComplete == false {
                parts[n]?.coverage[index][range] = Coverage()
            }
        }
    }
}

/// How far other nodes, by link index, have told which request ids there are.
struct ToldRequests {
    /// That have told all.
    private(set) var told: UInt64 = 0
    /// That were asked since the last heartbeat.
    private var asked: UInt64 = 0
    /// Where the next page begins.
    private var places: [UInt64] = Array(repeating: 0, count: 64)

    /// - Returns: where the page to ask for begins; nil when there is none to ask for now.
    mutating func ask(_ index: Int) -> UInt64? {
        guard !(told | asked).isSet(index) else { return nil }
        asked |= 1 << UInt64(index)
        return places[index]
    }

    /// A heartbeat: what was not answered is asked for again.
    mutating func askAgain() { asked = 0 }

    func awaits(_ place: UInt64, _ index: Int) -> Bool {
        !told.isSet(index) && places[index] == place
    }

    /// - Parameter place: where the next page begins; nil behind the last.
    mutating func advance(_ index: Int, to place: UInt64?) {
        asked &= ~(1 << UInt64(index))
        if let place { places[index] = place } else { told |= 1 << UInt64(index) }
    }

    /// Places are those of a life.
    mutating func beginAnew(with index: Int) { places[index] = 0 }
}

/// Which key ranges of a node are whole, as the journal has it. The last one counts. A journal
/// without any belongs to a node that is not whole: a new directory, a lost disk, or one that was
/// lost again before the first range was whole.
struct WholenessMarker {
    /// Of the ring that the node's ranges follow from; under another one the marker says nothing.
    let ringDigest: UInt64
    /// Everything is whole.
    let isOver: Bool
    /// Where everything is whole, the node's place in the preference list of each range: which
    /// ranges that are is not known any more under another ring.
    let ranks: [UInt8]
    /// The whole ranges by n, ascending; empty when everything is.
    let parts: [(n: UInt8, whole: RangeSet)]

    init(ringDigest: UInt64, isOver ranks: [UInt8]) {
        (self.ringDigest, isOver, self.ranks, parts) = (ringDigest, true, ranks, [])
    }

    init(ringDigest: UInt64, _ parts: [(n: UInt8, whole: RangeSet)]) {
        (self.ringDigest, isOver, ranks, self.parts) = (ringDigest, false, [], parts)
    }

    init(_ reader: inout ByteReader) throws(DecodeError) {
        ringDigest = try reader.integer()
        let flag: UInt8 = try reader.integer()
        guard flag < 2 else { throw .invalid("a marker of wholeness has an unknown flag") }
        isOver = flag == 1
        ranks = isOver ? Array(try reader.slice(KeyRange.count)) : []
        var parts: [(n: UInt8, whole: RangeSet)] = []
        while reader.remaining > 0 {
            let n: UInt8 = try reader.integer()
            guard 2...64 ~= n, parts.last.map({ $0.n < n }) ?? true else {
                throw .invalid("a marker of wholeness has no such n")
            }
            parts.append((n, try RangeSet(&reader)))
        }
        self.parts = parts
    }

    /// Appends the journal's payload.
    func encode(into buffer: inout ByteBuffer) {
        buffer.append(JournalKind.wholeness.rawValue)
        buffer.append(integer: ringDigest)
        buffer.append(UInt8(isOver ? 1 : 0))
        buffer.append(ranks)
        for part in parts {
            buffer.append(part.n)
            part.whole.encode(into: &buffer)
        }
    }

    func isEqual(to other: WholenessMarker) -> Bool {
        isOver == other.isOver && parts.elementsEqual(other.parts, by: ==)
    }
}
