extension LoadRun {
    private static let verificationsUnderWayMax = 48
    private static let pauseNanoseconds: UInt64 = 50_000_000

    /// Reads every acknowledged write back from the healed cluster.
    ///
    /// A read that is refused is tried again; what cannot be read until the time is over stays
    /// unverified, and nobody can say whether it is lost.
    ///
    /// - Parameters:
    ///   - options: stand behind `GET key`, such as `R ALL`.
    ///   - milliseconds: the bound for all of it.
    /// - Returns: how many keys could not be read.
    public func verify(options: [String], milliseconds: Int) throws(Failure) -> Int {
        verificationOptions = options
        for index in keyspaces.indices {
            keyspaces[index].unverified = keyspaces[index].ledger.promised
        }
        let deadline = MonotonicClock.now + UInt64(milliseconds) * 1_000_000
        while MonotonicClock.now < deadline,
            underWay > 0 || keyspaces.contains(where: { !$0.unverified.isEmpty })
        {
            try Interruption.check()
            turn()
        }
        return keyspaces.reduce(0) { $0 + $1.ledger.promised.count - $1.verified }
    }

    /// Keeps a bounded number of reads under way.
    func issueVerification(_ now: UInt64) {
        var rotation = 0
        for index in keyspaces.indices where keyspaces[index].verifyFrom <= now {
            while let key = keyspaces[index].unverified.last {
                rotation += 1
                guard underWay < LoadRun.verificationsUnderWayMax * keyspaces.count,
                    let connection = connection(keyspace: index, rotation: rotation, probe: false)
                else { break }
                keyspaces[index].unverified.removeLast()
                connection.send(
                    ["GET", name(index, key)] + verificationOptions,
                    LoadRequest(
                        keyspace: index, purpose: .verify(key: key), intended: now, sent: now))
            }
        }
    }

    func tookVerification(_ completion: LoadCompletion, _ index: Int, _ key: Int) {
        guard let found = LoadRun.number(in: completion.outcome) else {
            keyspaces[index].unverified.append(key)
            keyspaces[index].verifyFrom = completion.at + LoadRun.pauseNanoseconds
            return
        }
        keyspaces[index].verified += 1
        if keyspaces[index].ledger.finding(key: key, number: found) == .lost {
            keyspaces[index].lost += 1
        }
    }
}
