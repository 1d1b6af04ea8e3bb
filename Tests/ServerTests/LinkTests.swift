import Base
import Coding
import Glibc
import Reactor
import Replication
import Ring
import Secrets
import Testing

@testable import Server

@Suite struct LinkTests {
    /// A node of a two-node cluster whose other node never comes.
    private func lonely(
        _ adjust: (inout Server.Limits) -> Void = { _ in }
    ) throws -> RunningServer {
        let plan = try ClusterPlan(nodes: 2)
        var configuration = plan.configuration(1)
        adjust(&configuration.limits)
        return try RunningServer(configuration, in: plan.directory)
    }

    @Test(
        "a member whose host has no address keeps no node from starting, and is told of once",
        arguments: [(1, 2, "node 2: host no-such"), (2, 1, "node 1, calling again: host no-such")])
    func unknownHost(_ own: UInt16, _ other: Int, _ told: String) throws {
        var plan = try ClusterPlan(nodes: 3)
        let member = plan.members[other - 1]
        plan.members[other - 1] = ClusterMember(
            member: member.member, host: "no-such-host.invalid", clientPort: member.clientPort,
            linkPort: member.linkPort)
        let path = plan.directory.inner("log")
        let server = try RunningServer(
            plan.configuration(own), in: plan.directory, log: Log(creating: path))
        var client = try TestClient(port: server.clientPort)
        try client.expect("+PONG\r\n", to: "PING\r\n")
        let deadline = SystemClock.monotonic() + 20_000_000_000
        while !Log.text(of: path).contains("no-such-host.invalid"),
            SystemClock.monotonic() < deadline
        {
            try client.expect("+PONG\r\n", to: "PING\r\n")
        }
        #expect(Log.text(of: path).ranges(of: "no link to \(told)").count == 1)
    }

