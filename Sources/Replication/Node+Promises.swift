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
        for index in links.indices where links[index].isUp {
            tellPromises(to: index, asks: false, &effects)
        }
    }

    /// Says what this node has promised, and what it knows to be collected.
    mutating func tellPromises(to index: Int, asks: Bool, _ effects: inout Effects) {
        let parts = collection.replicationFactors.compactMap { n in
            collection.parts[n].map {
                PromiseMessage.Part(n: n, promised: $0.promised, known: $0.known)
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
        guard message.parts.allSatisfy({ !isAhead(Stamp(rawValue: $0.known.latest)) }) else {
            counters.refusedAhead += 1
            return
        }
        links[index].hasPromised = true
        for part in message.parts {
            collection.prepare(part.n, links: links.count)
            collection.parts[part.n]?.others[index].raise(to: part.promised)
            for range in KeyRange.all {
                collection.learn(part.known[range.rawValue], part.n, range.rawValue)
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
        let node = links[index].node
        return collection.replicationFactors.contains { n in
            guard let part = collection.parts[n] else { return false }
            return KeyRange.all.contains { range in
                part.others[index][range.rawValue] < part.known[range.rawValue]
                    && ring.position(of: node, in: range).map { $0 < n } ?? false
            }
        }
    }

    /// Whether a message has to be refused because its sender may hold what was deleted.
    mutating func isKeptOut(
        _ message: Message, from node: NodeID, _ effects: inout Effects
    ) -> Bool {
        switch message {
        case .replicate(let number, _, _), .replicateDelta(let number, _, _),
            .hint(let number, _), .handOff(let number, _):
            acknowledge(number, .overloaded, nil, to: node, &effects)
        case .answer(let number, _, _), .covered(let number, _), .contextTold(let number, _):
            declined(OperationID(rawValue: number), by: node, &effects)
        case .exchange, .refill: break
        default: return false
        }
        counters.keptOut += 1
        return true
    }
}

// Falling behind.
extension Node {
    /// Drops whatever may have been deleted while this node, or this disk, was away. What it has
    /// promised to know it keeps: all replicas of a range may have to do this at once, where a new
    /// list of members gives each of them another range that it had not.
    mutating func catchUp(_ effects: inout Effects) {
        promiseBareRanges(&effects)
        guard !missed.isEmpty else { return }
        if background.catchUp.isIdle {
            counters.fellBehind += 1
            // What was dropped with a forgotten name is in doubt in all ranges: others take nothing
            // from this node before it is gone.
            if forgetting.doubtfulUpTo.rawValue > 0 { distrustMemory() } else { beginRefill() }
            markNothing(&effects)
        }
        background.catchUp.begin(missed)
        workInBackground(&effects)
    }

    /// By n, up to when others have collected what this node has not promised to know, or dropped
    /// it with a keyspace whose name they have forgotten.
    private var missed: [(n: Int, stamps: RangeStamps)] {
        let doubtful = forgetting.doubtfulUpTo.rawValue
        var factors = collection.replicationFactors
        for n in replicationFactors where doubtful > 0 && !factors.contains(n) { factors.append(n) }
        return factors.compactMap { n in
            var stamps = RangeStamps()
            for range in KeyRange.all {
                stamps[range.rawValue] = max(doubtful, missed(n, range))
            }
            return stamps.latest > 0 ? (n, stamps) : nil
        }
    }

    private func missed(_ n: Int, _ range: KeyRange) -> UInt64 {
        guard let part = collection.parts[n], Int(ranks[Int(range.rawValue)]) < n,
            part.promised[range.rawValue] < part.known[range.rawValue]
        else { return 0 }
        return part.known[range.rawValue]
    }
}
