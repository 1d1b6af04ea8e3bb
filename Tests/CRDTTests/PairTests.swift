import Base
import Causality
import Testing

@testable import CRDT

/// Every pair of commands on two sides of a cut, and triples on three, against `EventHistory`.
@Suite("Pairs of commands on the sides of a cut")
struct PairTests {
    /// What all sides have done before the cut, by type: counted and put, by several of them.
    private static let bases: [[[String]]] = [
        [],
        [["SET", "k", "5"], ["INCRBY", "k", "10"], ["INCRBY", "k", "3"]],
        [["INCRBY", "k", "10"]],
        [["QFLAG", "k", "ENABLE"]],
        [["SADD", "k", "a", "b"], ["SADD", "k", "a"]],
        [["HINCRBY", "k", "a", "10"], ["HINCRBY", "k", "a", "4"], ["HSET", "k", "b", "2"]],
        [["HSET", "k", "a", "1"], ["HINCRBY", "k", "a", "10"], ["HSET", "k", "b", "w"]],
        [["ZINCRBY", "k", "10", "a"], ["ZINCRBY", "k", "0.5", "a"], ["ZADD", "k", "2", "b"]],
        [["ZADD", "k", "1", "a"], ["ZINCRBY", "k", "10", "a"]],
        [["RPUSH", "k", "a", "b"], ["RPUSH", "k", "c"]],
    ]

    private static let commands: [[String]] = [
        ["DEL", "k"], ["SET", "k", "7"], ["SET", "k", "w"], ["GETSET", "k", "8"], ["GETDEL", "k"],
        ["APPEND", "k", "1"], ["INCR", "k"], ["DECRBY", "k", "2"], ["INCRBYFLOAT", "k", "0.5"],
        ["QFLAG", "k", "ENABLE"], ["QFLAG", "k", "DISABLE"],
        ["SADD", "k", "a"], ["SADD", "k", "c", "d"], ["SREM", "k", "a"], ["SPOP", "k", "9"],
        ["HSET", "k", "a", "0"], ["HSET", "k", "a", "w"], ["HSET", "k", "c", "5"],
        ["HINCRBY", "k", "a", "1"], ["HINCRBYFLOAT", "k", "a", "0.5"], ["HDEL", "k", "a"],
        ["HDEL", "k", "a", "b"], ["HINCRBY", "k", "b", "-1"],
        ["ZADD", "k", "0", "a"], ["ZADD", "k", "3", "c"], ["ZINCRBY", "k", "1", "a"],
        ["ZINCRBY", "k", "inf", "a"], ["ZREM", "k", "a"], ["ZPOPMIN", "k"], ["ZPOPMAX", "k"],
        ["LPUSH", "k", "x", "y"], ["RPUSH", "k", "z"], ["LPUSHX", "k", "u"], ["RPUSHX", "k", "q"],
        ["LPOP", "k"],
        ["RPOP", "k", "2"], ["LSET", "k", "0", "s"], ["LSET", "k", "-1", "t"],
        ["LINSERT", "k", "BEFORE", "b", "i"], ["LINSERT", "k", "AFTER", "a", "j"],
        ["LREM", "k", "0", "b"], ["LTRIM", "k", "1", "1"],
    ]

    /// What happens once the sides have met: it sees everything.
    private static let afterwards: [[String]] = [
        [], ["DEL", "k"], ["HSET", "k", "a", "0"], ["HINCRBY", "k", "a", "1"], ["ZREM", "k", "a"],
        ["INCR", "k"], ["SET", "k", "3"], ["LSET", "k", "0", "v"],
    ]

    /// One world of real replicas, and the same in events.
    private struct Trial {
        var replicas: [CommandReplica]
        var sides: [EventHistory.Side]
        var history = EventHistory()
        var time: UInt64 = 1
        /// What was done on each side since all were one.
        var sent: [[Delta]]

        init(sides count: Int) {
            replicas = (1...count).map { CommandReplica(UInt16($0)) }
            sides = (0..<count).map { EventHistory.Side(node: $0) }
            sent = Array(repeating: [], count: count)
        }

        mutating func run(_ command: [String], on side: Int) {
            if command.isEmpty { return }
            pass(1)
            if let delta = replicas[side].run(command, at: time) { sent[side].append(delta) }
            history.run(command, on: &sides[side])
        }

        mutating func pass(_ milliseconds: UInt64) {
            time += milliseconds
            history.now = Int(time)
        }

