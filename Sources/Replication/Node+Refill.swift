import AntiEntropy
import Base
import Causality
import Coding
import Ring
import Storage

// A node that returns without its memory.
//
// A disk that was lost, emptied or damaged took acknowledged writes with it. If the node that
// returns answered reads from what is left, a quorum of it and of a replica that was behind would
// miss a write that this node had acknowledged: R + W > N counts on replicas that do not forget. So
// it is refilled first, and answers reads of a key range only when that range is whole.
//
// Who is not whole: whoever's journal does not say that it is (`WholenessMarker`). That is a new
// directory as well as one that was emptied, and, after any number of crashes, a node that never
// came to the end of its refill. Recovery that left out what was damaged takes wholeness back
// (`distrustMemory`). Of a range that this node is behind in, it first drops what was deleted
// meanwhile (`Node+CatchUp`).
//
// What a range that is not whole does: it takes writes, acknowledges them and counts for W, since
// what it acknowledges from now on it has. It takes part in exchanges, which bring most of what it
// lacks. It answers no read, neither another node's (`declined`: that one asks the next replica)
// nor its own; and writes that clients bring go on to another replica, because what a deletion or a
// plain write of siblings replaces is what the replica holds that makes it.
//
// When a range is whole. Let a write have been acknowledged by W of N replicas, this one's lost
// life among them: W - 1 others have it, so any N - W + 1 of the others include one of those.
// Whoever lacks nothing of what these N - W + 1 have lacks nothing. W is the least that the floors
// of the keyspaces with this N allow; where that is 1, all others are needed, and a write that only
// the lost disk had is lost for good. Replicas that are being refilled themselves do not count
// among the N - W + 1. But where all others have been asked there is nothing more to be had, whole
// or not; so a cluster of new nodes is whole as soon as all of its nodes have met.
//
// "Lacks nothing of what it has": not that both are equal, which under a stream of writes they
// never are at the moment one looks. Everything that was lost was written before this life began,
// so each leaf of the other's tree is asked about until it once brought nothing new (`Coverage`,
// `RefillMessage`).
//
// A disk from a backup says that it is whole, as it was. But other nodes remember a life of this
// node that the disk knows nothing of (`heardOfLife`), as long as they run; they say so before they
// say anything else, and the node is refilled as if the disk were empty.
//
// A replica that never returns is waited for until an operator says so (`CLUSTER REFILL WITHOUT`).
// With one replica per key nobody could refill anything: such keys are whole, that is, lost; but
// after the list of members has changed former replicas hand them over first (`Generation`).
//
// Keyspaces that are kept in memory only forget at every restart, as they say; no refill hides it.
extension Node {
    /// Ranges of one link that a heartbeat's answers may descend into.
    private static let descentsMax = 16
    /// Children of one tree node that an answer is followed into at once.
    private static let childrenMax = 4

    /// Whether reads of a key may be answered from this replica's own state.
    @inline(__always)
    func isWhole(_ range: KeyRange, _ keyspace: Int) -> Bool {
        !isRefilling || isRefilled(range, catalog.active[keyspace].n)
    }

    func isRefilled(_ range: KeyRange, _ n: Int) -> Bool {
        guard isRefilling else { return true }
        guard n > 1 else { return generation.isClosed }
        return refill.parts[n]?.whole.contains(range.rawValue) ?? false
    }

    /// Whether a new directory knows no keyspace but those of its file: what a key's prefix says
    /// is not known before another node has told.
    var isLearningKeyspaces: Bool {
        isRefilling && ownLives.starts.isEmpty && refill.agreed == 0 && links.count > 1
    }

    /// Whether a client's write of a key begins here. A replica that is not whole hands it on while
    /// it can.
    @inline(__always)
    func coordinates(_ location: KeyLocation) -> Bool {
        isReplica(of: location)
            && (isWhole(location.address.range, location.keyspace) || !mayHandOn(location))
    }

    private func mayHandOn(_ location: KeyLocation) -> Bool {
        client.mayForward
            && ring.primaries(
                of: location.address.range,
                replicationFactor: catalog.active[location.keyspace].n
            ).contains { isHeard($0) }
    }

    /// What was recovered is not all that was acknowledged: recovery left out what was damaged.
    /// Called before the first step.
    public mutating func distrustMemory() {
        ownLives.noteGap()
        doubtMemory()
    }

    /// What is here is not all that was acknowledged, be it that the disk is an older one.
    mutating func doubtMemory() {
        generation.former = FormerWholeness()
        guard beginRefill() else { return }
        collection.distrust()
    }

    /// - Returns: false where nobody could refill this node.
    @discardableResult
    mutating func beginRefill() -> Bool {
        guard links.count > 1, configuration.plantedBug != .emptiedAnswersAtOnce else {
            return false
        }
        isRefilling = true
        refill = Refill(since: clock.latest)
        return true
    }

    /// The disk holds what lives with these epochs wrote, the latest first. Called before the first
    /// step; not for a new directory.
    public mutating func resumes(after starts: [UInt64]) { ownLives.starts = starts }

