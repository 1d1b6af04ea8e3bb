import Base
import Coding
import Reactor
import Replication
import Secrets
import Testing

@testable import Server

/// Another member of a plan's cluster, as far as handshakes go: a real node over a test's
/// connection, which calls a server's link port.
struct CallingMember: ~Copyable {
    private var node: Node
    private(set) var connection: TestClient
    /// What it sent, handshake by handshake.
    private(set) var sent: [[UInt8]] = []

    init(
        _ number: UInt16, epoch: UInt64 = 5, of plan: ClusterPlan, clusterID: UInt64 = 7,
        secret: ClusterSecret = ClusterPlan.secret, port: UInt16
    ) throws {
        node = Node(
            plan.configuration(number, clusterID: clusterID).node,
            identity: ReplicaIdentity(node: NodeID(number), epoch: epoch), secret: secret, seed: 1,
            now: SystemClock.now())
        connection = try TestClient(port: port)
    }

    static func isLinked(_ step: HandshakeStep?) -> Bool {
        if case .linked = step { return true }
        return false
    }

    mutating func receive() throws -> [UInt8] { try connection.receiveBytes() }

    mutating func reconnect(port: UInt16) throws { connection = try TestClient(port: port) }

    /// Says only its greeting.
    ///
    /// - Returns: whether the other side has answered.
    mutating func greetOnly(_ called: UInt16) throws -> Bool {
        var random = SystemRandomNumberGenerator()
        var said = ByteBuffer()
        _ = node.greet(NodeID(called), nonce: Nonce(from: &random), into: &said)
        try connection.send(Array(said.bytes))
        return try !connection.receiveBytes().isEmpty
    }

    /// Runs the handshake with a node.
    ///
    /// - Returns: how it ended; nil when the other side closed.
    mutating func greet(_ called: UInt16) throws -> HandshakeStep? {
        var random = SystemRandomNumberGenerator()
        var said = ByteBuffer()
        var handshake = node.greet(NodeID(called), nonce: Nonce(from: &random), into: &said)
        var heard: [UInt8] = []
        while true {
            if said.count > 0 {
                sent.append(Array(said.bytes))
                try connection.send(Array(said.bytes))
                said.removeAll()
            }
            let step = heard.withUnsafeBytes { node.advance(&handshake, $0, into: &said) }
            switch step {
            case .goesOn(let consumed): heard.removeFirst(consumed)
            case .waits:
                let more = try connection.receiveBytes()
                guard !more.isEmpty else { return nil }
                heard += more
            case .linked, .refused, .malformed, .proven:
                if said.count > 0 { try connection.send(Array(said.bytes)) }
                return step
            }
        }
    }
}