        /// Everybody learns everything: by states, or by deltas in either order.
        mutating func meet(byDeltas: Bool) {
            let before = replicas
            for target in replicas.indices {
                for offset in 1..<replicas.count {
                    let source = (target + offset) % replicas.count
                    if byDeltas {
                        for delta in sent[source]
                        where replicas[target].state.apply(delta) != .applied {
                            replicas[target].state.join(before[source].state)
                        }
                    } else {
                        replicas[target].state.join(before[source].state)
                    }
                }
            }
            let seen = sides.reduce(into: [] as EventSet) { $0.formUnion($1.seen) }
            for index in sides.indices {
                sides[index].seen = seen
                sides[index].order = listOrder(index, seen)
            }
            sent = Array(repeating: [], count: replicas.count)
        }

        /// Where elements stand that sides have inserted apart is not the model's to say: it takes
        /// the order from the list and goes on with it.
        private func listOrder(_ index: Int, _ seen: EventSet) -> [String] {
            let parts = history.parts("list", seen)
            var left = parts.map { ($0.key, $0.value.value) }.sorted { $0.0 < $1.0 }
            let state = replicas[index].state.withoutElapsed(now: time)
            return state.listTexts(now: 0).compactMap { text in
                guard let found = left.firstIndex(where: { $0.1 == text }) else { return nil }
                return left.remove(at: found).0
            }
        }

        /// Whether a command is for the type of the key.
        func takes(_ command: [String]) -> Bool {
            var (history, side) = (history, sides[0])
            return history.run(command, on: &side)
        }

        var difference: String? {
            let expected = history.shown(sides[0].seen)
            for replica in replicas {
                let shown = replica.shown(at: time)
                if shown != expected { return "\(shown), not \(expected) at \(time)" }
                if replica.state != replicas[0].state { return "the sides have not converged" }
            }
            return nil
        }
    }

    private func base(_ commands: [[String]], sides: Int) -> Trial {
        var trial = Trial(sides: sides)
        for (number, command) in commands.enumerated() {
            trial.run(command, on: number % sides)
            trial.meet(byDeltas: number % 2 == 0)
        }
        return trial
    }

    /// - Returns: what is wrong, if anything.
    private func failure(
        _ trial: Trial, _ apart: [[String]], _ byDeltas: Bool, expires: Bool = false
    ) -> String? {
        var trial = trial
        for (side, command) in apart.enumerated() { trial.run(command, on: side) }
        trial.meet(byDeltas: byDeltas)
        return trial.difference ?? (expires ? failureLater(trial, byDeltas) : nil)
    }

    /// The same as time passes, before and after somebody has removed what is over.
    private func failureLater(_ trial: Trial, _ byDeltas: Bool) -> String? {
        var trial = trial
        for (step, milliseconds) in ([20, 30, 200, 1_000] as [UInt64]).enumerated() {
            trial.pass(milliseconds)
            if let difference = trial.difference { return difference }
            trial.run(["ELAPSE", "k"], on: step % 2)
            trial.meet(byDeltas: byDeltas)
            if let difference = trial.difference { return difference }
        }
        return nil
    }

    /// Changes of expiries, of which the shortest is over before the others.
    private static let lifetimes: [[String]] = [
        ["EXPIRE", "k", "15"], ["EXPIRE", "k", "100"], ["PERSIST", "k"],
        ["SET", "k", "9", "PX", "40"], ["GETEX", "k", "40"],
    ]

    /// What all sides have given a time before the cut, by type.
    private static let expiring: [[[String]]] =
        bases.filter { !$0.isEmpty }.map { $0 + [["EXPIRE", "k", "60"]] }
        + [[["SET", "k", "5", "PX", "60"]], [["SET", "k", "5", "PX", "60"], ["INCR", "k"]]]

    @Test("a change of an expiry beside every command shows as time passes what README says")
    func lifetimes() {
        for commands in Self.bases + Self.expiring {
            let trial = base(commands, sides: 2)
            if let difference = trial.difference { Issue.record("\(commands): \(difference)") }
            for (number, first) in Self.lifetimes.enumerated() {
                // What another type's commands do to a value, the pairs show.
                for (other, second) in (Self.commands + Self.lifetimes).enumerated()
                where commands.isEmpty || trial.takes(second) {
                    let failure = failure(
                        trial, [first, second], (number + other) % 2 == 0, expires: true)
                    guard let failure else { continue }
                    Issue.record("\(commands): \(first) | \(second): \(failure)")
                    return
                }
            }
        }
    }

    @Test("every pair of commands on values that expire shows as time passes what README says")
    func expiringPairs() {
        for commands in Self.expiring {
            let trial = base(commands, sides: 2)
            for (number, first) in Self.commands.enumerated() where trial.takes(first) {
                for (other, second) in Self.commands.enumerated() where trial.takes(second) {
                    // One way round the pair meets by deltas, the other way round by states.
                    let failure =
                        failure(trial, [first, second], number < other, expires: true)
                        ?? (number == other
                            ? failure(trial, [first, second], true, expires: true) : nil)
                    guard let failure else { continue }
                    Issue.record("\(commands): \(first) | \(second): \(failure)")
                    return
                }
            }
        }
    }

