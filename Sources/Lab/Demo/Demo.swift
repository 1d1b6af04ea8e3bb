import Base
import Glibc

/// `quorate demo`: three real nodes, three keyspaces that differ only in what they promise, one
/// crash, one cut link.
///
/// The nodes run on loopback in a temporary directory that goes away with the run, or with the next
/// one where this process is killed; tethered to it they end even then. Faults happen at fixed
/// shares of the run (`script`). At the end every acknowledged write is read back with R=ALL from
/// the healed cluster.
///
/// What it does not do: judge latencies against a bar, or prove the absence of stale reads; it
/// shows what was seen.
public final class Demo {
    /// A thing that happens to the cluster, at a share of the run.
    enum Event: Equatable {
        case kill(NodeID)
        case restart(NodeID)
        case cut(NodeID, NodeID)
        case heal(NodeID, NodeID)

        /// The run's phase that it begins.
        var phase: String {
            switch self {
            case .kill(let node): "\(node) killed"
            case .restart(let node): "\(node) restarted"
            case .cut(let a, let b): "link \(a.rawValue)–\(b.rawValue) cut"
            case .heal(let a, let b): "link \(a.rawValue)–\(b.rawValue) healed"
            }
        }
    }

    /// Shares of the run in sixtieths, ascending.
    static let script: [(sixtieths: Int, event: Event)] = [
        (20, .kill(NodeID(3))), (26, .restart(NodeID(3))),
        (40, .cut(NodeID(1), NodeID(2))), (48, .heal(NodeID(1), NodeID(2))),
    ]
    private static let operationsPerSecond = 1000
    private static let probers = 4
    private static let readyMilliseconds = 20_000
    private static let verifyMilliseconds = 60_000

    private let seconds: Int
    private let progress: (String) -> Void
    private var upcoming = Demo.script[...]
    private var timeline: [DemoReport.Moment] = []
    private var problems: [String] = []
    private var reportAt: UInt64 = 0

    /// - Parameters:
    ///   - seconds: how long the load lasts, 6…3,600.
    ///   - progress: called about four times a second with one line.
    public init(seconds: Int, progress: @escaping (String) -> Void) {
        self.seconds = seconds
        self.progress = progress
    }

    /// The keyspaces, cheapest first.
    static func plans() throws(Failure) -> [KeyspaceLoad.Plan] {
        let words = [
            ("fast", ["n=3", "r=1", "w=1", "durability=interval(100)"]),
            ("quorum", ["n=3", "r=quorum", "w=quorum", "durability=fsync"]),
            ("readfast", ["n=3", "r=1", "w=3", "durability=fsync"]),
        ]
        var plans: [KeyspaceLoad.Plan] = []
        for (name, assignments) in words {
            do {
                plans.append(
                    KeyspaceLoad.Plan(
                        name: name, settings: try KeyspaceOverrides(assignments: assignments),
                        rate: operationsPerSecond, probers: probers))
            } catch {
                throw Failure(.internalDefect, "\(name): \(error)")
            }
        }
        return plans
    }

    /// Runs all of it; nothing is left behind.
    ///
    /// - Throws: when the cluster does not start, a node ends by itself, or a signal asks to stop.
    public func run() throws(Failure) -> DemoReport {
        Demo.removeAbandoned(in: LocalCluster.temporaryDirectory)
        let directory = LocalCluster.temporaryDirectory + "/\(Demo.prefix)\(getpid())"
        let plans = try Demo.plans()
        var plan = LocalCluster.Plan()
        plan.faults = true
        for keyspace in plans { plan.keyspaces[keyspace.name] = keyspace.settings }
        progress("starting three nodes")
        let cluster = try LocalCluster.create(directory, plan)
        defer { cluster.destroy() }
        try cluster.tetherNodes()
        try cluster.startAll()
        try cluster.waitUntilReady(milliseconds: Demo.readyMilliseconds)
        let run = LoadRun(
            plans, addresses: cluster.state.nodes.map(\.client), phases: Demo.script.count + 1,
            seed: 1)
        try run.connect(milliseconds: 5000)
        try load(run, cluster)
        return try conclude(run, cluster)
    }

