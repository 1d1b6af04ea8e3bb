import Base

/// How many records a node holds under a name, counted because somebody is about to change what
/// keys of that name are.
///
/// What lives in a keyspace is counted anyway; only where the name is new are all records looked
/// at, some a step. Nothing is written under the name meanwhile (`Fence`), unless something was
/// found.
struct Survey {
    enum Asker {
        case own(OperationID)
        case other(number: UInt64)
    }

    /// What is looked at next.
    enum Place {
        case begun
        case records(cursor: UInt64)
        case hints(link: Int, number: UInt64)
    }

    let name: [UInt8]
    /// Who is about to change it.
    let node: NodeID
    let asker: Asker
    var place = Place.begun
    var held: UInt64 = 0
}

extension Node {
    /// Goes on with the first survey.
    mutating func survey(_ budget: inout WorkBudget, _ effects: inout Effects) {
        guard var survey = background.surveys.first else { return }
        let isOver = goOn(with: &survey, &budget)
        if survey.held > 0 { liftFence(survey.name, of: survey.node) }
        guard isOver else {
            background.surveys[0] = survey
            return
        }
        background.surveys.removeFirst()
        // Whoever is no longer kept from writing may have.
        let isFenced = fences.contains {
            $0.name == survey.name && $0.node == survey.node && now.monotonic < $0.until
        }
        answer(survey, survey.held > 0 || isFenced ? survey.held : .max, &effects)
    }

    private mutating func goOn(with survey: inout Survey, _ budget: inout WorkBudget) -> Bool {
        switch survey.place {
        case .begun:
            budget.look(records: 1)
            survey.place = .records(cursor: 0)
            guard let held = recordsHeld(under: survey.name) else { return false }
            survey.held = UInt64(held)
            survey.place = .hints(link: 0, number: 0)
            return false
        case .records(let cursor):
            let name = survey.name
            var held: UInt64 = 0
            let next = store.visit(from: cursor, &budget) { entry, _ in
                if entry.tally.counts, isUnder(name, entry.record.key) { held += 1 }
                return 0
            }
            survey.held += held
            survey.place = next.map { .records(cursor: $0) } ?? .hints(link: 0, number: 0)
            return false
        case .hints(let link, let number):
            let (held, next) = hintsHeld(under: survey.name, link, from: number, &budget)
            survey.held += held
            guard next == nil, link + 1 == hints.count else {
                survey.place =
                    next.map { .hints(link: link, number: $0) }
                    ?? .hints(link: link + 1, number: 0)
                return false
            }
            return true
        }
    }

    /// Records under a name, tombstones included; nil where they are not counted by themselves.
    private func recordsHeld(under name: [UInt8]) -> Int? {
        guard name != Node.defaultName else {
            return catalog.active.indices.reduce(0) {
                $0 + ($1 == 0 || catalog.active[$1].isDropped ? holdings.keyspaces[$1].counted : 0)
            }
        }
        return catalog.position(named: name).map { holdings.keyspaces[$0].counted }
    }

    private mutating func answer(_ survey: Survey, _ held: UInt64, _ effects: inout Effects) {
        switch survey.asker {
        case .own(let id): surveyed(id, held, by: configuration.node, &effects)
        case .other(let number): tellHeld(held, number, to: survey.node, &effects)
        }
    }

    func tellHeld(
        _ held: UInt64, _ number: UInt64, to node: NodeID, _ effects: inout Effects
    ) {
        withUnsafeBytes(of: held.littleEndian) {
            send(to: node, kind: 11, number: number, $0, &effects)
        }
    }
}
