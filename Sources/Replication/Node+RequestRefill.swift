import Base
import Causality
import Coding
import Ring

// What a node without its memory is told of request ids.
//
// A replica that is being refilled grants no claim: it does not know which ids are taken. Once all
// that it keeps is complete it asks every other node, page by page, which ids there are of these
// keys, and the refill is not over before all have told theirs. A page is asked for again while the
// effect of an outcome in it is not here (I3 of `RequestIDs`).
//
//     a → b  askIDs   from a place in b's ledger
//     b → a  toldIDs  those of the keys that a keeps, and where the next page begins
//
// A claim that others grant meanwhile needs no telling: every majority that knows it is one without
// this node.
extension Node {
    /// Names of one page, at most, that are looked at; and bytes that it has, unless one has more.
    private static let (pageNames, pageBytes) = (1_000, 64 << 10)

    /// Whether this replica knows which ids of a key are taken. With one replica a key they were
    /// lost with it.
    func knowsIDs(of location: KeyLocation) -> Bool {
        isWhole(location.address.range, location.keyspace)
            && (!isRefilling || catalog.active[location.keyspace].n == 1)
    }

    /// Asks all that have not told all.
    mutating func askIDs(_ effects: inout Effects) {
        guard isRefilling, isEveryRangeComplete else { return }
        for index in links.indices where links[index].isUp && links[index].agrees {
            guard let place = refill.requests.ask(index), mayAsk(links[index].node) else {
                continue
            }
            let frame = RequestMessage.askIDs(place).encode(into: &effects.bytes)
            spend(frame, on: links[index].node, &effects)
        }
    }

    mutating func tellIDs(from first: UInt64, to node: NodeID, _ effects: inout Effects) {
        guard mayAsk(node), let first = Int(exactly: first) else { return }
        var page = RequestMessage.Page(place: UInt64(first), next: nil, entries: [])
        var (place, bytes) = (first, 0)
        for _ in 0..<Node.pageNames where bytes < Node.pageBytes {
            guard let (at, name, entry, since) = requestIDs.ledger.entry(from: place) else {
                page.next = nil
                break
            }
            place = at + 1
            page.next = UInt64(place)
            guard name.withKey({ keeps($0, node) }) else { continue }
            let age = requestTime - min(since, requestTime)
            page.entries.append(.init(name: name, entry: entry, age: age))
            bytes += name.bytes.count + entry.replyBytes
        }
        turn.spend(bytesTaken: bytes)
        spend(RequestMessage.toldIDs(page).encode(into: &effects.bytes), on: node, &effects)
    }

    private func keeps(_ key: UnsafeRawBufferPointer, _ node: NodeID) -> Bool {
        let location = place(of: key)
        let n = catalog.active[location.keyspace].n
        return ring.position(of: node, in: location.address.range).map { $0 < n } ?? false
    }

    mutating func heardIDs(
        _ page: RequestMessage.Page, from node: NodeID, _ effects: inout Effects
    ) {
        guard isRefilling, let index = linkIndex(of: node),
            refill.requests.awaits(page.place, index)
        else { return }
        var lacksEffect = false
        for told in page.entries where !take(told, &effects) { lacksEffect = true }
        guard !lacksEffect else { return }
        refill.requests.advance(index, to: page.next)
        page.next == nil ? mark(&effects) : askIDs(&effects)
    }

    /// - Returns: false when its effect is not here.
    private mutating func take(
        _ told: RequestMessage.Page.Told, _ effects: inout Effects
    ) -> Bool {
        let since = requestTime - min(told.age, requestTime)
        switch told.entry {
        case .done(let outcome):
            let isOld = outcome.dot.map { $0.stamp <= refill.since } ?? true
            return learnOutcome(told.name, outcome, since: since, mayBeGone: isOld, &effects)
        case .claimed(let claim):
            let location = told.name.withKey { place(of: $0) }
            guard isReplica(of: location),
                requestIDs.ledger.entry(of: told.name, now: requestTime) == nil
            else { return true }
            requestIDs.ledger.restore(told.name, claim, since: since, isFormer: false)
            guard catalog.active[location.keyspace].durability != .memory else { return true }
            effects.append {
                Node.encode(
                    told.name, told.entry, since: since, isBeforeEffect: false, into: &$0)
            }
            return true
        }
    }
}

extension RequestLedger.Entry {
    fileprivate var replyBytes: Int {
        if case .done(let outcome) = self { outcome.reply.count } else { 0 }
    }
}
