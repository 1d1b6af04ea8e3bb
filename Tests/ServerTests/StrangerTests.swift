import Base
import Glibc
import Reactor
import Replication
import Testing

@testable import Server

/// Callers of the link port from an address that is no member's: on loopback every address of
/// 127.0.0.0/8 is this machine's, and the members' is 127.0.0.1.
@Suite("Strangers at the link port")
struct StrangerTests {
    /// A connection from an address of this machine.
    private final class Caller {
        private let descriptor: Int32

        init(from host: UInt32, port: UInt16) throws {
            descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
            var patience = timeval(tv_sec: 10, tv_usec: 0)
            setsockopt(
                descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience,
                socklen_t(MemoryLayout<timeval>.size))
            let isBound = Caller.with(host, 0) { Glibc.bind(descriptor, $0, $1) } == 0
            try #require(isBound)
            let isConnected =
                Caller.with(0x7F00_0001, port) { Glibc.connect(descriptor, $0, $1) } == 0
            try #require(isConnected)
        }

        deinit { close(descriptor) }

        private static func with(
            _ host: UInt32, _ port: UInt16,
            _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
        ) -> Int32 {
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = port.bigEndian
            address.sin_addr.s_addr = host.bigEndian
            return withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
        }

        /// Waits for the other end to close.
        func awaitEnd() -> Bool {
            var byte: UInt8 = 0
            let count = recv(descriptor, &byte, 1, 0)
            return count == 0 || count < 0 && errno != EAGAIN
        }

        /// Whether the other end has not closed by now.
        var isOpen: Bool {
            var byte: UInt8 = 0
            return recv(descriptor, &byte, 1, Int32(MSG_DONTWAIT)) < 0 && errno == EAGAIN
        }
    }

    private func server(
        _ plan: ClusterPlan, strangers: Int, perSource: Int
    ) throws -> RunningServer {
        var configuration = plan.configuration(1)
        configuration.limits.strangersMax = strangers
        configuration.limits.strangersPerSourceMax = perSource
        configuration.limits.handshakeMilliseconds = 30_000
        return try RunningServer(configuration, in: plan.directory)
    }

    @Test("of one address only the newest few stay, and others are not touched by it")
    func perSource() throws {
        let plan = try ClusterPlan(nodes: 2)
        let server = try server(plan, strangers: 64, perSource: 2)
        let other = try Caller(from: 0x7F00_0003, port: server.linkPort)
        let callers = try (0..<5).map { _ in
            try Caller(from: 0x7F00_0002, port: server.linkPort)
        }
        for caller in callers.prefix(3) { #expect(caller.awaitEnd()) }
        #expect(callers.suffix(2).allSatisfy { $0.isOpen })
        #expect(other.isOpen)
        server.stop()
        #expect(try server.counters.strangersRefused == 3)
    }

    @Test("members' addresses find room before all others, which do not take it from them")
    func membersFirst() throws {
        let plan = try ClusterPlan(nodes: 2)
        let server = try server(plan, strangers: 3, perSource: 2)
        let strangers = try (2...4).map {
            try Caller(from: 0x7F00_0000 + UInt32($0), port: server.linkPort)
        }
        let members = try (0..<3).map { _ in
            try Caller(from: 0x7F00_0001, port: server.linkPort)
        }
        for stranger in strangers { #expect(stranger.awaitEnd()) }
        let late = try Caller(from: 0x7F00_0005, port: server.linkPort)
        #expect(late.awaitEnd())
        #expect(members.allSatisfy { $0.isOpen })
        var member = try CallingMember(2, of: plan, port: server.linkPort)
        let step = try member.greet(1)
        #expect(CallingMember.isLinked(step))
        server.stop()
        #expect(try server.counters.linksOpened == 1)
    }
}