    @Test("two listeners that would be in each other's way are refused before any is opened")
    func ownPorts() throws {
        let plan = try ClusterPlan(nodes: 1)
        let (client, link) = (plan.members[0].clientPort, plan.members[0].linkPort)
        let both = "clients and other nodes would both connect to 127.0.0.1:\(client)"
        let metrics = "metrics would be served on 127.0.0.1"
        let cases: [(words: String, change: (inout Server.Configuration) -> Void)] = [
            (both, { $0.linkPort = client }), ("\(metrics):\(client)", { $0.metricsPort = client }),
            ("\(metrics):\(link)", { $0.metricsPort = link }),
            (
                both,
                {
                    $0.linkPort = client
                    $0.clientHost = "0.0.0.0"
                }
            ),
            (
                both,
                {
                    $0.linkPort = client
                    $0.clientHost = "localhost"
                }
            ),
        ]
        for (words, change) in cases {
            var configuration = plan.configuration(1)
            change(&configuration)
            let error = #expect(throws: ServerError.self) {
                _ = try RunningServer(configuration, in: plan.directory)
            }
            guard case .configuration(let text)? = error, text.contains(words) else {
                Issue.record("\(String(describing: error))")
                continue
            }
        }
    }

    private static let giantFrame: [UInt8] =
        Hello.magic + [0xFF, 0xFF, 0xFF, 0x7F, 0, 0, 0, 0] + [UInt8](repeating: 0, count: 64)

    @Test(
        "whatever is not a hello closes the connection at once, and nothing is executed",
        arguments: [
            Array("*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nb\r\n".utf8),
            Array("PING\r\n".utf8), Array("GET / HTTP/1.1\r\nHost: x\r\n\r\n".utf8),
            [0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xFC, 0x03, 0x03],
            [UInt8](repeating: 0, count: 1000), Array("Q".utf8) + [0xFF], giantFrame,
        ])
    func garbage(bytes: [UInt8]) throws {
        let server = try lonely()
        var stranger = try TestClient(port: server.linkPort)
        try stranger.send(bytes)
        #expect(try stranger.receiveToEnd() == "")
        var client = try TestClient(port: server.clientPort)
        try client.expect("+PONG\r\n", to: "PING\r\n")
        server.stop()
        let counters = try server.counters
        #expect(counters.strangersRefused == 1 && counters.linksOpened == 0)
    }

    @Test("a connection without a handshake is closed when its time is over")
    func handshakeDeadline() throws {
        let server = try lonely { $0.handshakeMilliseconds = 20 }
        var silent = try TestClient(port: server.linkPort)
        var partial = try TestClient(port: server.linkPort)
        try partial.send("QRT1")
        #expect(try silent.receiveToEnd() == "")
        #expect(try partial.receiveToEnd() == "")
    }

    @Test("of connections that say nothing the newest stay, and a member always finds room")
    func strangerLimit() throws {
        let plan = try ClusterPlan(nodes: 2)
        var configuration = plan.configuration(1)
        configuration.limits.strangersMax = 4
        let server = try RunningServer(configuration, in: plan.directory)
        var first = try TestClient(port: server.linkPort)
        var held: [Int: TestClientBox] = [:]
        for number in 0..<4 { held[number] = TestClientBox(try TestClient(port: server.linkPort)) }
        #expect(try first.receiveToEnd() == "")
        var member = try CallingMember(2, of: plan, port: server.linkPort)
        guard case .linked(let identity, _) = try member.greet(1) else {
            Issue.record("the member was kept out")
            return
        }
        #expect(identity.node == NodeID(1))
        server.stop()
        #expect(try server.counters.strangersRefused >= 2)
        #expect(held.count == 4)
    }

    /// Holds a connection in a collection.
    private final class TestClientBox {
        private let client: TestClient
        init(_ client: consuming TestClient) { self.client = client }
    }

    @Test(
        "whoever greets without being that member is refused, and nothing of it is believed",
        arguments: [
            (2, 7, false), (2, 8, true), (1, 7, true), (3, 7, true),
        ])
    func refused(number: UInt16, cluster: UInt64, isSecretRight: Bool) throws {
        let plan = try ClusterPlan(nodes: 2)
        var theirs = plan
        if number > 2 {
            theirs.members.append(
                ClusterMember(
                    member: Member(NodeID(number)), host: "127.0.0.1", clientPort: 1, linkPort: 2))
        }
        let path = plan.directory.inner("log-1")
        let server = try RunningServer(
            plan.configuration(1), in: plan.directory, log: Log(creating: path))
        var random = PRNG(seed: 99)
        var member = try CallingMember(
            number, of: theirs, clusterID: cluster,
            secret: isSecretRight ? ClusterPlan.secret : ClusterSecret(from: &random),
            port: server.linkPort)
        if case .linked = try member.greet(1) { Issue.record("a stranger was let in") }
        // The server has closed by then.
        while try !member.receive().isEmpty {}
        server.stop()
        #expect(try server.counters.linksOpened == 0)
        let log = Log.text(of: path)
        #expect(log.contains("secretFile") == !isSecretRight, "\(log)")
        #expect(log.contains("refused") || log.contains("no link"), "\(log)")
        #expect(!log.contains(ClusterPlan.secret.text.prefix(8)))
    }

    @Test("a member that closes before its proof is told as that, without a word of the secret")
    func closedEarly() throws {
        let plan = try ClusterPlan(nodes: 2)
        let path = plan.directory.inner("log-1")
        let server = try RunningServer(
            plan.configuration(1), in: plan.directory, log: Log(creating: path))
        var member = try CallingMember(2, of: plan, port: server.linkPort)
        let isGreeted = try member.greetOnly(1)
        #expect(isGreeted)
        try member.reconnect(port: server.linkPort)
        let words = "before the handshake with node 2 was complete: it may be starting, stopping"
        var client = try TestClient(port: server.clientPort)
        let deadline = SystemClock.monotonic() + 10_000_000_000
        while !Log.text(of: path).contains(words), SystemClock.monotonic() < deadline {
            try client.expect("+PONG\r\n", to: "PING\r\n")
        }
        let log = Log.text(of: path)
        #expect(log.contains(words) && !log.contains("secret"), "\(log)")
        server.stop()
    }

    @Test("a handshake that was recorded proves nothing when it is said again")
    func replay() throws {
        let plan = try ClusterPlan(nodes: 2)
        let server = try RunningServer(plan.configuration(1), in: plan.directory)
        var member = try CallingMember(2, of: plan, port: server.linkPort)
        guard case .linked = try member.greet(1) else {
            Issue.record("the member was kept out")
            return
        }
        let recorded = member.sent
        // The link of the recorded handshake ends.
        try member.reconnect(port: server.linkPort)
        var thief = try TestClient(port: server.linkPort)
        for said in recorded { try thief.send(said) }
        _ = try thief.receiveToEnd()
        server.stop()
        let counters = try server.counters
        #expect(counters.linksOpened == 1 && counters.strangersRefused >= 1)
    }

    @Test("a cluster of several needs a secret, a single node makes one and keeps it")
    func missingSecret() throws {
        let plan = try ClusterPlan(nodes: 2)
        var configuration = plan.configuration(1)
        configuration.secret = nil
        let refusal = #expect(throws: ServerError.self) {
            try RunningServer(configuration, in: plan.directory)
        }
        #expect(refusal?.exitStatus == 78)
        #expect(refusal?.description.contains("openssl rand -hex 32") == true)
        let single = try ClusterPlan(nodes: 1)
        var alone = single.configuration(1)
        alone.secret = nil
        alone.linkHost = "0.0.0.0"
        var tokens: [String] = []
        for _ in 0..<2 {
            let server = try RunningServer(alone, in: single.directory)
            var client = try TestClient(port: server.clientPort)
            try client.expect("+OK\r\n", to: "SESSION ON\r\n")
            try client.send("SESSION TOKEN\r\n")
            _ = try client.receiveLine()
            tokens.append(try client.receiveLine())
            #expect(server.stop() == .stopped)
        }
        #expect(tokens[0] == tokens[1])
    }

    @Test("two nodes with different member lists do not link, and both logs say why")
    func otherMembers() throws {
        let plan = try ClusterPlan(nodes: 2)
        var other = plan
        let heavy = plan.members[1]
        other.members[1] = ClusterMember(
            member: Member(NodeID(2), weight: 3), host: heavy.host, clientPort: heavy.clientPort,
            linkPort: heavy.linkPort)
        let paths = [plan.directory.inner("log-1"), plan.directory.inner("log-2")]
        let first = try RunningServer(
            plan.configuration(1), in: plan.directory, log: Log(creating: paths[0]))
        let second = try RunningServer(
            other.configuration(2), in: plan.directory, log: Log(creating: paths[1]))
        let deadline = SystemClock.monotonic() + 10_000_000_000
        var client = try TestClient(port: first.clientPort)
        let words = ["the member list of node 2 differs", "the member list of node 1 differs"]
        while SystemClock.monotonic() < deadline {
            try client.expect("+PONG\r\n", to: "PING\r\n")
            if zip(paths, words).allSatisfy({ Log.text(of: $0).contains($1) }) { break }
        }
        for (path, words) in zip(paths, words) {
            #expect(Log.text(of: path).contains(words), "\(Log.text(of: path))")
        }
        first.stop()
        second.stop()
        #expect(try first.counters.linksOpened == 0 && second.counters.linksOpened == 0)
    }

    @Test("of two processes under one number the second is refused while the first lives")
    func oneNumberTwice() throws {
        let plan = try ClusterPlan(nodes: 2)
        let server = try RunningServer(plan.configuration(1), in: plan.directory)
        var first = try CallingMember(2, epoch: 5, of: plan, port: server.linkPort)
        var second = try CallingMember(2, epoch: 6, of: plan, port: server.linkPort)
        #expect(CallingMember.isLinked(try first.greet(1)))
        #expect(!CallingMember.isLinked(try second.greet(1)))
        try first.reconnect(port: server.linkPort)
        // The server notices the end of the first link before it reads what comes on another one.
        try second.reconnect(port: server.linkPort)
        #expect(CallingMember.isLinked(try second.greet(1)))
        server.stop()
        let counters = try server.counters
        #expect(counters.linksOpened == 2 && counters.linksRefused == 1)
    }

    /// What the log of a new server of node 1 says after these have greeted it.
    private func log(
        until word: String, after greet: (ClusterPlan, UInt16) throws -> Void
    ) throws -> String {
        let plan = try ClusterPlan(nodes: 2)
        let path = plan.directory.inner("log")
        let server = try RunningServer(
            plan.configuration(1), in: plan.directory, log: Log(creating: path))
        try greet(plan, server.linkPort)
        let deadline = SystemClock.monotonic() + 10_000_000_000
        var client = try TestClient(port: server.clientPort)
        while !Log.text(of: path).contains(word), SystemClock.monotonic() < deadline {
            try client.expect("+PONG\r\n", to: "PING\r\n")
        }
        server.stop()
        return Log.text(of: path)
    }

    @Test("why a member came to no link stands in the log, with both sides and what to do")
    func reasonsInLog() throws {
        let stranger = try log(until: "refused") { plan, port in
            var member = try CallingMember(2, of: plan, clusterID: 8, port: port)
            _ = try member.greet(1)
        }
        #expect(
            stranger.contains(
                "(digest 8, this node's 7); compare clusterID in both configurations"))
        let liar = try log(until: "refused") { plan, port in
            var random = PRNG(seed: 9)
            let other = ClusterSecret(from: &random)
            var member = try CallingMember(2, of: plan, secret: other, port: port)
            _ = try member.greet(1)
        }
        #expect(liar.contains("did not prove to know this cluster's secret; give all members"))
        let earlier = try log(until: "no link") { plan, port in
            for epoch: UInt64 in [9, 5] {
                var member = try CallingMember(2, epoch: epoch, of: plan, port: port)
                _ = try member.greet(1)
            }
        }
        #expect(earlier.contains("identity 2@5 is older than 2@9, seen before; it is to begin"))
    }

    @Test("a malformed frame breaks the link; the node may come back")
    func malformedFrame() throws {
        let plan = try ClusterPlan(nodes: 2)
        let server = try RunningServer(plan.configuration(1), in: plan.directory)
        var member = try CallingMember(2, of: plan, port: server.linkPort)
        for _ in 0..<2 {
            #expect(CallingMember.isLinked(try member.greet(1)))
            try member.connection.send([4, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8])
            while try !member.receive().isEmpty {}
            try member.reconnect(port: server.linkPort)
        }
        server.stop()
        #expect(try server.counters.malformedFrames == 2)
    }
}
