import Base
import Causality
import Testing

@testable import CRDT

@Suite("Lists do not interleave (Weidner & Kleppmann 2023, §2)")
struct ListTests {
    private func push(
        _ replica: inout Replica, _ text: String, at index: Int, _ time: UInt64
    ) throws {
        _ = try replica.state.listInsert(
            [bytes(text)], at: index, dot: replica.dot(time), now: 0)
    }

    private func shown(_ replica: Replica) -> String {
        replica.state.listTexts(now: 0).joined()
    }

    @Test("runs that two replicas insert forwards, backwards or both at one place stay whole",
        arguments: [true, false], [true, false])
    func concurrentRuns(_ aForwards: Bool, _ bForwards: Bool) throws {
        for place in 0...2 {
            var a = Replica(1)
            var b = Replica(2)
            try push(&a, "<", at: 0, 1)
            try push(&a, ">", at: 1, 2)
            b.join(a)
            for step in 0..<5 {
                try push(&a, "a", at: aForwards ? place + step : place, UInt64(10 + step))
                try push(&b, "b", at: bForwards ? place + step : place, UInt64(10 + step))
            }
            a.join(b)
            b.join(a)
            #expect(a.state == b.state)
            let text = shown(a)
            #expect(text.contains("aaaaa") && text.contains("bbbbb"), "\(text)")
        }
    }

    @Test("the sides of a partition stay whole even where several replicas push in turn")
    func sides() throws {
        for isRight in [true, false] {
            var replicas = (1...4).map { Replica(UInt16($0)) }
            for step in 0..<6 {
                for side in 0...1 {
                    let index = side * 2 + step % 2
                    let count = replicas[index].state.listCount(now: 0)
                    try push(
                        &replicas[index], side == 0 ? "a" : "b", at: isRight ? count : 0,
                        UInt64(10 + step))
                    replicas[index ^ 1].join(replicas[index])
                }
            }
            replicas[0].join(replicas[2])
            let text = shown(replicas[0])
            #expect(text == "aaaaaabbbbbb" || text == "bbbbbbaaaaaa", "\(text)")
        }
    }

    @Test("a queue that replicas fill in turn keeps short positions and no tombstones")
    func queue() throws {
        var replicas = (1...3).map { Replica(UInt16($0)) }
        var expected: [String] = []
        for step in 0..<600 {
            let index = step % 3
            let dot = replicas[index].dot(UInt64(step) * 2 + 1)
            let count = replicas[index].state.listCount(now: 0)
            let text = "\(step)"
            let place = step % 5 == 4 ? 0 : count
            _ = try replicas[index].state.listInsert([bytes(text)], at: place, dot: dot, now: 0)
            expected.insert(text, at: place)
            if expected.count > 10 {
                let later = replicas[index].dot(UInt64(step) * 2 + 2)
                _ = try replicas[index].state.listRemove(at: [0], dot: later, now: 0)
                expected.removeFirst()
            }
            #expect(replicas[index].state.listTexts(now: 0) == expected)
            replicas[(index + 1) % 3].join(replicas[index])
        }
        #expect(bytes(of: replicas[0].state).count < 5_000)
    }

    @Test("insertions between each other's elements go deep, and then are refused")
    func depth() throws {
        var replicas = [Replica(1), Replica(2)]
        try push(&replicas[0], "<", at: 0, 1)
        try push(&replicas[0], ">", at: 1, 2)
        var inserted = 0
        for step in 0..<600 {
            replicas[step % 2].join(replicas[(step + 1) % 2])
            do {
                try push(&replicas[step % 2], "x", at: 1 + (step / 2) % 2, UInt64(10 + step))
                inserted += 1
            } catch {
                #expect(error as? CRDTRefusal == .tooLarge)
                break
            }
        }
        #expect(inserted >= Position.depthMax - 1)
        #expect(inserted < 600)
        let state = replicas[0].state
        #expect(try decodedState(bytes(of: state)) == state)
    }
}
