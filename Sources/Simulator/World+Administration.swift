import Base

/// What an operator asks of a node.
enum Administration {
    case flush
    /// By index among the planned keyspaces.
    case drop(Int)
    case create(Int, History.Shape)
    case alter(Int, History.Shape)
    /// A change of nothing but how it is kept.
    case shift(Int, PlannedKeyspace.Durability)

    /// The keyspaces that are emptied.
    func emptied(of count: Int) -> [Int] {
        switch self {
        case .flush: Array(0..<count)
        case .drop(let keyspace): [keyspace]
        case .create, .alter, .shift: []
        }
    }
}

// An operator who empties, drops, makes and resizes keyspaces while everything else goes on: one
// command at a time, by any node. Only the end of the node cuts a command off, so what is unknown
// has no effect that is yet to begin.
extension World {
    /// The last client, where there is an operator.
    var operatorIndex: Int? { plan.administrationMean == nil ? nil : plan.clients - 1 }

    func scheduleAdministration() {
        guard let mean = plan.administrationMean else { return }
        schedule(
            .administer, after: mean / 4 + UInt64(administrationRandom.below(Int(mean) * 3 / 2)))
    }

    func administer() {
        guard phase == .safety, let index = operatorIndex else { return }
        scheduleAdministration()
        guard clients[index].generation != 0, clients[index].outstanding.isEmpty,
            clients[index].deafUntil <= time
        else { return }
        give(drawShift() ?? drawAdministration(), index)
    }

    private func keyspace(_ life: PlannedKeyspace.Life) -> Int {
        plan.keyspaces.firstIndex { $0.life == life } ?? 0
    }

    private func drawAdministration() -> Administration {
        let (gone, wide) = (keyspace(.dropped), keyspace(.resized))
        let turned = keyspace(.turned)
        switch administrationRandom.below(9) {
        case 0, 1: return .flush
        case 2:
            return droppedKeyspaces.contains(gone)
                ? .create(gone, History.Shape(plan.keyspaces[gone])) : .drop(gone)
        case 3, 4:
            return droppedKeyspaces.contains(wide) ? .create(wide, drawShape()) : .drop(wide)
        case 5: return .alter(wide, drawShape())
        default:
            return droppedKeyspaces.contains(turned)
                ? .create(turned, History.Shape(plan.keyspaces[turned])) : .drop(turned)
        }
    }

    /// From a generator of its own; half of the time where there is something to shift.
    private func drawShift() -> Administration? {
        let shifted = plan.keyspaces.indices.filter { plan.keyspaces[$0].life == .shifted }
        guard !shifted.isEmpty, shiftRandom.below(2) == 0 else { return nil }
        let durabilities: [PlannedKeyspace.Durability] = [.fsync, .memory, .memory, .interval]
        return .shift(
            shifted[shiftRandom.below(shifted.count)], durabilities[shiftRandom.below(4)])
    }

    /// Quorums that overlap, reads with writes and writes with each other.
    private func drawShape() -> History.Shape {
        let n = 1 + administrationRandom.below(plan.nodes)
        let w = n / 2 + 1 + administrationRandom.below(n - n / 2)
        return History.Shape(n: n, r: n - w + 1 + administrationRandom.below(w), w: w)
    }

    private func give(_ command: Administration, _ index: Int) {
        let emptied = command.emptied(of: plan.keyspaces.count)
        if !emptied.isEmpty { history.beginEmptying(emptied, at: time) }
        var words: [String]
        switch command {
        case .flush: words = ["FLUSHALL"]
        case .drop(let keyspace):
            words = ["KEYSPACE", "DROP", plan.keyspaces[keyspace].name]
            // Its keys live by what `default` says then.
            reshape(keyspace, History.Shape(n: 3, r: 2, w: 2))
        case .create(let keyspace, let shape):
            words = ["KEYSPACE", "CREATE", plan.keyspaces[keyspace].name]
            words += plan.keyspaces[keyspace].settings(shape)
            if plan.keyspaces[keyspace].life == .turned, administrationRandom.below(2) == 0 {
                words = words.map { $0 == "conflict=crdt" ? "conflict=lww" : $0 }
            }
            reshape(keyspace, shape)
        case .alter(let keyspace, let shape):
            words = ["KEYSPACE", "ALTER", plan.keyspaces[keyspace].name]
            words += ["n=\(shape.n)", "r=\(shape.r)", "w=\(shape.w)"]
            reshape(keyspace, shape)
        case .shift(let keyspace, let durability):
            let planned = plan.keyspaces[keyspace]
            words = ["KEYSPACE", "ALTER", planned.name, "durability=\(durability.text)"]
            reshape(
                keyspace, History.Shape(n: planned.n, r: planned.r, w: planned.w, durability))
        }
        ask(index, .administration(command), [], words.map { Array($0.utf8) })
    }

    private func reshape(_ keyspace: Int, _ shape: History.Shape) {
        history.beginShape(shape, of: keyspace, at: time)
    }

    func settle(_ command: Administration, _ reply: RedisReply, _ index: Int) {
        noteExistence(command, reply)
        switch reply {
        case .simple: settle(command, .acknowledged)
        case .error(let text): settle(command, World.outcome(of: text))
        case .bulk, .null, .array, .integer:
            return violate("an operator was answered with \(World.text(reply))")
        }
        guard phase == .safety else { return }
        if case .simple = reply, let next = following(command) { return give(next, index) }
        if administrationRandom.below(2) == 0 { breakConnection(index) }
    }

    /// What only works while a keyspace is still empty.
    private func following(_ command: Administration) -> Administration? {
        guard administrationRandom.below(3) > 0 else { return nil }
        switch command {
        case .flush: return .alter(keyspace(.resized), drawShape())
        case .drop(let dropped):
            let isResized = plan.keyspaces[dropped].life == .resized
            return .create(
                dropped, isResized ? drawShape() : History.Shape(plan.keyspaces[dropped]))
        case .create, .alter, .shift: return nil
        }
    }

    func settle(_ command: Administration, _ outcome: History.Outcome) {
        switch outcome {
        case .unknown: counters.administrationUnknown += 1
        case .failed, .pending: counters.administrationRefused += 1
        case .acknowledged: count(command)
        }
        switch command {
        case .flush: break
        case .drop(let keyspace), .create(let keyspace, _), .alter(let keyspace, _),
            .shift(let keyspace, _):
            history.endShape(of: keyspace, outcome, at: time)
        }
        guard !command.emptied(of: plan.keyspaces.count).isEmpty else { return }
        if let problem = history.endEmptying(outcome, at: time) { violate(problem) }
    }

    /// Keeps what the operator knows of which keyspaces there are.
    private func noteExistence(_ command: Administration, _ reply: RedisReply) {
        let isDone = reply.failure == nil
        switch command {
        case .flush, .shift: break
        case .drop(let keyspace), .alter(let keyspace, _):
            if reply.failure?.hasPrefix("ERR no such") == true { droppedKeyspaces.insert(keyspace) }
            if case .drop = command, isDone { droppedKeyspaces.insert(keyspace) }
        case .create(let keyspace, _):
            if isDone || reply.failure?.hasPrefix("ERR keyspace exists") == true {
                droppedKeyspaces.remove(keyspace)
            }
        }
    }

    private func count(_ command: Administration) {
        switch command {
        case .flush, .drop: counters.emptied += 1
        case .create, .alter: counters.resized += 1
        case .shift: counters.shifted += 1
        }
    }
}