    private static let prefix = "quorate-demo-"

    /// Removes what demos that were killed have left: no process has their number, and none holds
    /// their lock, be it one that this process cannot see.
    static func removeAbandoned(in parent: String) {
        for name in Files.names(in: parent) where name.hasPrefix(prefix) {
            let path = parent + "/" + name
            guard let process = pid_t(name.dropFirst(prefix.count)), process > 0,
                kill(process, 0) != 0, errno == ESRCH, Files.isOwnDirectory(path),
                let lock = try? Files.lock(path + "/lock")
            else { continue }
            Files.removeTree(path)
            close(lock)
        }
    }

    private func load(_ run: LoadRun, _ cluster: LocalCluster) throws(Failure) {
        run.begin(seconds: seconds)
        while !run.isOver {
            try Interruption.check()
            if let next = upcoming.first, run.elapsed >= moment(next.sixtieths) {
                upcoming.removeFirst()
                try apply(next.event, run, cluster)
                run.phase += 1
            }
            run.turn()
            try report(run, cluster)
        }
        for answer in run.controlAnswers where answer != .done(.simple("OK")) {
            problems.append("DEBUG was answered with \(answer)")
        }
    }

    /// Nanoseconds after the start.
    private func moment(_ sixtieths: Int) -> UInt64 {
        UInt64(seconds) * 1_000_000_000 * UInt64(sixtieths) / 60
    }

    private func apply(
        _ event: Event, _ run: LoadRun, _ cluster: LocalCluster
    ) throws(Failure) {
        timeline.append(DemoReport.Moment(nanoseconds: run.elapsed, event: event.phase))
        switch event {
        case .kill(let node): cluster.kill(node)
        case .restart(let node): try cluster.start(node)
        case .cut(let a, let b):
            // The deadline lifts the cut by itself should this process die before it heals it.
            let milliseconds = String(seconds * 1000 / 4)
            control(run, a, ["DEBUG", "CUT", String(b.rawValue), milliseconds])
            control(run, b, ["DEBUG", "CUT", String(a.rawValue), milliseconds])
        case .heal(let a, let b):
            control(run, a, ["DEBUG", "HEAL"])
            control(run, b, ["DEBUG", "HEAL"])
        }
    }

    private func control(_ run: LoadRun, _ node: NodeID, _ words: [String]) {
        if !run.control(node: Int(node.rawValue) - 1, words) {
            problems.append("\(node) could not be reached for \(words.joined(separator: " "))")
        }
    }

    private func report(_ run: LoadRun, _ cluster: LocalCluster) throws(Failure) {
        guard run.elapsed >= reportAt else { return }
        reportAt = run.elapsed + 250_000_000
        try cluster.checkAlive()
        let done = run.keyspaces.reduce(0) { $0 + $1.succeeded }
        let elapsed = run.elapsed / 1_000_000_000
        let latest = timeline.last.map { ", \($0.event)" } ?? ""
        progress("\(min(Int(elapsed), seconds)) of \(seconds) s, \(done) operations\(latest)")
    }

    /// Reads everything back once all nodes see each other again.
    private func conclude(_ run: LoadRun, _ cluster: LocalCluster) throws(Failure) -> DemoReport {
        progress("waiting for the healed cluster")
        try cluster.waitUntilReady(milliseconds: Demo.readyMilliseconds)
        progress("reading every acknowledged write back from all replicas")
        let unverified = try run.verify(
            options: ["R", "ALL"], milliseconds: Demo.verifyMilliseconds)
        if unverified > 0 {
            problems.append("\(unverified) acknowledged writes could not be read back")
        }
        return DemoReport(
            seconds: seconds, keyspaces: run.keyspaces, lag: run.lag, timeline: timeline,
            problems: problems)
    }
}
