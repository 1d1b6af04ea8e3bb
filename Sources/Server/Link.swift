import Base
import Coding
import Reactor
import Replication

/// One connection between two nodes, or one that claims to be.
struct Link: ~Copyable {
    enum Stage {
        /// The connect is under way.
        case connecting
        /// Connected; nothing but the handshake is followed.
        case greeting
        /// The handshake ended well: frames are messages.
        case open
    }

    /// Bytes that wait from which on a link is behind, and below which it is no longer.
    static let behindBytes = 8 << 20
    static let relievedBytes = 1 << 20
    /// Bytes up to which a message is short.
    static let shortBytes = 4 << 10

    /// Where a connection to this node's link port comes from.
    struct Origin {
        /// The address, without the port.
        let source: [UInt8]
        /// With the port, for a log line.
        let text: String
        /// It is the address of a configured member.
        let isMembers: Bool
    }

    let socket: Socket
    /// Distinguishes the links that one node has had.
    let generation: UInt64
    var stage: Stage
    /// Whom this side called, or who was admitted; nil for a stranger.
    var node: NodeID?
    /// Nil when this side called.
    let origin: Origin?
    /// Until the link is open.
    var handshake: Handshake?
    /// Until when the handshake must be complete.
    let handshakeBy: Deadline
    /// The beginning of an incomplete frame.
    var unread = ByteBuffer(capacity: 16)
    var output = OutputQueue(retainedBytes: 64 << 10)
    var interest: Poller.Interest
    var isDirty = false
    /// The node was told that more waits than the connection takes.
    var isBehind = false
    /// Its messages wait for their turn; nothing more is read meanwhile.
    var isInLine = false
    /// No longer watched; ends at the start of the next turn.
    var isGone = false

    init(
        socket: consuming Socket, generation: UInt64, calling node: NodeID?, _ origin: Origin?,
        handshakeBy: Deadline
    ) {
        self.socket = socket
        self.generation = generation
        self.node = node
        self.origin = origin
        self.handshakeBy = handshakeBy
        stage = node == nil ? .greeting : .connecting
        interest = node == nil ? .readable : .writable
    }
}

/// Another node of the cluster and the link to it.
struct Neighbour {
    let node: NodeID
    let host: String
    let port: UInt16
    /// This side calls; exactly one of two nodes does, the one with the higher number.
    let isCalled: Bool
    /// The link under way or open, an index of the slab; strangers have none.
    var link: Int?
    /// Failed attempts since the last open link; where the other side calls, looks for it.
    var failures = 0
    /// What was logged about them last.
    var complaint = ""
    /// When to call again, or to look where it stays.
    var callAt: Deadline = 0
    /// Its address without the port, as last known; empty for a name that was never looked up.
    var hostBytes: [UInt8]

    init(node: NodeID, host: String, port: UInt16, isCalled: Bool) {
        self.node = node
        self.host = host
        self.port = port
        self.isCalled = isCalled
        hostBytes = SocketAddress(literal: host, port: port)?.hostBytes ?? []
    }

    /// Waits longer after each failure, up to two seconds, and never in step with other nodes.
    mutating func backOff(now: UInt64, random: inout PRNG) {
        let base = min(50 << min(failures, 6), 2_000)
        failures += 1
        let milliseconds = base / 2 + random.below(base)
        callAt = now + .nanoseconds(milliseconds: UInt64(milliseconds))
    }
}
