import AntiEntropy
import Base
import Causality
import Coding
import Ring

// Promises between replicas of what they all hold, and what becomes of one that turns out to have
// forgotten its own (`Node+Collection`).
extension Node {
    /// Promises what can be promised by now, as far as it is of use to anybody.
    mutating func promise(_ effects: inout Effects) {
        guard !isRefilling, disk.room == .free else { return }
        var marker = CollectionMarker()
        for n in replicationFactors {
            collection.prepare(n, links: links.count)
            let before = collection.parts[n]?.promised
            let grace = grace(n)
            for range in KeyRange.all
            where Int(ranks[Int(range.rawValue)]) < n
                && isOfUse(range)
            {
                let stamp = settling(equalSince(range, n), after: grace)
                collection.promise(stamp, n, range.rawValue)
            }
            guard let part = collection.parts[n], part.promised != before else { continue }
            marker.parts.append(
                .init(n: n, hintedUntil: part.hintedUntil, promised: part.promised))
        }
        if !marker.parts.isEmpty { announce(marker, &effects) }
    }

    /// Tells everybody what was promised, once it is on disk.
    mutating func announce(_ marker: CollectionMarker, _ effects: inout Effects) {
        effects.persist { marker.encode(into: &$0) }
        tellAllPromises(&effects)
    }

    mutating func tellAllPromises(_ effects: inout Effects) {
        for index in links.indices where links[index].isUp {
            tellPromises(to: index, asks: false, &effects)
        }
    }

    /// Says what this node has promised, what it knows to be collected, and where it vouches.
    mutating func tellPromises(to index: Int, asks: Bool, _ effects: inout Effects) {
        for n in replicationFactors { collection.prepare(n, links: links.count) }
        let parts = collection.replicationFactors.compactMap { n in
            collection.parts[n].map {
                PromiseMessage.Part(
                    n: n, promised: $0.promised, known: $0.known, revoked: $0.revoked,
                    whole: vouched(n))
            }
        }
        let message = PromiseMessage(asks: asks, parts: parts)
        let frame = effects.bytes.appendMessage(
            kind: PromiseMessage.kind, flag: asks ? 1 : 0, number: 0
        ) { message.encode(into: &$0) }
        send(frame, to: links[index].node, &effects)
    }

    mutating func heardPromises(
        _ message: PromiseMessage, from node: NodeID, _ effects: inout Effects
    ) {
        guard let index = linkIndex(of: node) else { return }
        let isBelievable = message.parts.allSatisfy {
            !isAhead(Stamp(rawValue: max($0.known.latest, $0.revoked.latest)))
        }
        guard isBelievable else {
            counters.refusedAhead += 1
            return
        }
        links[index].hasPromised = true
        for part in message.parts {
            collection.prepare(part.n, links: links.count)
            collection.parts[part.n]?.others[index] = part.promised
            collection.parts[part.n]?.knownThere[index].raise(to: part.known)
            collection.parts[part.n]?.whole[index] = part.whole
            for range in KeyRange.all {
                collection.learn(part.known[range.rawValue], part.n, range.rawValue)
                collection.revoke(part.revoked[range.rawValue], part.n, range.rawValue)
            }
        }
        catchUp(&effects)
        for index in links.indices { noteBehind(index) }
        if message.asks { tellPromises(to: index, asks: false, &effects) }
    }

    /// A link came up: nothing is taken over it before the other node has shown where it stands.
    mutating func beginPromises(_ index: Int, _ effects: inout Effects) {
        links[index].hasPromised = false
        collection.forgetPromises(of: index)
        noteBehind(index)
        tellPromises(to: index, asks: false, &effects)
    }

    mutating func noteBehind(_ index: Int) {
        links[index].isBehind =
            collection.isBegun && (!links[index].hasPromised || isBehind(index))
            || isUnaware(index)
    }

    private func isBehind(_ index: Int) -> Bool {
        collection.replicationFactors.contains { n in
            KeyRange.all.contains { isBehind(index, $0, n) }
        }
    }

    /// Whether another replica of a range may hold what was deleted there.
    func isBehind(_ index: Int, _ range: KeyRange, _ n: Int) -> Bool {
        if isUnaware(index) { return true }
        guard collection.isBegun else { return false }
        guard links[index].hasPromised else { return true }
        guard let part = collection.parts[n] else { return false }
        return part.others[index][range.rawValue] < part.known[range.rawValue]
            && ring.position(of: links[index].node, in: range).map { $0 < n } ?? false
    }

    private func isBehind(_ index: Int, _ key: UnsafeRawBufferPointer) -> Bool {
        isBehind(index, store.address(of: key).range, catalog.active[catalog.index(of: key)].n)
    }

    /// Whether a message of a node that is behind brings what may have been deleted. Exchanges and
    /// refills look at each range.
    private func isDoubtful(_ message: Message, _ index: Int) -> Bool {
        switch message {
        case .replicate(_, let record, _): isBehind(index, record.key)
        case .replicateDelta(_, let record, _): isBehind(index, record.key)
        case .answer(let number, _, _), .covered(let number, _), .contextTold(let number, _):
            reads[OperationID(rawValue: number)].map {
                isBehind(index, $0.range, catalog.active[$0.keyspace].n)
            } ?? true
        case .hint, .handOff: true
        default: false
        }
    }

    /// Whether a message has to be refused because its sender may hold what was deleted.
    mutating func isKeptOut(
        _ message: Message, from node: NodeID, _ effects: inout Effects
    ) -> Bool {
        guard let index = linkIndex(of: node), isDoubtful(message, index) else { return false }
        switch message {
        case .replicate(let number, _, _), .replicateDelta(let number, _, _),
            .hint(let number, _), .handOff(let number, _):
            acknowledge(number, .overloaded, nil, to: node, &effects)
        case .answer(let number, _, _), .covered(let number, _), .contextTold(let number, _):
            declined(OperationID(rawValue: number), by: node, &effects)
        default: break
        }
        counters.keptOut += 1
        return true
    }
}
