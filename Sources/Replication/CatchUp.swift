import AntiEntropy
import Base
import Causality
import Coding
import Ring

/// How far a node that fell behind has dropped what may have been deleted meanwhile.
///
/// The ranges are walked some records a step. A piece of the walk is one run of hashes of a range:
/// the journal learns that everything in it is dropped, and then of what stays of it. Only when all
/// is dropped does the node say that it is no longer behind, and begin to be refilled; a process
/// that ends before begins again.
struct CatchUp {
    /// By n, up to which stamp a range is dropped; 0 for none of it.
    private(set) var targets: [(n: Int, stamps: RangeStamps)] = []
    private(set) var place: (range: UInt8, hash: UInt64)?

    var isIdle: Bool { place == nil }

    /// Begins, or begins anew when there is more to drop than was known.
    mutating func begin(_ missed: [(n: Int, stamps: RangeStamps)]) {
        let isKnown = missed.allSatisfy { one in
            targets.contains { $0.n == one.n && $0.stamps == one.stamps }
        }
        guard isIdle || !isKnown else { return }
        targets = missed
        place = (0, 0)
    }

    /// - Parameter hash: where to go on in the range; nil when it has been walked.
    mutating func advance(_ range: UInt8, to hash: UInt64?) {
        if let hash {
            place = (range, hash)
        } else {
            place = range == .max ? nil : (range + 1, 0)
        }
    }

    /// Up to which stamp the records of an n are dropped in a range; nil for none.
    func limit(_ n: Int, _ range: UInt8) -> Stamp? {
        guard let stamps = targets.first(where: { $0.n == n })?.stamps, stamps[range] > 0 else {
            return nil
        }
        return Stamp(rawValue: stamps[range])
    }
}

/// A run of hashes of one range whose records of one n the journal is to drop: `n (1) | range (1) |
/// first hash (8) | last hash (8)`.
struct DroppedPiece {
    let n: Int
    let range: KeyRange
    let hashes: ClosedRange<UInt64>

    init(n: Int, range: KeyRange, hashes: ClosedRange<UInt64>) {
        (self.n, self.range, self.hashes) = (n, range, hashes)
    }

    init(_ reader: inout ByteReader) throws(DecodeError) {
        n = try CollectionMarker.replicationFactor(&reader)
        range = KeyRange(try reader.integer(UInt8.self))
        let (first, last): (UInt64, UInt64) = (try reader.integer(), try reader.integer())
        try reader.end()
        guard first <= last else { throw .invalid("a run of hashes ends before it begins") }
        hashes = first...last
    }

    /// Appends the journal's payload.
    func encode(into buffer: inout ByteBuffer) {
        buffer.append([JournalKind.dropped.rawValue, UInt8(n), range.rawValue])
        buffer.append(integer: hashes.lowerBound)
        buffer.append(integer: hashes.upperBound)
    }
}

extension Node {
    /// Drops the next piece.
    ///
    /// What goes on past the limit stays as it is, with the old values inside it: whoever promised
    /// up to the limit had what is on this older disk, so all others have that state too, with
    /// whatever it removed, and have neither collected nor compacted it.
    mutating func catchUp(_ budget: inout WorkBudget, _ effects: inout Effects) {
        guard let place = background.catchUp.place else { return }
        let range = KeyRange(place.range)
        let targets = background.catchUp.targets.filter { $0.stamps[place.range] > 0 }
        guard !targets.isEmpty, configuration.plantedBug != .behindKeepsAll else {
            background.catchUp.advance(place.range, to: nil)
            return endCatchUp(&effects)
        }
        var (gone, kept) = ([RecordTable.Entry](), [RecordTable.Entry]())
        let next = store.visit(range, from: place.hash, &budget) { entry in
            let record = entry.record
            let n = catalog.active[catalog.index(of: record.key)].n
            guard let limit = background.catchUp.limit(n, place.range) else { return 0 }
            if record.dot.stamp <= limit {
                gone.append(entry)
                return 0
            }
            guard isKeptOnDisk(record) else { return 0 }
            kept.append(entry)
            return Node.movedBytes(record)
        }
        let hashes = place.hash...(next.map { $0 - 1 } ?? .max)
        for target in targets {
            let piece = DroppedPiece(n: target.n, range: range, hashes: hashes)
            effects.append { piece.encode(into: &$0) }
        }
        for entry in kept { keepWhole(entry.record, &effects) }
        for entry in gone { remove(entry, in: range) }
        counters.droppedBehind += gone.count
        background.catchUp.advance(place.range, to: next)
        endCatchUp(&effects)
    }

    /// Forgets a record that a walk came by.
    mutating func remove(_ entry: RecordTable.Entry, in range: KeyRange) {
        takeOut(entry.record, entry.tally, .init(hash: entry.hash, range: range))
        store.remove(entry, in: range)
    }

    /// All is dropped: this node has what it holds from now on.
    private mutating func endCatchUp(_ effects: inout Effects) {
        guard background.catchUp.isIdle else { return }
        var marker = CollectionMarker()
        for (n, stamps) in background.catchUp.targets {
            collection.prepare(n, links: links.count)
            var promised = RangeStamps()
            for range in KeyRange.all.map(\.rawValue) {
                promised[range] = min(stamps[range], collection.parts[n]?.known[range] ?? 0)
                collection.promise(promised[range], n, range)
            }
            marker.parts.append(.init(n: n, promised: promised))
        }
        forgetting.noteDropped()
        refill = Refill(since: clock.latest)
        announce(marker, &effects)
        inquireAll(&effects)
    }

    /// Takes back what the journal says about what was dropped.
    mutating func restoreDropped(_ piece: DroppedPiece) {
        var gone: [RecordTable.Entry] = []
        var next: UInt64? = piece.hashes.lowerBound
        while let hash = next {
            var budget = WorkBudget(units: 16_384, bytes: .max)
            next = store.visit(piece.range, from: hash, &budget) { entry in
                let n = catalog.active[catalog.index(of: entry.record.key)].n
                if piece.hashes.contains(entry.hash), n == piece.n { gone.append(entry) }
                return 0
            }
            if let place = next, place > piece.hashes.upperBound { next = nil }
        }
        for entry in gone { remove(entry, in: piece.range) }
    }
}
