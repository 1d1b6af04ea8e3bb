import Base
import Glibc

extension LocalCluster {
    /// From now on the nodes that are started end when this process ends, even by SIGKILL: they
    /// hold the other end of a pipe as their standard input.
    public func tetherNodes() throws(Failure) {
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { throw Failure(.cannotCreate, "no pipe: \(lastError())") }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        tether = (ends[0], ends[1])
    }

    /// Starts every node that is not running.
    ///
    /// - Returns: the nodes that were started.
    @discardableResult public func startAll() throws(Failure) -> [NodeID] {
        var started: [NodeID] = []
        for node in state.nodes where node.process?.condition != .alive {
            try start(node.id)
            started.append(node.id)
        }
        return started
    }

    /// Starts one node's process and notes it; it is not ready yet.
    public func start(_ node: NodeID) throws(Failure) {
        guard let executable = NodeProcess.ownExecutable else {
            throw Failure(.internalDefect, "cannot read /proc/self/exe")
        }
        var words = [executable, "serve", "--config", path(of: node, ".json5")]
        if tether != nil { words.append("--while-stdin-open") }
        let process = try NodeProcess.start(words, log: path(of: node, ".log"), input: tether?.read)
        state.nodes[position(of: node)].process = process
        try save()
    }

    /// Ends one node at once, as a crash would.
    public func kill(_ node: NodeID) {
        let position = position(of: node)
        guard let process = state.nodes[position].process else { return }
        process.signal(SIGKILL)
        _ = process.waitForEnd(milliseconds: 5000)
        state.nodes[position].process = nil
    }

    /// Ends all nodes: SIGTERM, and SIGKILL for those that take longer than ten seconds.
    ///
    /// - Returns: the nodes that were running.
    @discardableResult public func stopAll() throws(Failure) -> [NodeID] {
        try stop(state.nodes.map(\.id))
    }

    /// Ends some nodes as `stopAll` does and leaves the others alone.
    ///
    /// - Returns: those of them that were running.
    @discardableResult public func stop(_ nodes: [NodeID]) throws(Failure) -> [NodeID] {
        let chosen = state.nodes.filter { nodes.contains($0.id) }
        let running = chosen.filter { $0.process?.condition == .alive }
        for node in running { node.process?.signal(SIGTERM) }
        for node in running { node.process?.end(graceMilliseconds: 10_000) }
        for node in chosen {
            node.process?.collect()
            state.nodes[position(of: node.id)].process = nil
        }
        try save()
        return running.map(\.id)
    }

    /// Ends all nodes and removes the directory with their data.
    public func destroy() {
        for node in state.nodes { node.process?.end(graceMilliseconds: 2000) }
        Files.removeTree(directory)
    }

    /// Waits until every node that was not forgotten answers and has a link to every other, and,
    /// for up to three seconds more, until none has to be refilled: new nodes are whole as soon as
    /// all have met.
    ///
    /// - Throws: as soon as any node ended, what it ended with, and the last line of its log;
    ///   `unavailable` when the time is over; `interrupted`.
    public func waitUntilReady(milliseconds: Int) throws(Failure) {
        let deadline = MonotonicClock.now + UInt64(milliseconds) * 1_000_000
        var refillsUntil: UInt64?
        for node in state.nodes {
            while true {
                try Interruption.check()
                for node in state.nodes where node.process?.condition != .alive {
                    throw ended(node)
                }
                let health = NodeHealth(asking: node.client)
                if health.wasForgotten { break }
                let others = state.nodes.count - 1 - health.forgotten
                if health.answers, health.linksUp.map({ $0 >= others }) ?? false {
                    refillsUntil = refillsUntil ?? MonotonicClock.now + 3_000_000_000
                    let isLate = refillsUntil.map { $0 < MonotonicClock.now } ?? false
                    if health.refill == nil || isLate { break }
                }
                guard MonotonicClock.now < deadline else { throw late(node, health, milliseconds) }
                MonotonicClock.sleep(milliseconds: 20)
            }
        }
    }

    /// - Throws: what it ended with, and the last line of its log, when a node that was started is
    ///   not running any more.
    func checkAlive() throws(Failure) {
        for node in state.nodes {
            if let process = node.process, process.condition != .alive { throw ended(node) }
        }
    }

    private func ended(_ node: ClusterState.Node) -> Failure {
        let kind = node.process?.collect().flatMap(Failure.Kind.init(rawValue:)) ?? .failed
        let said = Files.tail(of: path(of: node.id, ".log"), lines: 1).first.map { line in
            ": " + (line.hasPrefix("quorate: ") ? String(line.dropFirst(9)) : line)
        }
        return Failure(kind, "\(node.id) ended by itself\(said ?? "")", hint: logHint(node))
    }

    private func late(_ node: ClusterState.Node, _ health: NodeHealth, _ milliseconds: Int)
        -> Failure
    {
        let links = "has \(health.linksUp ?? 0) of \(state.nodes.count - 1) links"
        let finding = health.answers ? links : "does not answer"
        return Failure(
            .unavailable,
            "\(node.id) \(finding) after \(milliseconds / 1000) s",
            hint: logHint(node))
    }

    /// Tethered nodes' logs are removed with the directory, before anybody could read them.
    private func logHint(_ node: ClusterState.Node) -> String? {
        tether == nil ? "its log is \(path(of: node.id, ".log"))" : nil
    }
}
