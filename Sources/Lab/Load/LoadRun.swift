import Base

/// An open-loop load on several keyspaces through all nodes, with staleness probes beside it.
///
/// Open loop: each operation has the moment at which it should be sent, whatever the answers before
/// it took, and its corrected latency counts from there; otherwise a store that stalls would stop
/// its own stop watch (coordinated omission). When this generator itself is late, `lag` says by how
/// much. A client whose node is gone goes on to the next node, as client libraries do; what was
/// under way there is unknown.
///
/// One thread, one clock. `turn` does everything that is due and waits for at most a moment;
/// whoever drives it injects faults between turns. Values are the write's number, a colon and
/// padding.
///
/// Reading order: this file, LoadRun+Requests.swift (what is sent), LoadRun+Answers.swift (what
/// comes back), LoadRun+Verification.swift (the reading back at the end).
public final class LoadRun {
    private static let connectionsPerNode = 3
    static let valueBytes = 100

    /// The keyspaces, in the order of their plans.
    public internal(set) var keyspaces: [KeyspaceLoad]
    /// How late operations were sent.
    public internal(set) var lag = Histogram()
    /// Which of the phases the run is in; probes are counted under it.
    public var phase = 0
    /// Answers to `control`, oldest first.
    public internal(set) var controlAnswers: [Outcome] = []

    let nodes: Int
    /// For each keyspace and node `connectionsPerNode`; the last of these is for probes.
    var connections: [LoadConnection] = []
    var control: [LoadConnection] = []
    var start: UInt64 = 0
    /// Operations are issued up to this moment.
    var end: UInt64 = 0
    var completions: [LoadCompletion] = []
    var verificationOptions: [String] = []

    /// - Parameters:
    ///   - addresses: where clients reach the nodes.
    ///   - phases: how many phases the run will go through.
    ///   - seed: the same seed chooses the same operations.
    public init(
        _ plans: [KeyspaceLoad.Plan], addresses: [NodeSettings.Endpoint], phases: Int, seed: UInt64
    ) {
        var random = PRNG(seed: seed)
        keyspaces = plans.map { KeyspaceLoad($0, phases: phases, random: &random) }
        nodes = addresses.count
        for _ in plans {
            for (node, address) in addresses.enumerated() {
                for _ in 0..<LoadRun.connectionsPerNode {
                    connections.append(LoadConnection(node: node, address))
                }
            }
        }
        control = addresses.enumerated().map { LoadConnection(node: $0.offset, $0.element) }
    }

    /// Connects to every node.
    ///
    /// - Throws: `unavailable` when some node cannot be reached in time; `interrupted`.
    public func connect(milliseconds: Int) throws(Failure) {
        let deadline = MonotonicClock.now + UInt64(milliseconds) * 1_000_000
        while let missing = (connections + control).first(where: { !$0.isUp }) {
            try Interruption.check()
            guard MonotonicClock.now < deadline else {
                throw Failure(.unavailable, "cannot connect to \(missing.address)")
            }
            turn()
        }
    }

    /// Starts the clock.
    public func begin(seconds: Int) {
        start = MonotonicClock.now
        end = start + UInt64(seconds) * 1_000_000_000
    }

    /// Nanoseconds since `begin`.
    public var elapsed: UInt64 { MonotonicClock.now - start }
    /// True once nothing is issued any more and everything issued was answered or given up.
    public var isOver: Bool { MonotonicClock.now >= end && underWay == 0 }
    /// Requests that wait for an answer.
    var underWay: Int { (connections + control).reduce(0) { $0 + $1.underWay } }

    /// Does what is due, waits for at most 20 ms for more, and takes in what has arrived.
    public func turn() {
        let now = MonotonicClock.now
        for connection in connections + control { connection.tend(now: now, &completions) }
        issueLoad(now)
        issueProbes(now)
        issueVerification(now)
        exchange(waitUntil: min(nextMoment, now + 20_000_000))
        for completion in completions { take(completion) }
        completions.removeAll(keepingCapacity: true)
    }

    private func exchange(waitUntil moment: UInt64) {
        var ready = ReadySet()
        let all = connections + control
        for connection in all {
            connection.flush(&completions)
            connection.watch(&ready)
        }
        let now = MonotonicClock.now
        ready.wait(nanoseconds: completions.isEmpty && moment > now ? moment - now : 0)
        for connection in all { connection.receive(&ready, &completions) }
    }

    /// The next moment at which something is to be sent.
    private var nextMoment: UInt64 {
        var moment = UInt64.max
        for keyspace in keyspaces where MonotonicClock.now < end {
            moment = min(moment, start + keyspace.nextOffset)
            for prober in keyspace.probers { moment = min(moment, prober.nextMoment ?? .max) }
        }
        return moment
    }

    /// A connection for a keyspace's operation: of the wanted node, or of the next one that can be
    /// reached.
    func connection(keyspace: Int, rotation: Int, probe: Bool) -> LoadConnection? {
        let perNode = LoadRun.connectionsPerNode
        let slot = probe ? perNode - 1 : rotation / nodes % (perNode - 1)
        for offset in 0..<nodes {
            let node = (rotation + offset) % nodes
            let connection = connections[(keyspace * nodes + node) * perNode + slot]
            if connection.isUp { return connection }
        }
        return nil
    }
}
