import Quorum
import Testing

/// The second implementation: it knows only how a read ends once every replica has answered, and
/// walks through all futures.
private struct ReadFutures {
    static let answers: [ReadAnswer] = [
        .answered(primary: true), .answered(primary: false), .refused(.overloaded), .lost,
    ]

    let n: Int
    let r: Int
    let pr: Int
    var path: [Int] = []
    var visited = 0
    var wrong: String?

    init(n: Int, r: Int, pr: Int) {
        (self.n, self.r, self.pr) = (n, r, pr)
    }

    func verdict() -> ReadDecision {
        let all = path.filter { $0 < 2 }.count
        let primary = path.filter { $0 == 0 }.count
        if all < r { return .failed(answered: all, required: r) }
        if primary < pr { return .failed(answered: primary, required: pr) }
        return .satisfied
    }

    /// - Returns: 1 when a satisfied end can still come, 2 when a failed one can, or their sum.
    mutating func walk(_ tally: ReadTally, fell: ReadDecision?) -> Int {
        visited += 1
        var endings = 0
        if path.count == n { endings = verdict() == .satisfied ? 1 : 2 }
        for kind in 0..<4 where path.count < n {
            path.append(kind)
            var next = tally
            let decision = next.record(ReadFutures.answers[kind], from: n - path.count)
            if decision != nil && tally.decision != nil { wrong = "decided twice at \(path)" }
            endings |= walk(next, fell: decision)
            path.removeLast()
        }
        if (tally.decision != nil) != (endings != 3) { wrong = "\(endings) at \(path)" }
        if tally.decision == .satisfied && endings != 1 { wrong = "satisfied at \(path)" }
        if let fell, fell != verdict() { wrong = "\(fell) at \(path)" }
        var expired = tally
        let expected = tally.decision == nil ? verdict() : nil
        if expired.expire() != expected { wrong = "expired at \(path)" }
        return endings
    }
}

@Suite("The read tally against all futures")
struct ReadTallyLaws {
    @Test(
        "a read is decided as soon as, and only when, all futures agree, for every N ≤ 5",
        arguments: 1...5)
    func allFutures(n: Int) {
        for r in 1...n {
            for pr in 0...n {
                var futures = ReadFutures(n: n, r: r, pr: pr)
                let tally = ReadTally(replicaCount: n, readQuorum: r, primaryReadQuorum: pr)
                _ = futures.walk(tally, fell: nil)
                #expect(futures.wrong == nil, "N=\(n) R=\(r) PR=\(pr)")
                #expect(futures.visited == [5, 21, 85, 341, 1_365][n - 1])
            }
        }
    }
}
