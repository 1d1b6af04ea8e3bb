import AntiEntropy
import Base
import Causality
import Coding
import Ring

// The list of members has changed: from what the journal says to a generation that is closed
// (`Generation`).
extension Node {
    private static let formerHintsMax = 1_024

    /// Begins the generation that the configuration's list of members belongs to, once the journal
    /// was read.
    mutating func beginGeneration() {
        guard !generation.hasBegun else { return }
        generation.begin(ring, isDoubted: configuration.takesOtherMembers)
        takeUpFormerHints()
        guard !generation.isClosed else { return }
        open()
        // Whatever is asked in this life is asked later.
        refill = Refill(since: Stamp(rawValue: 0))
    }

    private mutating func open() {
        beginRefill()
        surplus = SurplusHandOver()
        surplus.isUrgent = true
        generation.bare = (0...64).map { n in
            var bare = RangeSet()
            for range in KeyRange.all where tree(n, range).root == 0 {
                bare.insert(range.rawValue)
            }
            return bare
        }
    }

    /// Hands to the journal that another generation has begun, before anything that belongs to it.
    mutating func saveGeneration(_ effects: inout Effects) {
        beginGeneration()
        guard generation.isUnsaved else { return }
        generation.noteSaved()
        effects.persist { generationMarker.encode(into: &$0) }
    }

    private var generationMarker: GenerationMarker { GenerationMarker(generation, ring.digest) }

    /// Appends what a checkpoint says: `length (4) | payload`.
    func exportGeneration(into buffer: inout ByteBuffer) {
        guard generation.hasBegun else { return }
        buffer.appendSized { generationMarker.encode(into: &$0) }
    }

    /// Takes back what the journal says: what was whole before a list took effect is not by that.
    mutating func adopt(_ marker: GenerationMarker) {
        generation.restore(marker)
        guard !generation.wasClosed(ring.digest), beginRefill() else { return }
        refill = Refill(since: Stamp(rawValue: 0))
    }

    /// At a heartbeat.
    mutating func tendGeneration(_ effects: inout Effects) {
        guard links.count > 1 else { return }
        keepFormerHints(&effects)
        advanceGeneration(&effects)
        for index in links.indices
        where !generation.isClosed || !generation.closed.isSet(index) {
            tellGeneration(to: index, &effects)
        }
        tendSurplus(&effects)
    }

    func tellGeneration(to index: Int, _ effects: inout Effects) {
        guard links[index].isUp else { return }
        let message = GenerationMessage(generation, to: index)
        send(
            to: links[index].node, kind: GenerationMessage.kind, flag: message.flag,
            number: message.number, &effects)
    }

    private func tellGeneration(_ effects: inout Effects) {
        for index in links.indices { tellGeneration(to: index, &effects) }
    }

    /// A link came up.
    mutating func beginGeneration(with index: Int, _ effects: inout Effects) {
        generation.forget(link: index)
        generation.givenUp &= ~(UInt64(1) << UInt64(index))
        guard generation.keptFor.contains(links[index].node) else {
            return tellGeneration(to: index, &effects)
        }
        reopen(as: min(generation.number + 1, Generation.numberMax), &effects)
    }

    mutating func heard(
        _ message: GenerationMessage, from node: NodeID, _ effects: inout Effects
    ) {
        guard let index = linkIndex(of: node), links.count > 1 else { return }
        if message.number > generation.number { reopen(as: message.number, &effects) }
        guard message.number == generation.number else {
            return tellGeneration(to: index, &effects)
        }
        generation.note(message, from: index)
        if generation.isClosed, !message.knowsClosed { tellGeneration(to: index, &effects) }
        advanceGeneration(&effects)
    }

    private mutating func reopen(as number: UInt64, _ effects: inout Effects) {
        let former = generation.isClosed ? formerly : generation.former
        generation.reopen(as: number, former)
        open()
        saveGeneration(&effects)
        for index in links.indices where links[index].isUp {
            tellPromises(to: index, asks: false, &effects)
        }
        tellGeneration(&effects)
    }

    /// Where this node vouches now that the list opens anew.
    private var formerly: FormerWholeness {
        guard isRefilling else {
            return FormerWholeness(WholenessMarker(ringDigest: ring.digest, isOver: ranks))
        }
        let parts = (2...64).map { n in (n: UInt8(n), whole: vouched(n)) }
        return FormerWholeness(WholenessMarker(ringDigest: ring.digest, parts))
    }

