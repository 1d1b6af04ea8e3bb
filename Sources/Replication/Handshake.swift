import Base
import Coding
import Secrets

/// How two nodes find out, before anything else is read, that each of them knows the cluster's
/// secret, and whether they belong together.
///
///     caller                                      called
///     Hello (identity, nonce, …)             →
///                                            ←    Hello, proof of who was called
///     proof of who calls                     →
///                                            ←    verdict: welcome, or why not
///
/// A proof is an HMAC-SHA-256 of both greetings as they were sent: protocol version, cluster,
/// identities, recipients and both nonces. The sides use different keys, derived from the secret,
/// so a proof said back proves nothing; the nonces are new each time, so a recorded one does not
/// either. The secret itself is never sent.
///
/// Both sides send their proofs whatever they think of the other's, so that both logs say what is
/// wrong. Only what came with a right proof is acted upon: each greeting also says what its sender
/// knows of the other node (`Standing`), so that a node learns here that it was taken out, or that
/// it has to begin a life above one that the cluster remembers.
///
/// It holds what one connection knows; what a node says and decides is `Node+Handshake`'s.
public struct Handshake: Sendable {
    enum Stage { case hello, proof, verdict }

    /// Whom this side called; nil on the side that was called.
    public let dialled: NodeID?
    let nonce: Nonce
    var stage = Stage.hello
    /// The payload of this side's greeting.
    var ownHello: [UInt8] = []
    /// The other side's greeting, not believed before its proof.
    var theirs: Hello?
    var theirHello: [UInt8] = []

    /// The side that was called: waits for a greeting.
    ///
    /// - Parameter nonce: never used before.
    public init(nonce: Nonce) { self.init(calling: nil, nonce) }

    init(calling node: NodeID?, _ nonce: Nonce) {
        dialled = node
        self.nonce = nonce
    }

    /// Who the other side says to be; nil before its greeting came.
    public var claim: NodeID? { dialled ?? theirs?.identity.node }

    /// The other side's greeting.
    public var greeting: Hello? { theirs }

    /// Both greetings, the caller's first.
    var transcript: [UInt8] {
        dialled == nil ? theirHello + ownHello : ownHello + theirHello
    }

    /// Bytes of a proof's or a verdict's frame.
    static let codeBytes = 32
    static let frameBytesMax = 64
}

/// How a handshake goes on.
public enum HandshakeStep: Equatable, Sendable {
    /// More bytes must come first.
    case waits
    /// So many bytes were used up.
    case goesOn(consumed: Int)
    /// The other side has proved who it is. The side that was called decides now; see
    /// `Node.conclude`.
    case proven(ReplicaIdentity, consumed: Int)
    /// The link is open: what follows are messages.
    case linked(ReplicaIdentity, consumed: Int)
    /// There will be no link; what was appended still leaves. If the other side has proved who it
    /// is, the node is to be `told` what its greeting says.
    case refused(LinkRefusal, isProven: Bool)
    /// This is no handshake.
    case malformed(DecodeError)
}