    /// Another node remembers a life of this node. One that this disk does not know of acknowledged
    /// what the disk has not.
    mutating func heardOfLife(
        _ life: ReplicaIdentity, from node: NodeID, _ effects: inout Effects
    ) {
        guard let index = linkIndex(of: node), !ownLives.starts.isEmpty,
            life.node == identity.node, life < firstIdentity,
            !ownLives.knows(life.epoch, by: index)
        else { return }
        ownLives.noteMissing(upTo: firstIdentity.epoch)
        doubtMemory()
        persistDistrust(&effects)
        catchUp(&effects)
        tellAllPromises(&effects)
        inquireAll(&effects)
    }

    /// A node of a hash tree with children: the root or a branch.
    struct ParentPlace {
        let n: Int
        let range: KeyRange
        /// 0 for the root, 1…32 for a branch.
        let node: Int
    }

    /// At a heartbeat: asks everybody in reach again.
    mutating func tendRefill(_ effects: inout Effects) {
        tendCatchUp(&effects)
        inquireAll(&effects)
        for n in replicationFactors {
            prepareRefill(n)
            for range in KeyRange.all { complete(range, n) }
        }
        refill.requests.askAgain()
        askIDs(&effects)
        mark(&effects)
        guard refill.isUntold else { return }
        refill.isUntold = false
        tellAllPromises(&effects)
    }

    mutating func inquireAll(_ effects: inout Effects) {
        guard background.hasTrees else { return }
        for index in links.indices where links[index].isUp && mayAsk(links[index].node) {
            inquire(index, &effects)
        }
    }

    /// Asks another node which ranges are the same there.
    mutating func inquire(_ index: Int, _ effects: inout Effects) {
        let node = links[index].node
        for n in replicationFactors {
            prepareRefill(n)
            guard let part = refill.parts[n] else { continue }
            var roots: [ExchangeMessage.RangeRoot] = []
            for range in KeyRange.all where asks(range, n, index) {
                let coverage = part.coverage[index][Int(range.rawValue)]
                guard !part.complete.contains(range.rawValue),
                    !coverage.isComplete || !coverage.isOfWhole
                else { continue }
                roots.append(.init(range: range.rawValue, root: tree(n, range).root))
            }
            guard !roots.isEmpty else { continue }
            sendRefill(.inquiry(moment: clock.latest.rawValue, roots), n, to: node, &effects)
        }
    }

    mutating func prepareRefill(_ n: Int) {
        guard refill.parts[n] == nil else { return }
        refill.parts[n] = Refill.Part(kept: RangeSet(ranks, below: n), links: links.count)
    }

    mutating func sendRefill(
        _ message: RefillMessage, _ n: Int, to node: NodeID, _ effects: inout Effects
    ) {
        let frame = effects.bytes.appendMessage(
            kind: Message.refillKind, flag: UInt8(n), number: catalog.digest
        ) { message.encode(into: &$0) }
        spend(frame, on: node, &effects)
    }

    /// What another node's heartbeat says of its keyspaces. Which trees there are follows from
    /// them, so a refill ends only when all nodes were found to know the same.
    mutating func noteDefinitions(_ digest: UInt64, of node: NodeID) {
        guard let index = linkIndex(of: node) else { return }
        links[index].agrees = digest == catalog.digest
        guard links[index].agrees else { return }
        refill.agreed |= 1 << UInt64(index)
        endOutlivedFences(of: index)
        forgetting.words[index].unheard = []
    }
}

// Answers to what this node asked.
extension Node {
    /// - Throws: `invalid` for records that are none.
    mutating func refill(
        _ message: RefillMessage, _ n: Int, _ digest: UInt64, from node: NodeID,
        _ effects: inout Effects
    ) throws(DecodeError) {
        // Who knows other keyspaces sums up other records under the same name.
        guard digest == catalog.digest, let index = linkIndex(of: node) else { return }
        switch message {
        case .inquiry(let moment, let roots):
            tellSame(roots, Stamp(rawValue: moment), n, node, &effects)
        case .same(let moment, let equal, let whole):
            if !links[index].isBehind { noteEqual(equal, Stamp(rawValue: moment), n, index) }
            let asked = Stamp(rawValue: moment)
            // What was asked before the clock went back came before all that counts.
            if asked <= clock.latest { refill.heard(index, asked: asked) }
            heardSame(equal, whole, n, index, &effects)
        case .sums(let range, let parent, let sums):
            let place = ParentPlace(n: n, range: KeyRange(range), node: Int(parent))
            tellDiffering(sums, place, node, &effects)
        case .differing(let range, let parent, let isWhole, let children):
            guard counts(KeyRange(range), n, index, isWhole) else { return }
            let place = ParentPlace(n: n, range: KeyRange(range), node: Int(parent))
            heardDiffering(children, place, index, &effects)
        case .states(let range, let leaf, let isInDoubt, let states):
            let place = LeafPlace(n: n, range: KeyRange(range), leaf: leaf)
            tellLacked(states, place, isInDoubt: isInDoubt, node, &effects)
        case .lacked(let range, let leaf, let lacked):
            guard counts(KeyRange(range), n, index, lacked.isWhole) else { return }
            let place = LeafPlace(n: n, range: KeyRange(range), leaf: leaf)
            try heardLacked(lacked, place, index, &effects)
        }
        guard isRefilling else { return }
        if !refill.isBehind { promiseCleared(&effects) }
        askIDs(&effects)
        mark(&effects)
    }