    @Test("a change of an expiry between two commands, beside another one, on three sides")
    func lifetimeTriples() {
        for commands in Self.bases + Self.expiring {
            let trial = base(commands, sides: 3)
            let own = Self.commands.filter { commands.isEmpty || trial.takes($0) }
            let isList = commands.first?.first == "RPUSH"
            for (number, first) in own.enumerated() {
                for (other, second) in own.enumerated() where (number + other) % 3 == 0 {
                    let lifetime = Self.lifetimes[(number + other) % Self.lifetimes.count]
                    let third = Self.lifetimes[(number * 3 + other) % Self.lifetimes.count]
                    var trial = trial
                    trial.run(first, on: 0)
                    trial.run(lifetime, on: 0)
                    trial.run(second, on: 1)
                    trial.run(third, on: 2)
                    // Which of two equal elements goes first is not the model's to say.
                    if !isList { trial.run(second, on: 0) }
                    trial.meet(byDeltas: number % 2 == 0)
                    if !isList { trial.run(first, on: 1) }
                    trial.meet(byDeltas: other % 2 == 0)
                    let failure = trial.difference ?? failureLater(trial, other % 2 == 0)
                    guard let failure else { continue }
                    let apart = [[first, lifetime, second], [second], [third]]
                    Issue.record("\(commands): \(apart); \(first): \(failure)")
                    return
                }
            }
        }
    }

    @Test("all pairs of commands, after each kind of value, show what README says")
    func pairs() {
        for commands in Self.bases {
            let trial = base(commands, sides: 2)
            if let difference = trial.difference { Issue.record("\(commands): \(difference)") }
            for (number, first) in Self.commands.enumerated() {
                for (other, second) in Self.commands.enumerated() {
                    // One way round the pair meets by deltas, the other way round by states.
                    let failure =
                        failure(trial, [first, second], number < other)
                        ?? (number == other ? failure(trial, [first, second], true) : nil)
                    guard let failure else { continue }
                    Issue.record("\(commands): \(first) | \(second): \(failure)")
                    return
                }
            }
        }
    }

    @Test("two commands on one side and one on the other, then one that sees all")
    func longer() {
        let few = Self.commands.filter { ["a", "b", "10", "0", "k", "1"].contains($0.last) }
        for commands in Self.bases where !commands.isEmpty {
            let trial = base(commands, sides: 2)
            for (number, first) in few.enumerated() {
                for (other, second) in few.enumerated() {
                    let third = few[(number * 7 + other * 3) % few.count]
                    let last = Self.afterwards[(number + other) % Self.afterwards.count]
                    var trial = trial
                    trial.run(first, on: 0)
                    trial.run(second, on: 1)
                    trial.run(third, on: 0)
                    trial.meet(byDeltas: other % 2 == 0)
                    trial.run(last, on: 1)
                    trial.meet(byDeltas: number % 2 == 0)
                    guard let difference = trial.difference else { continue }
                    Issue.record(
                        "\(commands): \(first), \(third) | \(second); \(last): \(difference)")
                    return
                }
            }
        }
    }

    @Test("triples on three sides, of one command a kind")
    func triples() {
        let kinds: [[String]] = [
            ["DEL", "k"], ["SET", "k", "7"], ["INCR", "k"], ["SADD", "k", "a"], ["SREM", "k", "a"],
            ["HSET", "k", "a", "0"], ["HINCRBY", "k", "a", "1"], ["HDEL", "k", "a"],
            ["ZADD", "k", "0", "a"], ["ZINCRBY", "k", "1", "a"], ["ZREM", "k", "a"],
            ["RPUSH", "k", "z"], ["LPOP", "k"], ["LSET", "k", "0", "s"],
        ]
        for commands in Self.bases {
            let trial = base(commands, sides: 3)
            // What another type's commands do to a value, the pairs have shown.
            let kinds = kinds.filter { kind in
                kind[0] == "DEL" || kind[0] == "SET" || commands.isEmpty
                    || trial.takes(kind)
            }
            for (number, first) in kinds.enumerated() {
                for second in kinds {
                    for third in kinds {
                        let failure = failure(trial, [first, second, third], number % 2 == 0)
                        guard let failure else { continue }
                        Issue.record("\(commands): \(first) | \(second) | \(third): \(failure)")
                        return
                    }
                }
            }
        }
    }
}
