import Base
import Coding
import Reactor

/// One connection between two nodes, or one that claims to be.
struct Link: ~Copyable {
    enum Stage {
        /// The connect is under way.
        case connecting
        /// Connected; nothing but the other side's hello is accepted.
        case greeting
        /// The handshake was accepted by this side: frames are messages.
        case open
    }

    /// Bytes that wait from which on a link is behind, and below which it is no longer.
    static let behindBytes = 8 << 20
    static let relievedBytes = 1 << 20

    let socket: Socket
    /// Distinguishes the links that one node has had.
    let generation: UInt64
    var stage: Stage
    /// Whom this side called, or who was admitted; nil for a stranger.
    var node: NodeID?
    /// Until when the handshake must be complete.
    let handshakeBy: Deadline
    /// The beginning of an incomplete frame.
    var unread = ByteBuffer(capacity: 16)
    var output = OutputQueue(retainedBytes: 64 << 10)
    var interest: Poller.Interest
    var isDirty = false
    /// The node was told that more waits than the connection takes.
    var isBehind = false
    /// No longer watched; ends at the start of the next turn.
    var isGone = false

    init(
        socket: consuming Socket, generation: UInt64, calling node: NodeID?, handshakeBy: Deadline
    ) {
        self.socket = socket
        self.generation = generation
        self.node = node
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
    /// Failed attempts since the last open link.
    var failures = 0
    /// What was logged about them last.
    var complaint = ""
    /// When to call again.
    var callAt: Deadline = 0

    init(node: NodeID, host: String, port: UInt16, isCalled: Bool) {
        self.node = node
        self.host = host
        self.port = port
        self.isCalled = isCalled
    }

    /// Waits longer after each failure, up to two seconds, and never in step with other nodes.
    mutating func backOff(now: UInt64, random: inout PRNG) {
        let base = min(50 << min(failures, 6), 2_000)
        failures += 1
        let milliseconds = base / 2 + random.below(base)
        callAt = now + .nanoseconds(milliseconds: UInt64(milliseconds))
    }
}