    /// The other members, by link index, that are waited for.
    private var awaitedMembers: UInt64 {
        links.indices.reduce(0) { members, index in
            let node = links[index].node
            let isOut =
                node == configuration.node || isRemoved(node) || generation.givenUp.isSet(index)
            return isOut ? members : members | 1 << UInt64(index)
        }
    }

    /// Members, by link index, that the generation waits for.
    var membersToHandOver: UInt64 {
        guard !generation.isClosed else { return 0 }
        return awaitedMembers & ~(generation.handedOver & generation.met)
    }

    /// Goes on as far as what was heard allows.
    mutating func advanceGeneration(_ effects: inout Effects) {
        guard links.count > 1, !generation.isClosed else { return }
        for index in links.indices where !links[index].isUp { generation.forget(link: index) }
        let members = awaitedMembers
        for index in links.indices
        where links[index].isUp && links[index].hasPromised && generation.heard.isSet(index) {
            generation.met |= 1 << UInt64(index)
        }
        if !generation.takes, members & ~generation.met == 0, isSettledWithMembers {
            generation.takes = true
            tellGeneration(&effects)
        }
        let hasAll =
            generation.hasHandedOver && members & ~generation.handedOver == 0
            || configuration.plantedBug == .closedUnheard
        if hasAll || generation.closed != 0 { return saveClosed(&effects) }
        tendSurplus(&effects)
    }

    /// Whether nothing is left here that other members may know to be deleted.
    private var isSettledWithMembers: Bool {
        background.hasTrees && generation.formerHints.isEmpty
            && links.allSatisfy { !$0.isUp || $0.agrees }
    }

    /// Everything that this node does not replicate is with its replicas.
    ///
    /// - Returns: whether the disk has that or is to have it; false while it has no room.
    mutating func noteHandedOver(_ effects: inout Effects) -> Bool {
        guard !generation.hasHandedOver else { return true }
        var marker = generationMarker
        marker.handedOverAt = max(clock.latest, Stamp(rawValue: 1))
        marker.keptFor = links.indices.filter { surplus.keptFor.isSet($0) }.map { links[$0].node }
        save(marker, &effects)
        return generation.saving != nil
    }

    private mutating func saveClosed(_ effects: inout Effects) {
        var marker = generationMarker
        marker.isClosed = true
        marker.settled = ring.members
        save(marker, &effects)
    }

    /// Has the journal know where this node stands; it counts once that is on disk.
    private mutating func save(_ marker: GenerationMarker, _ effects: inout Effects) {
        guard generation.saving == nil, disk.room == .free else { return }
        generation.saving = marker
        effects.inScope { effects in
            effects.persist { marker.encode(into: &$0) }
            let token = OperationID(
                kind: .refill, index: Node.generationIndex,
                generation: UInt32(truncatingIfNeeded: marker.number))
            effects.add(.notify(token.rawValue))
        }
    }

    /// Tells its markers from those of the refill.
    static let generationIndex = 1

    mutating func reachedGeneration(_ id: OperationID, _ effects: inout Effects) {
        guard let marker = generation.saving,
            id.generation == UInt32(truncatingIfNeeded: marker.number)
        else { return }
        generation.saving = nil
        if marker.handedOverAt.rawValue > 0 {
            generation.noteHandedOver(at: marker.handedOverAt, butFor: marker.keptFor)
        }
        if marker.isClosed {
            generation.close(ring.members)
            surplus.beginAnew()
            refill.beginAnew()
        }
        tellGeneration(&effects)
        guard generation.isClosed else { return advanceGeneration(&effects) }
        tendRefill(&effects)
        tendSurplus(&effects)
    }

    /// Whether nothing is here that could have been deleted up to a stamp. Where nothing was when
    /// the generation opened, others may have brought it since, before all were heard.
    ///
    /// - Parameter looks: records that are looked at yet; where none are left the answer is no, and
    ///   asked for again.
    private mutating func isBare(
        _ range: KeyRange, _ n: Int, upTo stamp: UInt64, _ looks: inout Int
    ) -> Bool {
        guard looks > 0, generation.bare[n].contains(range.rawValue) else { return false }
        var isBare = true
        var budget = WorkBudget.unlimited
        _ = store.visit(range, from: 0, &budget) { entry in
            looks -= 1
            let isOfN = catalog.active[catalog.index(of: entry.record.key)].n == n
            if isOfN, entry.record.dot.stamp.rawValue <= stamp { isBare = false }
            return 0
        }
        if !isBare { generation.bare[n].remove(range.rawValue) }
        return isBare
    }

