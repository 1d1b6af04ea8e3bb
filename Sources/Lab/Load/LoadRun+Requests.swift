extension LoadRun {
    private static let padding = String(repeating: "x", count: valueBytes)

    /// Sends every operation whose moment has come.
    func issueLoad(_ now: UInt64) {
        for index in keyspaces.indices {
            while true {
                let intended = start + keyspaces[index].nextOffset
                guard intended <= now, intended < end else { break }
                issueOperation(index, intended: intended)
                keyspaces[index].issued += 1
            }
        }
    }

    private func issueOperation(_ index: Int, intended: UInt64) {
        let sent = MonotonicClock.now
        lag.record(sent - intended)
        let rotation = keyspaces[index].issued
        guard let connection = connection(keyspace: index, rotation: rotation, probe: false) else {
            keyspaces[index].failed += 1
            keyspaces[index].note("unreachable")
            return
        }
        let readable =
            rotation.isMultiple(of: 2)
            ? keyspaces[index].anyAcknowledged() : nil
        let words: [String]
        let purpose: LoadRequest.Purpose
        if let (key, acknowledged) = readable {
            words = ["GET", name(index, key)]
            purpose = .read(key: key, acknowledged: acknowledged)
        } else {
            let (key, number) = keyspaces[index].beginWrite()
            words = ["SET", name(index, key), value(number)]
            purpose = .write(key: key, number: number)
        }
        connection.send(
            words, LoadRequest(keyspace: index, purpose: purpose, intended: intended, sent: sent))
    }

    /// Lets every prober take its next step.
    func issueProbes(_ now: UInt64) {
        guard now < end else { return }
        for index in keyspaces.indices {
            let reachable = (0..<nodes).filter {
                connection(keyspace: index, rotation: $0, probe: true)?.node == $0
            }
            guard !reachable.isEmpty else { continue }
            for prober in keyspaces[index].probers.indices {
                let now = MonotonicClock.now
                if let step = keyspaces[index].probers[prober].step(now: now, nodes: reachable) {
                    issue(step, of: prober, index, now)
                }
            }
        }
    }

    private func issue(_ step: Prober.Step, of prober: Int, _ index: Int, _ now: UInt64) {
        let key = "\(keyspaces[index].plan.name):probe-\(prober)"
        let (node, words, purpose): (Int, [String], LoadRequest.Purpose) =
            switch step {
            case .write(let node, let number):
                (node, ["SET", key, "\(number)"], .probeWrite(prober: prober))
            case .read(let node): (node, ["GET", key], .probeRead(prober: prober))
            }
        let connection = connection(keyspace: index, rotation: node, probe: true)
        precondition(connection?.node == node, "a prober is only offered nodes that can be reached")
        connection?.send(
            words, LoadRequest(keyspace: index, purpose: purpose, intended: now, sent: now))
    }

    /// Sends a command to one node beside the load; its answer joins `controlAnswers`.
    ///
    /// - Returns: false when the node cannot be reached.
    public func control(node: Int, _ words: [String]) -> Bool {
        guard control[node].isUp else { return false }
        let now = MonotonicClock.now
        control[node].send(
            words, LoadRequest(keyspace: 0, purpose: .control, intended: now, sent: now))
        return true
    }

    func name(_ index: Int, _ key: Int) -> String { "\(keyspaces[index].plan.name):k\(key)" }

    private func value(_ number: Int) -> String {
        let text = "\(number):"
        return text + LoadRun.padding.dropFirst(text.utf8.count)
    }
}
