import Quorum
import Testing

/// The second implementation: it knows only how a write ends once every replica has answered, and
/// walks through all futures.
private struct WriteFutures {
    enum Ending: UInt8 {
        case satisfied = 1
        case failed = 2
        case unknown = 4
    }

    static let answers: [WriteAnswer] = [
        .acknowledged(primary: true, durable: true), .acknowledged(primary: true, durable: false),
        .acknowledged(primary: false, durable: true),
        .acknowledged(primary: false, durable: false), .refused(.diskFull), .lost,
    ]

    let n: Int
    let w: Int
    let pw: Int
    let dw: Int
    var path: [Int] = []
    var visited = 0
    var wrong: String?

    init(n: Int, w: Int, pw: Int, dw: Int) {
        (self.n, self.w, self.pw, self.dw) = (n, w, pw, dw)
    }

    /// Acknowledgements on the path: all, by primaries, durable.
    func counts() -> (all: Int, primary: Int, durable: Int) {
        var result = (all: 0, primary: 0, durable: 0)
        for kind in path where kind < 4 {
            result.all += 1
            if kind == 0 || kind == 1 { result.primary += 1 }
            if kind == 0 || kind == 2 { result.durable += 1 }
        }
        return result
    }

    func ending() -> Ending {
        let now = counts()
        if now.all >= w && now.primary >= pw && now.durable >= dw { return .satisfied }
        return path.allSatisfy { $0 == 4 } ? .failed : .unknown
    }

    func missed() -> WriteDecision {
        let now = counts()
        if now.all < w { return .unknown(acknowledged: now.all, required: w) }
        if now.primary < pw { return .unknown(acknowledged: now.primary, required: pw) }
        return .unknown(acknowledged: now.durable, required: dw)
    }

    /// Walks every future of a tally and checks it on the way back.
    ///
    /// - Returns: the endings that can still come, as a sum of `Ending`s.
    mutating func walk(_ tally: WriteTally, fell: WriteDecision?) -> UInt8 {
        visited += 1
        var endings: UInt8 = 0
        if path.count == n { endings = ending().rawValue }
        for kind in 0..<6 where path.count < n {
            path.append(kind)
            var next = tally
            let decision = next.record(WriteFutures.answers[kind], from: path.count - 1)
            if decision != nil && tally.decision != nil { wrong = "decided twice at \(path)" }
            endings |= walk(next, fell: decision)
            path.removeLast()
        }
        check(tally, fell, endings)
        return endings
    }

    mutating func check(_ tally: WriteTally, _ fell: WriteDecision?, _ endings: UInt8) {
        switch (Ending(rawValue: endings), tally.decision) {
        case (nil, nil): break
        case (.satisfied, .satisfied), (.failed, .failed(.diskFull)): break
        case (.unknown, .unknown): if let fell, fell != missed() { wrong = "\(fell) at \(path)" }
        case (_, let decision): wrong = "\(String(describing: decision)) at \(path)"
        }
        var expired = tally
        let decision = expired.expire()
        let expected = tally.decision == nil ? missed() : nil
        if decision != expected { wrong = "\(String(describing: decision)) expired at \(path)" }
    }
}

@Suite("The write tally against all futures")
struct WriteTallyLaws {
    @Test(
        "a write is decided as soon as, and only when, all futures agree, for every N ≤ 5",
        arguments: 1...5)
    func allFutures(n: Int) {
        for w in 1...n {
            for pw in 0...n {
                for dw in 0...n {
                    var futures = WriteFutures(n: n, w: w, pw: pw, dw: dw)
                    let tally = WriteTally(
                        replicaCount: n, writeQuorum: w, primaryWriteQuorum: pw,
                        durableWriteQuorum: dw)
                    _ = futures.walk(tally, fell: nil)
                    #expect(futures.wrong == nil, "N=\(n) W=\(w) PW=\(pw) DW=\(dw)")
                    #expect(futures.visited == [7, 43, 259, 1_555, 9_331][n - 1])
                }
            }
        }
    }
}