    /// Whether another node is asked for what it has of a range: it is a replica, or it vouches for
    /// a range that this node is behind in, as it does by the former list while that is open.
    private func asks(_ range: KeyRange, _ n: Int, _ index: Int) -> Bool {
        if sharesRange(range, n, with: links[index].node) { return true }
        return !generation.isClosed && doubtedUpTo(range, n) > 0 && vouches(index, range, n)
    }

    /// Whether an answer about a range is still of use.
    private mutating func counts(
        _ range: KeyRange, _ n: Int, _ index: Int, _ saysWhole: Bool
    ) -> Bool {
        guard isRefilling, refill.isAnswering(index), asks(range, n, index),
            !isBehind(index, range, n)
        else { return false }
        // By the former list is not whole by this one.
        let isWhole = saysWhole && (!generation.isClosed || generation.closed.isSet(index))
        if doubtedUpTo(range, n) > 0 {
            guard isWhole, vouches(index, range, n) else { return false }
        }
        let place = Int(range.rawValue)
        return refill.parts[n]?.coverage[index][place].counts(answerOfWhole: isWhole) ?? false
    }

    private mutating func heardSame(
        _ equal: RangeSet, _ whole: RangeSet, _ n: Int, _ index: Int, _ effects: inout Effects
    ) {
        var open: [KeyRange] = []
        for range in KeyRange.all
        where refill.parts[n]?.complete.contains(range.rawValue) == false
            && counts(range, n, index, whole.contains(range.rawValue))
        {
            let place = Int(range.rawValue)
            if equal.contains(range.rawValue) {
                refill.parts[n]?.coverage[index][place].coverAll()
                complete(range, n)
            } else if refill.parts[n]?.coverage[index][place].isComplete == false {
                open.append(range)
            }
        }
        guard !open.isEmpty else { return }
        let first = random.below(open.count)
        for step in 0..<min(open.count, Node.descentsMax) {
            let range = open[(first + step) % open.count]
            askSums(ParentPlace(n: n, range: range, node: 0), index, &effects)
        }
    }

    private mutating func heardDiffering(
        _ children: UInt32, _ place: ParentPlace, _ index: Int, _ effects: inout Effects
    ) {
        let (n, range) = (place.n, place.range)
        refill.parts[n]?.coverage[index][Int(range.rawValue)].cover(~children, of: place.node)
        complete(range, n)
        let coverage = refill.parts[n]?.coverage[index][Int(range.rawValue)]
        let open = children & (coverage?.open(of: place.node) ?? 0)
        var asked = 0
        let first = random.below(HashTree.fanOut)
        for step in 0..<HashTree.fanOut where asked < Node.childrenMax {
            let child = (first + step) % HashTree.fanOut
            guard open & 1 << UInt32(child) != 0 else { continue }
            asked += 1
            if place.node == 0 {
                askSums(ParentPlace(n: n, range: range, node: child + 1), index, &effects)
            } else {
                let leaf = UInt16((place.node - 1) * HashTree.fanOut + child)
                askStates(LeafPlace(n: n, range: range, leaf: leaf), index, &effects)
            }
        }
    }

    private mutating func heardLacked(
        _ lacked: RefillMessage.Lacked, _ place: LeafPlace, _ index: Int,
        _ effects: inout Effects
    ) throws(DecodeError) {
        let outcome = try takeAll(lacked, place, &effects)
        // What is refused here, for a clock or for want of room, is asked for again.
        guard !outcome.isRefused else { return }
        if lacked.isAll {
            let (branch, child) = (Int(place.leaf) / HashTree.fanOut, place.leaf % 32)
            refill.parts[place.n]?.coverage[index][Int(place.range.rawValue)]
                .cover(1 << UInt32(child), of: branch + 1)
            complete(place.range, place.n)
        } else if outcome.news > 0 {
            askStates(place, index, &effects)
        }
    }

    private mutating func askSums(
        _ place: ParentPlace, _ index: Int, _ effects: inout Effects
    ) {
        guard mayAsk(links[index].node) else { return }
        sendRefill(
            .sums(place.range.rawValue, node: UInt8(place.node), Array(childSums(place))),
            place.n, to: links[index].node, &effects)
    }

    func childSums(_ place: ParentPlace) -> ArraySlice<UInt64> {
        let own = tree(place.n, place.range)
        return place.node == 0 ? own.branches : own.leaves(of: place.node - 1)
    }

    private mutating func askStates(
        _ place: LeafPlace, _ index: Int, _ effects: inout Effects
    ) {
        guard mayAsk(links[index].node) else { return }
        sendRefill(
            .states(
                place.range.rawValue, leaf: place.leaf,
                isInDoubt: doubtedUpTo(place.range, place.n) > 0, states(place)),
            place.n, to: links[index].node, &effects)
    }
}