    /// How many records of ranges that were bare one heartbeat looks at.
    private static let bareLooksMax = 32_768

    /// Promises, where nothing is that could have been deleted, what others have collected: what is
    /// handed over from now on is not among what they deleted.
    mutating func promiseBareRanges(_ effects: inout Effects) {
        guard !generation.isClosed, generation.hasBegun else { return }
        var marker = CollectionMarker()
        var looks = Node.bareLooksMax
        for n in collection.replicationFactors {
            guard let part = collection.parts[n] else { continue }
            var promised = RangeStamps()
            for range in KeyRange.all.map(\.rawValue)
            where Int(ranks[Int(range)]) < n && part.missed(range) > 0
                && isBare(KeyRange(range), n, upTo: part.known[range], &looks)
            {
                promised[range] = part.known[range]
                collection.promise(part.known[range], n, range)
                // It knows nothing that could be asked for.
                generation.former.remove(range, n)
            }
            if promised.latest > 0 { marker.parts.append(.init(n: n, promised: promised)) }
        }
        guard !marker.parts.isEmpty else { return }
        persistWholeness(&effects)
        announce(marker, &effects)
    }

    /// Whether this node takes a record that another one no longer replicates: it is not ignored as
    /// settled, nor dropped as possibly deleted.
    func takesSurplus(_ range: KeyRange, _ keyspace: Int) -> Bool {
        generation.isClosed ? isWhole(range, keyspace) : generation.takes
    }
}

// Recovery.
extension Node {
    /// Takes back where this node stood, as its journal has it.
    mutating func restoreMarker(
        _ kind: JournalKind, _ payload: UnsafeRawBufferPointer
    ) throws(DecodeError) {
        var reader = ByteReader(payload)
        if kind == .wholeness {
            adopt(try WholenessMarker(&reader))
        } else if kind == .generation {
            adopt(try GenerationMarker(&reader))
        } else {
            adopt(try CollectionMarker(&reader))
        }
    }
}

// Hints for nodes that the list does not give their keys any more.
extension Node {
    /// Takes a hint of the journal for a node that is no member.
    mutating func restoreStrayHint(_ hint: Hint, _ key: [UInt8], for target: NodeID) {
        let place = generation.strayHints.firstIndex { $0.target == target }
        if let place {
            generation.strayHints[place].hints.put(hint, key: key)
        } else {
            var queue = HintQueue()
            queue.put(hint, key: key)
            generation.strayHints.append((target, queue))
        }
    }

    mutating func restoreStrayHintOver(_ key: [UInt8], for target: NodeID) {
        guard let place = generation.strayHints.firstIndex(where: { $0.target == target }),
            let number = generation.strayHints[place].hints.number(of: key)
        else { return }
        generation.strayHints[place].hints.remove(number, key: key)
    }

    /// Makes records of what the list gives others: they are handed over like those.
    private mutating func takeUpFormerHints() {
        for (target, queue) in generation.strayHints { takeUp(queue, of: target) }
        generation.strayHints = []
        for index in hints.indices { takeUp(hints[index], of: links[index].node) }
    }

    private mutating func takeUp(_ queue: HintQueue, of target: NodeID) {
        let index = linkIndex(of: target)
        var next: UInt64 = 0
        while let (number, hint) = queue.first(from: next) {
            next = number + 1
            hint.withRecord { record in
                let range = store.address(of: record.key).range
                let isTargets = owns(target, range, catalog.index(of: record.key))
                guard index == nil || !isTargets else { return }
                let key = Array(record.key)
                restore(record)
                generation.formerHints.append(.init(target: target, key: key))
                if let index { hints[index].remove(number, key: key) }
            }
        }
    }

    /// Has the journal know, some at a heartbeat, that they are records.
    private mutating func keepFormerHints(_ effects: inout Effects) {
        guard !generation.formerHints.isEmpty else { return }
        for hint in generation.formerHints.suffix(Node.formerHintsMax) {
            hint.key.withUnsafeBytes { key in
                let stored = store.find(store.address(of: key), key)
                if let stored, isKeptOnDisk(stored) { keepWhole(stored, &effects) }
            }
            effects.append {
                $0.append(JournalKind.hintOver.rawValue)
                $0.append(integer: hint.target.rawValue)
                $0.append(hint.key)
            }
        }
        generation.formerHints.removeLast(
            min(Node.formerHintsMax, generation.formerHints.count))
        effects.syncWithin(1_000)
    }
}
