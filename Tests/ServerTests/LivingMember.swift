import Base
import Coding
import Reactor
import Replication
import Secrets

@testable import Server

/// Another member of a plan's cluster: a real node over a test's connection, whose wall clock may
/// be ahead. It calls a server's link port, and lives only while a test has it go on.
struct LivingMember: ~Copyable {
    private var node: Node
    private var connection: TestClient
    private var heard: [UInt8] = []
    private var other: NodeID?
    private let ahead: UInt64

    init(_ number: UInt16, ahead: UInt64, of plan: ClusterPlan, port: UInt16) throws {
        self.ahead = ahead
        node = Node(
            plan.configuration(number).node,
            identity: ReplicaIdentity(node: NodeID(number), epoch: 5), secret: ClusterPlan.secret,
            seed: 1, now: LivingMember.now(ahead))
        connection = try TestClient(port: port)
    }

    private static func now(_ ahead: UInt64) -> Instant {
        let now = SystemClock.now()
        return Instant(
            monotonic: now.monotonic, wallMilliseconds: now.wallMilliseconds + ahead)
    }

    /// Runs the handshake with a node.
    ///
    /// - Returns: whether there is a link.
    mutating func greet(_ called: NodeID) throws -> Bool {
        var random = SystemRandomNumberGenerator()
        var said = ByteBuffer()
        var handshake = node.greet(called, nonce: Nonce(from: &random), into: &said)
        while true {
            if said.count > 0 {
                try connection.send(Array(said.bytes))
                said.removeAll()
            }
            let bytes = heard
            let step = bytes.withUnsafeBytes { node.advance(&handshake, $0, into: &said) }
            switch step {
            case .goesOn(let consumed): heard.removeFirst(consumed)
            case .linked(let identity, let consumed):
                heard.removeFirst(consumed)
                other = called
                try take(.linked(called, identity))
                return true
            case .waits:
                let more = try connection.receiveBytes()
                guard !more.isEmpty else { return false }
                heard += more
            case .proven, .refused, .malformed: return false
            }
        }
    }

    /// Takes what has come, waiting for something, and says what a node says then.
    ///
    /// - Returns: what has come.
    @discardableResult
    mutating func goOn() throws -> [UInt8] {
        guard let other else { return [] }
        let more = try connection.receiveBytes()
        var rest = (heard + more)[...]
        while rest.count >= Frame.headerBytes {
            let length = rest.prefix(4).reversed().reduce(0) { $0 << 8 | Int($1) }
            guard rest.count >= Frame.headerBytes + length else { break }
            let payload = Array(rest.dropFirst(Frame.headerBytes).prefix(length))
            rest = rest.dropFirst(Frame.headerBytes + length)
            try payload.withUnsafeBytes { try take(.message(other, $0)) }
        }
        heard = Array(rest)
        try take(.deadline)
        return more
    }

    private mutating func take(_ input: NodeInput) throws {
        var effects = Effects()
        node.step(input, now: LivingMember.now(ahead), into: &effects)
        for entry in effects.entries {
            switch entry.effect {
            case .send(_, let range): try connection.send(Array(effects.bytes[range]))
            // It has no disk to wait for.
            case .notify(let token): try take(.reached(token))
            default: break
            }
        }
    }
}
