import AntiEntropy
import Base
import Causality
import Coding
import RESP
import Ring

// When a range is whole, and how the disk comes to know.
extension Node {
    /// Notes a range of which nothing is lacked any more.
    mutating func complete(_ range: KeyRange, _ n: Int) {
        guard let part = refill.parts[n], part.kept.contains(range.rawValue),
            !part.complete.contains(range.rawValue), clear(range, n), generation.isClosed,
            lacksNothing(range, n, part)
        else { return }
        refill.parts[n]?.complete.insert(range.rawValue)
    }

    private func lacksNothing(_ range: KeyRange, _ n: Int, _ part: Refill.Part) -> Bool {
        var coversAll = true
        var wholes = 0
        for node in ring.primaries(of: range, replicationFactor: n)
        where node != configuration.node {
            guard let index = linkIndex(of: node) else { continue }
            let coverage = part.coverage[index][Int(range.rawValue)]
            if coverage.isComplete {
                wholes += coverage.isOfWhole ? 1 : 0
            } else if !refill.givenUp.isSet(index) {
                coversAll = false
            }
        }
        return coversAll || wholes >= wholesNeeded(n)
    }

    /// How many whole replicas surely include one that has a write which this node acknowledged.
    private func wholesNeeded(_ n: Int) -> Int {
        if configuration.plantedBug == .refillFromOne { return 1 }
        return catalog.active.reduce(1) { most, keyspace in
            keyspace.n == n ? max(most, n - leastWriteQuorum(keyspace) + 1) : most
        }
    }

    private var isRefillOver: Bool {
        let others = links.indices.filter { links[$0].node != configuration.node }
        let met = refill.agreed & refill.requests.told | refill.givenUp
        return others.allSatisfy(met.isSet) && isEveryRangeComplete
    }

    var isEveryRangeComplete: Bool {
        generation.isClosed
            && replicationFactors.allSatisfy { n in
                refill.parts[n].map { $0.complete == $0.kept } ?? false
            }
    }

    /// Hands to the journal what has become complete. It counts once it is on disk, so that no
    /// crash takes back what others rely on.
    mutating func mark(_ effects: inout Effects) {
        guard isRefilling, refill.marking == nil, disk.room == .free else { return }
        let marker = marker { $0.complete }
        guard !marker.isEqual(to: self.marker { $0.whole }) || marker.isOver else { return }
        refill.marking = marker
        effects.persist { marker.encode(into: &$0) }
        let token = OperationID(kind: .refill, index: 0, generation: 0)
        effects.add(.notify(token.rawValue))
    }

    /// Has the journal forget that this node was whole where it no longer is.
    func persistWholeness(_ effects: inout Effects) {
        let marker = generation.isClosed ? marker { $0.whole } : formerMarker
        effects.persist { marker.encode(into: &$0) }
    }

    private func marker(_ ranges: (Refill.Part) -> RangeSet) -> WholenessMarker {
        if isRefillOver { return WholenessMarker(ringDigest: ring.digest, isOver: ranks) }
        let parts = refill.parts.indices.compactMap { n in
            refill.parts[n].map { (n: UInt8(n), whole: ranges($0)) }
        }
        return WholenessMarker(ringDigest: ring.digest, parts)
    }

    /// While the list of members is open.
    private var formerMarker: WholenessMarker {
        WholenessMarker(ringDigest: ring.digest, generation.former.parts)
    }

    /// The ranges for which this node vouches, unless it is behind there.
    func vouched(_ n: Int) -> RangeSet {
        guard generation.isClosed else { return generation.former[n] }
        return isRefilling ? refill.parts[n]?.whole ?? RangeSet() : RangeSet(ranks, below: n)
    }

    /// Whether this node vouches for a range, unless it is behind there.
    private func isVouched(_ range: KeyRange, _ n: Int) -> Bool {
        generation.isClosed ? isRefilled(range, n) : generation.former.contains(range, n)
    }

    mutating func reachedMarker(_ effects: inout Effects) {
        guard let marker = refill.marking else { return }
        refill.marking = nil
        // What has come to be in doubt meanwhile is not whole.
        if marker.isOver, isRefillOver {
            isRefilling = false
            refill = Refill(since: clock.latest)
            return tellAllPromises(&effects)
        }
        for part in marker.parts {
            guard let complete = refill.parts[Int(part.n)]?.complete else { continue }
            refill.parts[Int(part.n)]?.whole = part.whole
            refill.parts[Int(part.n)]?.whole.formIntersection(complete)
        }
        refill.isUntold = true
        mark(&effects)
    }

    /// Takes back what the journal says.
    mutating func adopt(_ marker: WholenessMarker) {
        generation.former = FormerWholeness(marker)
        guard marker.ringDigest == ring.digest, generation.wasClosed(ring.digest),
            isRefilling || links.count > 1
        else { return }
        refill = Refill(since: clock.latest)
        isRefilling = !marker.isOver && configuration.plantedBug != .emptiedAnswersAtOnce
        for part in marker.parts {
            prepareRefill(Int(part.n))
            refill.parts[Int(part.n)]?.whole = part.whole
            refill.parts[Int(part.n)]?.complete = part.whole
        }
    }

    /// Appends what a checkpoint says: `length (4) | payload`.
    func exportWholeness(into buffer: inout ByteBuffer) {
        let parts = refill.parts.indices.compactMap { n in
            refill.parts[n].map { (n: UInt8(n), whole: $0.whole) }
        }
        let marker =
            if !generation.isClosed {
                formerMarker
            } else if isRefilling {
                WholenessMarker(ringDigest: ring.digest, parts)
            } else {
                WholenessMarker(ringDigest: ring.digest, isOver: ranks)
            }
        buffer.appendSized { marker.encode(into: &$0) }
    }
}

