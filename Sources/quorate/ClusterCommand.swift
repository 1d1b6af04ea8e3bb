import Base
import Lab

/// `quorate cluster up|down|status`: real processes on loopback, found again through their
/// directory.
enum ClusterCommand {
    private static let readyMilliseconds = 30_000

    static func up(_ arguments: Arguments) throws(Failure) {
        try arguments.expectOperands(0)
        Interruption.listen()
        let directory = directory(arguments)
        let cluster =
            try LocalCluster.exists(in: directory)
            ? reopen(directory, arguments) : LocalCluster.create(directory, plan(arguments))
        let started = try start(cluster)
        print(cluster.status(), of: cluster, json: arguments.has("json"))
        Terminal.say(
            started.isEmpty
                ? "all nodes were already running" : "state, logs and data: \(cluster.directory)")
    }

    /// What was running before goes on running when a node that was not cannot start.
    private static func start(_ cluster: LocalCluster) throws(Failure) -> [NodeID] {
        let idle = cluster.state.nodes.filter { $0.process?.condition != .alive }.map(\.id)
        do {
            try cluster.startAll()
            try cluster.waitUntilReady(milliseconds: readyMilliseconds)
        } catch {
            _ = try? cluster.stop(idle)
            throw error
        }
        return idle
    }

    private static func plan(_ arguments: Arguments) throws(Failure) -> LocalCluster.Plan {
        var plan = LocalCluster.Plan()
        plan.nodes = try arguments.integer("nodes", in: 1...64) ?? plan.nodes
        plan.basePort = try arguments.integer("port", in: 1...55_000)
        plan.faults = arguments.has("faults")
        return plan
    }

    private static func reopen(
        _ directory: String, _ arguments: Arguments
    ) throws(Failure) -> LocalCluster {
        let cluster = try LocalCluster.open(directory)
        let nodes = cluster.state.nodes
        let asked = try arguments.integer("nodes", in: 1...64) ?? nodes.count
        let port = try arguments.integer("port", in: 1...55_000)
        var differences: [String] = []
        if asked != nodes.count { differences.append("\(nodes.count) nodes, not --nodes \(asked)") }
        if let port, let first = nodes.first?.client.port, port != first {
            differences.append("ports from \(first) on, not --port \(port)")
        }
        if arguments.has("faults"), !(try cluster.servesFaults()) {
            differences.append("nodes that were made without --faults")
        }
        guard differences.isEmpty else {
            throw Failure(
                .cannotCreate,
                "\(directory) already holds a cluster with other settings: it has "
                    + differences.joined(separator: "; "),
                hint: "leave them out to start it as it is; or name another --directory, or run "
                    + "quorate cluster down and remove this one")
        }
        return cluster
    }

    static func down(_ arguments: Arguments) throws(Failure) {
        try arguments.expectOperands(0)
        let cluster = try LocalCluster.open(directory(arguments))
        let stopped = try cluster.stopAll()
        if arguments.has("json") {
            let list = JSON.list(stopped.map { .integer(Int($0.rawValue)) })
            Terminal.result(
                (["stopped": list, "directory": .text(cluster.directory)] as JSON).line)
        }
        Terminal.say(
            "stopped \(stopped.count) of \(cluster.state.nodes.count) nodes; "
                + "the data stays in \(cluster.directory)"
        )
    }

    static func status(_ arguments: Arguments) throws(Failure) {
        try arguments.expectOperands(0)
        let cluster = try LocalCluster.open(directory(arguments))
        let statuses = cluster.status()
        print(statuses, of: cluster, json: arguments.has("json"))
        guard statuses.contains(where: { $0.health?.answers == true }) else {
            throw Failure(
                .unavailable, "no node answers", hint: "quorate cluster up starts them again")
        }
    }

    static func directory(_ arguments: Arguments) -> String {
        arguments.value("directory") ?? LocalCluster.defaultDirectory
    }

    private static func print(_ statuses: [NodeStatus], of cluster: LocalCluster, json: Bool) {
        if json {
            let object: JSON = [
                "directory": .text(cluster.directory), "nodes": .list(statuses.map(\.json)),
            ]
            Terminal.result(object.line)
        } else {
            for line in table(statuses).lines { Terminal.result(line) }
        }
    }

    private static func condition(_ status: NodeStatus) -> String {
        guard status.condition == .alive, let health = status.health else { return "dead" }
        if health.wasForgotten { return "alive, forgotten" }
        return health.answers ? "alive" : "alive, silent"
    }

    static func table(_ statuses: [NodeStatus]) -> TextTable {
        var table = TextTable([
            "node", "state", "pid", "clients", "metrics", "links to others", "refill", "keys",
            "p99 reads", "p99 writes", "stale reads", "hints kept",
            "deletes wait for",
        ])
        for status in statuses {
            let health = status.health
            table.add([
                String(status.node.id.rawValue),
                condition(status),
                status.condition == .alive
                    ? status.node.process.map { String($0.number) } ?? "-" : "-",
                status.node.client.description,
                status.node.metrics?.description ?? "-",
                health?.linksUp.map { "\($0) of \(statuses.count - 1)" } ?? "-",
                refill(health),
                health?.keys.map { String($0) } ?? "-",
                health?.readP99.map(milliseconds) ?? "-",
                health?.writeP99.map(milliseconds) ?? "-",
                stale(health),
                hints(health),
                waits(health),
            ])
        }
        return table
    }

    /// How far a node is that had lost its memory, and for whom it waits.
    private static func refill(_ health: NodeHealth?) -> String {
        guard let health, health.answers else { return "-" }
        guard let refill = health.refill else { return "whole" }
        let waits = refill.waitsFor.isEmpty ? "" : ", waits for \(refill.waitsFor)"
        return "\(refill.wholeRanges)/\(refill.ranges) ranges\(waits)"
    }

    /// Of the reads that were compared with all replicas.
    private static func stale(_ health: NodeHealth?) -> String {
        guard let compared = health?.readsCompared, let stale = health?.readsStale, compared > 0
        else { return "-" }
        return "\(stale) of \(compared)"
    }

    /// Records for nodes that were away, and how old the oldest is.
    private static func hints(_ health: NodeHealth?) -> String {
        guard let hints = health?.hints else { return "-" }
        guard hints > 0, let oldest = health?.oldestHint else { return "0" }
        return "\(hints), oldest \((oldest + 500) / 1_000) s"
    }

    /// Without whom deletions cannot be forgotten.
    private static func waits(_ health: NodeHealth?) -> String {
        guard let nodes = health?.tombstonesWaitFor else { return "-" }
        return nodes.isEmpty ? "nobody" : "node \(nodes)"
    }

    /// With two decimals.
    private static func milliseconds(_ microseconds: Int) -> String {
        let hundredths = String((microseconds + 5) / 10 % 100 + 100).dropFirst()
        return "\((microseconds + 5) / 1_000).\(hundredths) ms"
    }
}
