import Base
import Causality
import Testing

@testable import CRDT

/// What README says of bounded counters, by pairs of commands: no change is lost, a DEL, a SET and
/// a time that has come end the counter that they have seen, and it never falls below its bound.
@Suite("Pairs of commands on a bounded counter on the sides of a cut")
struct BoundedPairTests {
    private static let commands: [[String]] = [
        ["QBOUND", "k", "INCR", "3"], ["QBOUND", "k", "DECR", "2"], ["QBOUND", "k", "DECR", "5"],
        ["DEL", "k"], ["SET", "k", "7"], ["EXPIRE", "k", "50"], ["PERSIST", "k"],
    ]

    /// Two nodes that know of a counter of 15; the first has the rights to 10, the second to 5.
    private func base() -> [CommandReplica] {
        var replicas = [CommandReplica(1), CommandReplica(2)]
        _ = replicas[0].run(["QBOUND", "k", "CREATE", "10"], at: 1)
        replicas[1].state.join(replicas[0].state)
        _ = replicas[1].run(["QBOUND", "k", "INCR", "5"], at: 2)
        replicas[0].state.join(replicas[1].state)
        return replicas
    }

    /// Runs each command on its side, and has the sides meet.
    private func met(_ apart: [[String]], byDeltas: Bool) -> [CommandReplica] {
        var replicas = base()
        let deltas = zip(replicas.indices, apart).map { replicas[$0].run($1, at: 10) }
        let before = replicas
        for index in replicas.indices {
            let other = 1 - index
            if byDeltas, let delta = deltas[other] {
                #expect(replicas[index].state.apply(delta) == .applied, "\(apart)")
            } else {
                replicas[index].state.join(before[other].state)
            }
        }
        return replicas
    }

    private func change(_ command: [String]) -> Int64 {
        guard command[0] == "QBOUND" else { return 0 }
        let amount = Int64(command[3]) ?? 0
        return command[2] == "INCR" ? amount : -amount
    }

    /// - Parameter isOver: the time that an EXPIRE gave has come.
    private func expected(_ apart: [[String]], isOver: Bool) -> [String] {
        let names = apart.map { $0[0] }
        if names.contains("SET") { return ["string", "7"] }
        if names.contains("DEL") || isOver && names.contains("EXPIRE") { return [] }
        return ["bounded", "\(15 + apart.reduce(0) { $0 + change($1) })"]
    }

    @Test("all pairs, met by deltas and by states", arguments: [false, true])
    func pairs(byDeltas: Bool) {
        for first in Self.commands {
            for second in Self.commands {
                let apart = [first, second]
                let replicas = met(apart, byDeltas: byDeltas)
                #expect(replicas[0].state == replicas[1].state, "\(apart)")
                for (time, isOver) in [(20, false), (1_000, true)] as [(UInt64, Bool)] {
                    let shown = replicas.map { $0.shown(at: time) }
                    let expected = expected(apart, isOver: isOver)
                    #expect(shown == [expected, expected], "\(apart) at \(time)")
                }
            }
        }
    }

    @Test("what both take unheard, each within its rights, is all that there is, and no more")
    func rights() {
        for first in Self.commands where first[0] == "QBOUND" {
            for second in Self.commands where second[0] == "QBOUND" {
                var replicas = met([first, second], byDeltas: true)
                let value = replicas[0].state.boundedValue(now: 20) ?? -1
                let rights = replicas.map { $0.state.boundedRights(of: $0.identity, now: 20) }
                #expect(rights.reduce(0, +) == value, "\(first) \(second)")
                for (index, amount) in rights.enumerated() {
                    let tooMuch = ["QBOUND", "k", "DECR", "\(amount + 1)"]
                    #expect(replicas[index].run(tooMuch, at: 30) == nil)
                    _ = replicas[index].run(["QBOUND", "k", "DECR", "\(amount)"], at: 31)
                }
                replicas[0].state.join(replicas[1].state)
                #expect(replicas[0].shown(at: 40) == ["bounded", "0"], "\(first) \(second)")
            }
        }
    }
}
