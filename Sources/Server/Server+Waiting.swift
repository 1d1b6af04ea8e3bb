import Base
import Reactor
import Replication

/// A connection whose input waits because a turn has done enough (`TurnBudget`). They are served in
/// the order in which they came: one that goes on waiting stands behind all others.
///
/// Each turn serves the first of them before it reads anything new, so that those who wait get on,
/// and reads what is new all the same, so that those who ask little are answered in every turn.
enum Waiter: Equatable {
    case client(Int, generation: UInt64)
    case link(Int, generation: UInt64)

    /// Units of a turn's work after which something new is read: half of a turn's.
    static let unitsBeforeNew = Node.turnUnitsMax / 2
}

extension Server {
    /// A link's messages that are taken in any turn, in units of its work.
    static let linkUnits = 500

    /// A client's requests go on in a later turn.
    mutating func lineUp(client index: Int) {
        guard !clients[index].isInLine else { return }
        clients[index].isInLine = true
        line.append(.client(index, generation: clients[index].generation))
    }

    /// A link's messages go on in a later turn.
    mutating func lineUp(link index: Int) {
        guard !links[index].isInLine else { return }
        links[index].isInLine = true
        line.append(.link(index, generation: links[index].generation))
    }

    /// Serves those that wait, the first of them in any case and each at most once.
    ///
    /// - Parameter units: of this turn's work, after which no further one is served.
    mutating func serveLine(upTo units: Int) {
        for number in 0..<line.count {
            guard number == 0 || node.turnUnits < units && !node.isTurnSpent,
                let waiter = line.popFirst()
            else { return }
            switch waiter {
            case .client(let index, let generation): serveClient(index, outOfLine: generation)
            case .link(let index, let generation): serveLink(index, outOfLine: generation)
            }
            if isHeavy { walkEffects() }
        }
    }

    private mutating func serveClient(_ index: Int, outOfLine generation: UInt64) {
        guard clients.contains(index), clients[index].generation == generation,
            !clients[index].isGone
        else { return }
        clients[index].isInLine = false
        // Who takes no replies is called when it does.
        guard clients[index].output.count < clientOutputMax else { return }
        resumeClient(index, generation)
    }

    private mutating func serveLink(_ index: Int, outOfLine generation: UInt64) {
        guard links.contains(index), links[index].generation == generation, !links[index].isGone
        else { return }
        links[index].isInLine = false
        takeUnread(index)
    }
}
