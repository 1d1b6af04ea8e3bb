import Base
import Causality
import Testing

@testable import CRDT

@Suite("Lists do not interleave (Weidner & Kleppmann 2023, §2)")
struct ListTests {
    private func push(
        _ replica: inout Replica, _ text: String, at index: Int, _ time: UInt64,
        heard: Stamp = Stamp(rawValue: 0)
    ) throws {
        _ = try replica.state.listInsert(
            [bytes(text)], at: index, dot: replica.dot(time), now: 0, heard: heard)
    }

    private func shown(_ replica: Replica) -> String {
        replica.state.listTexts(now: 0).joined()
    }

    @Test(
        "runs that two replicas insert forwards, backwards or both at one place stay whole",
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
            for step in 0..<100 {
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
            let (a, b) = (String(repeating: "a", count: 100), String(repeating: "b", count: 100))
            #expect(text == a + b || text == b + a, "\(text)")
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
            _ = try replicas[index].state.listInsert(
                [bytes(text)], at: place, dot: dot, now: 0, heard: dot.stamp)
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
        var (left, right) = (Position?.none, Position?.none)
        var inserted = 0
        for step in 0..<10_000 {
            let dot = Replica(UInt16(step % 2 + 1)).dot(UInt64(10 + step))
            let room = Position.between(left, right, count: 1, dot: dot, mayBeginTree: false)
            guard let place = room?.first else { break }
            if let left { #expect(left < place) }
            if let right { #expect(place < right) }
            // Towards the middle from both sides, so that nobody's run goes on.
            if step / 2 % 2 == 0 { left = place } else { right = place }
            inserted += 1
        }
        #expect(inserted >= Position.depthMax - 1)
        #expect(inserted < 10_000)
    }

    /// Two replicas push in turn, the third pushes three times beside them, and all meet.
    ///
    /// - Parameters:
    ///   - alone: the index of the third.
    ///   - heard: what those that push in turn take for known by all.
    /// - Returns: one that knows all, and the bytes of the last delta.
    private func pushedInTurn(
        _ count: Int, alone: Int, heard: Stamp = Stamp(rawValue: 0)
    ) throws -> (replica: Replica, deltaBytes: Int) {
        var replicas = (1...3).map { Replica(UInt16($0)) }
        try push(&replicas[0], "x", at: 0, 1)
        for index in 1...2 { replicas[index].join(replicas[0]) }
        let pair = [0, 1, 2].filter { $0 != alone }
        var deltaBytes = 0
        for step in 0..<count {
            let (index, other) = (pair[step % 2], pair[1 - step % 2])
            let delta = try replicas[index].state.listInsert(
                ["a"], at: step + 1, dot: replicas[index].dot(UInt64(10 + step)), now: 0,
                heard: heard)
            let sent = try #require(delta)
            deltaBytes = bytes(of: sent).count
            #expect(replicas[other].state.apply(sent) == .applied)
        }
        for step in 0..<3 { try push(&replicas[alone], "b", at: step + 1, UInt64(10 + step)) }
        replicas[pair[0]].join(replicas[alone])
        return (replicas[pair[0]], deltaBytes)
    }

    private func isWhole(_ text: String, _ count: Int) -> Bool {
        let run = String(repeating: "a", count: count)
        return text == "x\(run)bbb" || text == "xbbb\(run)"
    }

    @Test(
        "12 pushes in turn on one side, or 1,000, stay together, and cost what they add",
        arguments: [12, 1_000], [0, 1, 2])
    func turns(_ count: Int, alone: Int) throws {
        let (replica, deltaBytes) = try pushedInTurn(count, alone: alone)
        #expect(isWhole(shown(replica), count), "\(shown(replica))")
        #expect(deltaBytes < 100 + 8 * count)
        #expect(bytes(of: replica.state).count < 200 + 40 * count)
        #expect(try decodedState(bytes(of: replica.state)) == replica.state)
    }

    @Test("they were split where a side began new trees that the other had not heard of")
    func splitTurns() throws {
        let texts = try [0, 1, 2].map { alone in
            shown(try pushedInTurn(12, alone: alone, heard: Stamp(rawValue: .max)).replica)
        }
        #expect(!texts.allSatisfy { isWhole($0, 12) }, "\(texts)")
    }

    @Test("an insertion before what a side has pushed stays with it")
    func insertedBefore() throws {
        for owner in 1...2 {
            var a = Replica(1)
            var b = Replica(2)
            if owner == 1 { try push(&a, "x", at: 0, 1) } else { try push(&b, "x", at: 0, 1) }
            a.join(b)
            b.join(a)
            try push(&a, "b", at: 1, 2)
            try push(&a, "a", at: 1, 3)
            try push(&b, "y", at: 1, 2)
            a.join(b)
            #expect(["xaby", "xyab"].contains(shown(a)), "\(shown(a))")
        }
    }

    @Test("a long chain of paths is freed without a deep stack")
    func freed() {
        var path: PositionPath?
        for stamp in 1...200_000 as ClosedRange<UInt64> {
            let run = Dot(identity: identity(1), stamp: Stamp(rawValue: stamp))
            path = PositionPath(Position.Step(from: .init(), side: .right, run: run), in: path)
        }
        #expect(path?.depth == 200_000)
        path = nil
    }
}
