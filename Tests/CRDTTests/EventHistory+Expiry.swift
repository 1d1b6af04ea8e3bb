/// What README says about expiry, by definition: "EXPIRE, PERSIST and GETEX give a time to what
/// they have read", "what is added to a value that expires as a whole ends with it", and "of two
/// times for one thing the later given one counts".
extension EventHistory {
    /// When what an event did at a place ends, and by which event; nil when nobody said so.
    func lifetime(of id: Int, at place: Place, _ seen: EventSet) -> (order: Int, time: Int)? {
        // An element of a list is what the push made, whatever value it was given since.
        let id = place.type == "list" ? Int(place.name.prefix { $0 != "." }) ?? id : id
        var last: (order: Int, time: Int)?
        func consider(_ order: Int, _ time: Int) {
            if last.map({ $0.order < order }) ?? true { last = (order, time) }
        }
        for effect in events[id].effects {
            if case .inherit(let order, let time) = effect { consider(order, time) }
        }
        for other in seen where events[other].seen.contains(id) {
            for effect in events[other].effects {
                if case .give(let time) = effect { consider(other, time) }
            }
        }
        return last
    }

    func isOver(_ id: Int, at place: Place, _ seen: EventSet) -> Bool {
        guard let lifetime = lifetime(of: id, at: place, seen) else { return false }
        return 0 < lifetime.time && lifetime.time <= now
    }

    /// "An increment stays at least as long as earlier ones of its node": which of the increments
    /// of one place are over.
    func over(_ adds: [(event: Int, amount: Double)], at place: Place, _ seen: EventSet) -> EventSet
    {
        var over: EventSet = []
        var going: Set<Int> = []
        for add in adds {
            let node = events[add.event].node
            if add.amount.isInfinite {
                // Stands for itself.
                if isOver(add.event, at: place, seen) { over.insert(add.event) }
            } else if isOver(add.event, at: place, seen) && !going.contains(node) {
                over.insert(add.event)
            } else {
                going.insert(node)
            }
        }
        return over
    }

    /// What something that is added now inherits: the time of the key, if all of it has one.
    func inheritance(_ seen: EventSet) -> Effect? {
        var last: (order: Int, time: Int)?
        for (place, content) in contents(seen) {
            for id in content.puts.map(\.event) + content.adds.map(\.event) {
                guard let lifetime = lifetime(of: id, at: place, seen), lifetime.time > 0 else {
                    return nil
                }
                if last.map({ ($0.time, $0.order) < (lifetime.time, lifetime.order) }) ?? true {
                    last = lifetime
                }
            }
        }
        return last.map { .inherit(order: $0.order, time: $0.time) }
    }

    /// Whether anything of the key has a time.
    func expiresInPart(_ seen: EventSet) -> Bool {
        contents(seen).contains { place, content in
            (content.puts.map(\.event) + content.adds.map(\.event)).contains {
                (lifetime(of: $0, at: place, seen)?.time ?? 0) > 0
            }
        }
    }

    /// A command that is done on a side removes what is over there.
    mutating func removeElapsed(on side: inout Side) {
        let before = contents(side.seen, all: true)
        let after = left(of: before, side.seen)
        var gone: [Place: EventSet] = [:]
        for (place, content) in before {
            let ids = content.puts.map(\.event) + content.adds.map(\.event)
            let left = after[place].map { $0.puts.map(\.event) + $0.adds.map(\.event) } ?? []
            for id in ids where !left.contains(id) { gone[place, default: []].insert(id) }
        }
        guard !gone.isEmpty else { return }
        record([.end(gone)], on: &side)
    }
}
