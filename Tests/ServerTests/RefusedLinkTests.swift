import Base
import Reactor
import Replication
import Ring
import Secrets
import Synchronization
import Testing

@testable import Server

/// Servers of one cluster that do not come together, or not at once.
@Suite("Links that do not come about")
struct RefusedLinkTests {
    /// Waits until logs have their words, while a server is asked.
    private func texts(
        _ paths: [String], until words: [String], _ server: RunningServer
    ) throws -> [String] {
        var client = try TestClient(port: server.clientPort)
        let deadline = SystemClock.monotonic() + 20_000_000_000
        while SystemClock.monotonic() < deadline,
            !zip(paths, words).allSatisfy({ Log.text(of: $0).contains($1) })
        {
            try client.expect("+PONG\r\n", to: "PING\r\n")
        }
        return paths.map { Log.text(of: $0) }
    }

    /// Nodes 1 and 2, of which the second is told something else.
    ///
    /// - Returns: both logs, once they have these words.
    private func logs(
        until words: [String], _ clusterID: UInt64 = 7,
        _ change: (inout Server.Configuration) -> Void = { _ in }
    ) throws -> [String] {
        let plan = try ClusterPlan(nodes: 2)
        let paths = (1...2).map { plan.directory.inner("log-\($0)") }
        let first = try RunningServer(
            plan.configuration(1), in: plan.directory, log: Log(creating: paths[0]))
        var configuration = plan.configuration(2, clusterID: clusterID)
        change(&configuration)
        let second = try RunningServer(
            configuration, in: plan.directory, log: Log(creating: paths[1]))
        let logs = try texts(paths, until: words, first)
        first.stop()
        second.stop()
        #expect(try first.counters.linksOpened == 0 && second.counters.linksOpened == 0)
        return logs
    }

    @Test("of two cluster ids both logs name both, and where to compare them")
    func otherCluster() throws {
        let advice = "; compare clusterID in both configurations"
        let words = [
            "(digest 8, this node's 7)\(advice)", "(digest 7, this node's 8)\(advice)",
        ]
        let logs = try logs(until: words, 8)
        for (log, words) in zip(logs, words) { #expect(log.contains(words), "\(log)") }
        #expect(logs[0].contains("link port: refused connection from 127.0.0.1:"))
        #expect(logs[1].contains("no link to node 1, calling again: "))
    }

    @Test("of two secrets both logs tell one's fingerprint and what to do, and nothing of them")
    func otherSecret() throws {
        var random = PRNG(seed: 99)
        let other = ClusterSecret(from: &random)
        let advice =
            " did not prove to know this cluster's secret; give all members the same secret or "
            + "secretFile in their configurations"
        let words = ["whoever greets as node 2\(advice)", "whoever greets as node 1\(advice)"]
        let logs = try logs(until: words) { $0.secret = other }
        for (log, words) in zip(logs, words) {
            #expect(log.contains(words), "\(log)")
            for secret in [other, ClusterPlan.secret] {
                #expect(!log.contains(secret.text.prefix(8)))
            }
        }
        let fingerprints = try logs.map { log in
            try #require(log.firstMatch(of: /secret has the fingerprint ([0-9a-f]{1,8})\)/)).1
        }
        #expect(fingerprints[0] != fingerprints[1])
        #expect(logs[0].contains("link port: refused connection from 127.0.0.1:"))
        #expect(logs[1].contains("no link to node 1, calling again: "))
    }

    /// A name that has no address at first.
    private final class LateName: Sendable {
        private struct State {
            var isKnown = false
            var asked = 0
        }

        private let state = Mutex(State())

        var asked: Int { state.withLock { $0.asked } }

        func becomeKnown() { state.withLock { $0.isKnown = true } }

        func look(_ port: UInt16) throws(SocketError) -> SocketAddress {
            let isKnown = state.withLock { state in
                state.asked += 1
                return state.isKnown
            }
            return try SocketAddress(host: isKnown ? "127.0.0.1" : "late.invalid", port: port)
        }
    }

    @Test("a host that has no address at first is looked up again until it has one, and called")
    func lateName() throws {
        var plan = try ClusterPlan(nodes: 2)
        let first = try RunningServer(plan.configuration(1), in: plan.directory)
        let own = plan.members[0]
        plan.members[0] = ClusterMember(
            member: own.member, host: "late.invalid", clientPort: own.clientPort,
            linkPort: own.linkPort)
        let name = LateName()
        var configuration = plan.configuration(2)
        configuration.lookup = { (_, port) throws(SocketError) in try name.look(port) }
        let path = plan.directory.inner("log")
        let second = try RunningServer(
            configuration, in: plan.directory, log: Log(creating: path))
        let words = "no link to node 1, calling again: host late.invalid"
        let log = try texts([path], until: [words], second)[0]
        #expect(log.contains(words), "\(log)")
        var client = try TestClient(port: second.clientPort)
        let deadline = SystemClock.monotonic() + 20_000_000_000
        while name.asked < 3, SystemClock.monotonic() < deadline {
            try client.expect("+PONG\r\n", to: "PING\r\n")
        }
        #expect(name.asked >= 3)
        name.becomeKnown()
        try TestClient.insist("+OK\r\n", "SET k v W ALL\r\n", port: second.clientPort)
        let later = try texts([path], until: ["link to node 1 is up"], second)[0]
        #expect(later.contains("link to node 1 is up"), "\(later)")
        #expect(later.ranges(of: words).count == 1)
        for server in [first, second] { #expect(server.stop() == .stopped) }
    }
}
