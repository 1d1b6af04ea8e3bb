extension LoadRun {
    /// Books an answer where its request belongs.
    func take(_ completion: LoadCompletion) {
        let index = completion.request.keyspace
        switch completion.request.purpose {
        case .write(let key, let number):
            keyspaces[index].ledger.endWrite(key: key, number: number, completion.outcome)
            tookWrite(completion, index)
        case .read(_, let acknowledged): tookRead(completion, index, acknowledged)
        case .probeWrite(let prober):
            keyspaces[index].probers[prober].wrote(completion.outcome, now: completion.at)
        case .probeRead(let prober):
            let found = LoadRun.number(in: completion.outcome)
            if let sighting = keyspaces[index].probers[prober].read(found, now: completion.at) {
                keyspaces[index].curves[phase].record(
                    at: sighting.position, delay: sighting.delay, behind: sighting.behind)
            }
        case .verify(let key): tookVerification(completion, index, key)
        case .control: controlAnswers.append(completion.outcome)
        }
    }

    private func tookWrite(_ completion: LoadCompletion, _ index: Int) {
        switch completion.outcome {
        case .done: keyspaces[index].writes.record(completion)
        case .refused(let problem):
            keyspaces[index].failed += 1
            keyspaces[index].note(problem)
        case .unknown(let problem):
            keyspaces[index].failed += 1
            keyspaces[index].unknown += 1
            keyspaces[index].note(problem)
        }
    }

    private func tookRead(_ completion: LoadCompletion, _ index: Int, _ acknowledged: Int) {
        switch completion.outcome {
        case .done:
            keyspaces[index].reads.record(completion)
            if let found = LoadRun.number(in: completion.outcome), found < acknowledged {
                keyspaces[index].staleReads += 1
            }
        case .refused(let problem), .unknown(let problem):
            keyspaces[index].failed += 1
            keyspaces[index].note(problem)
        }
    }

    /// The number of the write that stored what was read: 0 for no value, nil for an error or a
    /// value not of ours.
    static func number(in outcome: Outcome) -> Int? {
        guard case .done(let reply) = outcome else { return nil }
        if reply == .bulk(nil) { return 0 }
        guard let text = reply.text else { return nil }
        return Int(text.prefix { $0 != ":" })
    }
}
