import AntiEntropy
import Base
import Coding

/// What this node knows of which deletions everybody has heard of (`Node+Collection`).
struct Collection {
    /// The key ranges of one n, as stamps.
    struct Part {
        /// Whatever this node stamped or is going to stamp up to here, all replicas hold. On disk
        /// before anybody is told.
        var promised = RangeStamps()
        /// Tombstones up to here are forgotten, here or before long.
        var collected = RangeStamps()
        /// The latest that any node is known to have collected.
        var known = RangeStamps()
        /// What others promised, by link index; 0 until they have on the link as it is now.
        var others: [RangeStamps]
        /// Hints that were taken until then may still be handed off: wall-clock milliseconds since
        /// 1970, although no keyspace takes any now.
        var hintedUntil: UInt64 = 0
    }

    /// By n; nil where nothing is known.
    var parts: [Part?] = Array(repeating: nil, count: 65)
    /// Key ranges in which something can be collected one day.
    var candidates = RangeSet()
    /// By n, up to which stamp the states of a range were compacted (`Node+Compaction`).
    var compacted: [RangeStamps?] = Array(repeating: nil, count: 65)
    /// By n, what every node that was linked then was told to be collected.
    var told: [RangeStamps?] = Array(repeating: nil, count: 65)
    /// The oldest tombstone that the last sweep of a range left there; 0 for none.
    var waiting = RangeStamps()
    /// The latest that this node promised: it stamps nothing up to here any more.
    private(set) var latestPromise: UInt64 = 0
    /// Somebody has collected something.
    private(set) var isBegun = false
    /// Which interval of wall-clock time promises were last made in.
    var promisedIn: UInt64 = 0
    /// Which 256th of an interval comes next.
    var nextSlot: UInt64 = 0

    mutating func prepare(_ n: Int, links: Int) {
        guard parts[n] == nil else { return }
        parts[n] = Part(others: Array(repeating: RangeStamps(), count: links))
    }

    /// Every n with a part.
    var replicationFactors: [Int] { parts.indices.filter { parts[$0] != nil } }

    mutating func promise(_ stamp: UInt64, _ n: Int, _ range: UInt8) {
        parts[n]?.promised.raise(range, to: stamp)
        latestPromise = max(latestPromise, stamp)
    }

    mutating func collect(_ stamp: UInt64, _ n: Int, _ range: UInt8) {
        parts[n]?.collected.raise(range, to: stamp)
        learn(stamp, n, range)
    }

    mutating func noteCompacted(_ stamp: UInt64, _ n: Int, _ range: UInt8) {
        var stamps = compacted[n] ?? RangeStamps()
        stamps[range] = stamp
        compacted[n] = stamps
    }

    /// Somebody has collected up to a stamp.
    mutating func learn(_ stamp: UInt64, _ n: Int, _ range: UInt8) {
        parts[n]?.known.raise(range, to: stamp)
        isBegun = isBegun || stamp > 0
    }

    /// A link came up, or went down: what was promised over it has to be said again.
    mutating func forgetPromises(of link: Int) {
        for n in parts.indices { parts[n]?.others[link] = RangeStamps() }
    }
}

/// A journal's payload: what was promised and collected, for some n and ranges. Later ones add to
/// earlier ones.
struct CollectionMarker {
    struct Part {
        let n: Int
        var hintedUntil: UInt64 = 0
        var promised = RangeStamps()
        var collected = RangeStamps()
    }

    var parts: [Part] = []

    init() {}

    init(_ reader: inout ByteReader) throws(DecodeError) {
        while reader.remaining > 0 {
            let n = try CollectionMarker.replicationFactor(&reader)
            if let last = parts.last, n <= last.n { throw .invalid("a collection's n ascend") }
            var part = Part(n: n)
            part.hintedUntil = try reader.integer()
            part.promised = try RangeStamps(&reader)
            part.collected = try RangeStamps(&reader)
            parts.append(part)
        }
    }

    static func replicationFactor(_ reader: inout ByteReader) throws(DecodeError) -> Int {
        let n: UInt8 = try reader.integer()
        guard 2...64 ~= n else { throw .invalid("a collection has no such n") }
        return Int(n)
    }

    /// Appends the journal's payload.
    func encode(into buffer: inout ByteBuffer) {
        buffer.append(JournalKind.collection.rawValue)
        for part in parts {
            buffer.append(UInt8(part.n))
            buffer.append(integer: part.hintedUntil)
            part.promised.encode(into: &buffer)
            part.collected.encode(into: &buffer)
        }
    }
}

/// What one node tells another of what it promised and of what was collected.
struct PromiseMessage {
    static let kind: UInt8 = 24

    struct Part {
        let n: Int
        let promised: RangeStamps
        let known: RangeStamps
    }

    /// The other one has not said its own.
    let asks: Bool
    /// By n, ascending.
    let parts: [Part]

    init(asks: Bool, parts: [Part]) {
        self.asks = asks
        self.parts = parts
    }

    init(_ kind: UInt8, _ flag: UInt8, _ reader: inout ByteReader) throws(DecodeError) {
        guard kind == PromiseMessage.kind else { throw .invalid("message kind is unknown") }
        guard flag < 2 else { throw .invalid("a promise has an unknown flag") }
        var parts: [Part] = []
        while reader.remaining > 0 {
            let n = try CollectionMarker.replicationFactor(&reader)
            if let last = parts.last, n <= last.n { throw .invalid("a promise's n ascend") }
            let promised = try RangeStamps(&reader)
            parts.append(Part(n: n, promised: promised, known: try RangeStamps(&reader)))
        }
        asks = flag == 1
        self.parts = parts
    }

    func encode(into buffer: inout ByteBuffer) {
        for part in parts {
            buffer.append(UInt8(part.n))
            part.promised.encode(into: &buffer)
            part.known.encode(into: &buffer)
        }
    }
}