// What this node tells a replica that is being refilled, or that compares roots.
extension Node {
    /// Bytes of records in one answer, unless the first has more.
    private static let lackedBytesMax = 64 << 10

    /// Whether this node answers what another replica of a range asks: it is one itself, or it was
    /// by the former list, and vouches for the range.
    private func tells(_ range: KeyRange, _ n: Int, _ node: NodeID) -> Bool {
        if sharesRange(range, n, with: node) { return true }
        guard !generation.isClosed, generation.former.contains(range, n) else { return false }
        return ring.position(of: node, in: range).map { $0 < n } ?? false
    }

    /// Answers the roots of an exchange or of a refill, and notes what is equal.
    mutating func tellSame(
        _ roots: [ExchangeMessage.RangeRoot], _ moment: Stamp, _ n: Int, _ node: NodeID,
        _ effects: inout Effects
    ) {
        guard let index = linkIndex(of: node), background.hasTrees else { return }
        var (equal, whole) = (RangeSet(), RangeSet())
        for root in roots where tells(KeyRange(root.range), n, node) {
            let range = KeyRange(root.range)
            if tree(n, range).root == root.root { equal.insert(root.range) }
            if isVouched(range, n) { whole.insert(root.range) }
        }
        if links[index].agrees, !links[index].isBehind { noteEqual(equal, clock.latest, n, index) }
        sendRefill(
            .same(moment: moment.rawValue, equal: equal, whole: whole), n, to: node, &effects)
    }

    /// - Parameter moment: by this node's clock; one that it has not reached is from before the
    ///   clock went back.
    mutating func noteEqual(_ ranges: RangeSet, _ moment: Stamp, _ n: Int, _ index: Int) {
        guard moment <= clock.latest, background.hasTrees,
            moment > background.reshaping.treesSince
        else { return }
        equalities.note(ranges, at: moment.rawValue, link: index, replicationFactor: n)
    }

    mutating func tellDiffering(
        _ sums: [UInt64], _ place: ParentPlace, _ node: NodeID, _ effects: inout Effects
    ) {
        guard tells(place.range, place.n, node), background.hasTrees, mayAsk(node) else { return }
        var children: UInt32 = 0
        for (child, pair) in zip(sums, childSums(place)).enumerated() where pair.0 != pair.1 {
            children |= 1 << UInt32(child)
        }
        let isWhole = isVouched(place.range, place.n)
        sendRefill(
            .differing(
                place.range.rawValue, node: UInt8(place.node), isWhole: isWhole, children),
            place.n, to: node, &effects)
    }

    mutating func tellLacked(
        _ theirs: [KeyState], _ place: LeafPlace, isInDoubt: Bool, _ node: NodeID,
        _ effects: inout Effects
    ) {
        guard tells(place.range, place.n, node), mayAsk(node) else { return }
        let isWhole = isVouched(place.range, place.n)
        let here = states(place)
        let refuted =
            isWhole && isInDoubt ? LeafComparison.refuted(here: here, there: theirs) : []
        let lacked = lacked(theirs, refuted, here)
        settleDoubts(lacked, place, &effects)
        var records = ByteBuffer(capacity: 256)
        var (isAll, sent) = (true, [UInt64]())
        store.visit(place.range, HashTree.hashes(of: Int(place.leaf))) { hash, record in
            guard isAll, lacked.holds(hash) else { return }
            let start = records.count
            records.append(integer: UInt32(0))
            appendWhole(record, into: &records)
            records.store(UInt32(records.count - start - 4), at: start)
            guard start == 0 || records.count <= Node.lackedBytesMax else {
                isAll = false
                return records.truncate(to: start)
            }
            sent.append(hash)
        }
        // What is held instead goes along: until that is there the old state stays.
        let told = refuted.filter { sent.contains($0) || !lacked.holds($0) }
        turn.spend(exchanged: lacked.count)
        turn.spend(bytesTaken: records.count)
        sendRefill(
            .lacked(
                place.range.rawValue, leaf: place.leaf,
                .init(
                    isWhole: isWhole, isAll: isAll, refuted: told, records: Array(records.bytes))),
            place.n, to: node, &effects)
    }

    /// Hashes of what is to be sent, ascending: what the other side lacks, and what is here instead
    /// of what it has.
    private func lacked(
        _ theirs: [KeyState], _ refuted: [UInt64], _ here: [KeyState]
    ) -> [UInt64] {
        let lacked = LeafComparison(here: here, there: theirs, fresh: .max ... .max).lackedThere
        guard !refuted.isEmpty else { return lacked }
        let held = here.map(\.hash)
        let instead = refuted.filter { held.holds($0) && !lacked.holds($0) }
        return (lacked + instead).sorted()
    }

    /// Whether a refill may use a link now, to ask or to answer. Half of the link's share is the
    /// exchanges', which bring many keys for fewer bytes; what may not go is asked again.
    mutating func mayAsk(_ node: NodeID) -> Bool {
        guard budget(node) > configuration.exchangeBytesPerSecond / 2 else {
            counters.exchangesDeferred += 1
            return false
        }
        return true
    }
}

// Reads that a replica does not answer.
extension Node {
    mutating func decline(_ number: UInt64, of node: NodeID, _ effects: inout Effects) {
        counters.declinedReads += 1
        send(
            to: node, kind: 4, flag: ReplicaStatus.refilling.rawValue, number: number, &effects)
    }
}
