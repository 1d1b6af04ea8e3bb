import Base
import Coding
import Glibc
import Reactor
import Replication
import Ring
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

    @Test("a member whose host has no address keeps no node from starting, and is looked up again")
    func unknownHost() throws {
        var plan = try ClusterPlan(nodes: 2)
        let own = plan.members[1]
        let other = ClusterMember(
            member: plan.members[0].member, host: "no-such-host.invalid",
            clientPort: plan.members[0].clientPort, linkPort: plan.members[0].linkPort)
        plan.members = [other, own]
        let path = plan.directory.inner("log")
        let server = try RunningServer(
            plan.configuration(2), in: plan.directory, log: Log(creating: path))
        var client = try TestClient(port: server.clientPort)
        try client.expect("+PONG\r\n", to: "PING\r\n")
        let deadline = SystemClock.monotonic() + 20_000_000_000
        while !Log.text(of: path).contains("no-such-host.invalid"),
            SystemClock.monotonic() < deadline
        {
            try client.expect("+PONG\r\n", to: "PING\r\n")
        }
        #expect(Log.text(of: path).contains("no link to node 1, calling again: host no-such-host"))
    }

    @Test("two listeners that would be in each other's way are refused before any is opened")
    func ownPorts() throws {
        let plan = try ClusterPlan(nodes: 1)
        let cases: [(inout Server.Configuration) -> Void] = [
            { $0.linkPort = $0.clientPort }, { $0.metricsPort = $0.clientPort },
            { $0.metricsPort = $0.linkPort },
            {
                $0.linkPort = $0.clientPort
                $0.clientHost = "0.0.0.0"
            },
            {
                $0.linkPort = $0.clientPort
                $0.clientHost = "localhost"
            },
        ]
        for change in cases {
            var configuration = plan.configuration(1)
            change(&configuration)
            let error = #expect(throws: ServerError.self) {
                _ = try RunningServer(configuration, in: plan.directory)
            }
            guard case .configuration? = error else {
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

    @Test("connections without a handshake are limited, and make room when they go")
    func strangerLimit() throws {
        let server = try lonely { $0.strangersMax = 2 }
        let first = try TestClient(port: server.linkPort)
        let second = try TestClient(port: server.linkPort)
        var third = try TestClient(port: server.linkPort)
        #expect(try third.receiveToEnd() == "")
        try first.send("x")
        try second.send("x")
    }

    @Test(
        "a hello that the node does not admit closes the connection",
        arguments: [
            hello(2, cluster: 8), hello(1), hello(3), hello(2, to: 3),
        ])
    func refusedHello(hello: Hello) throws {
        let server = try lonely()
        var stranger = try TestClient(port: server.linkPort)
        try stranger.send(encoded(hello))
        #expect(try stranger.receiveToEnd() == "")
    }

    private static func hello(
        _ node: UInt16, epoch: UInt64 = 1, cluster: UInt64 = 7, to recipient: UInt16 = 1
    ) -> Hello {
        Hello(
            clusterID: cluster, identity: .init(node: NodeID(node), epoch: epoch),
            recipient: NodeID(recipient),
            ringDigest: Ring(members: [Member(NodeID(1)), Member(NodeID(2))], epoch: 1).digest)
    }

    @Test(
        "a link port that other machines reach needs the operator's word", arguments: [false, true])
    func openNetwork(trusted: Bool) throws {
        let plan = try ClusterPlan(nodes: 1)
        var configuration = plan.configuration(1)
        configuration.linkHost = "0.0.0.0"
        configuration.trustsNetwork = trusted
        guard trusted else {
            let refusal = #expect(throws: ServerError.self) {
                try RunningServer(configuration, in: plan.directory)
            }
            #expect(refusal?.exitStatus == 78)
            #expect(refusal?.description.contains("trustsNetwork: true") == true)
            return
        }
        #expect(try RunningServer(configuration, in: plan.directory).stop() == .stopped)
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

    private func encoded(_ hello: Hello) -> [UInt8] {
        var buffer = ByteBuffer(capacity: 64)
        hello.encode(into: &buffer)
        return Array(buffer.bytes)
    }

    @Test("of two processes under one number the second is refused while the first lives")
    func oneNumberTwice() throws {
        let server = try lonely()
        let first = LinkTests.hello(2, epoch: 5)
        let second = LinkTests.hello(2, epoch: 6)
        var held = try TestClient(port: server.linkPort)
        try held.send(encoded(first))
        #expect(try held.receive(4) == "QRT1")
        var refused = try TestClient(port: server.linkPort)
        try refused.send(encoded(second))
        #expect(try refused.receiveToEnd() == "")
        held = try TestClient(port: server.linkPort)
        try held.send(encoded(second))
        #expect(try held.receive(4) == "QRT1")
        server.stop()
        let counters = try server.counters
        #expect(counters.linksOpened == 2 && counters.strangersRefused == 1)
    }

    @Test("a malformed frame breaks the link; the node may come back")
    func malformedFrame() throws {
        let server = try lonely()
        let hello = LinkTests.hello(2, epoch: 5)
        for _ in 0..<2 {
            var link = try TestClient(port: server.linkPort)
            try link.send(encoded(hello))
            #expect(try link.receive(4) == "QRT1")
            try link.send([4, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8])
            _ = try link.receiveToEnd()
        }
        server.stop()
        #expect(try server.counters.malformedFrames == 2)
    }
}
