import Base
import Coding
import Reactor

/// One client as the loop sees it: a socket, unread bytes, and replies on their way.
struct ClientConnection: ~Copyable {
    let socket: Socket
    /// Distinguishes the lives of one connection index.
    let generation: UInt64
    /// Bytes that no step has consumed: the tail of an incomplete request, or what a stalled
    /// connection sent.
    var unread = InputBuffer()
    /// Replies that the kernel has not taken yet.
    var output = OutputQueue()
    /// The replies of this turn, where the node wrote them; they come after `output`, which is
    /// empty then.
    var fresh: Range<Int> = 0..<0
    /// What the poller watches.
    var interest: Poller.Interest = .readable
    /// In the list of connections to write at the end of the turn.
    var isDirty = false
    /// Has as many requests under way as it may have: nothing is read until a reply leaves.
    var isStalled = false
    /// Its requests wait for their turn.
    var isInLine = false
    /// Nothing more is read: the client has closed its half, or the server stops.
    var isDraining = false
    /// The client has closed its half: the connection ends once it is owed nothing.
    var hasEnded = false
    /// Closed once its output has left.
    var isClosing = false
    /// All that it is owed has left, and until then what it goes on sending is read and forgotten;
    /// nil before.
    var lingersUntil: Deadline?
    /// No longer watched; ends at the start of the next turn.
    var isGone = false
    /// The node has more for it, or for its requests, when it has taken what waits for it.
    var wantsMore = false
    /// Since when the request at the front of `unread` has been arriving; nil for none, and while
    /// the node keeps it waiting.
    var arrivesSince: Deadline?
    /// When it last sent anything.
    var readAt: Deadline = 0
    /// What `ClientBuffers` counts of it.
    var counted = ClientBuffers.Share()
    /// Effects of this connection in the hold queue; later ones queue behind them.
    var heldCount = 0

    init(socket: consuming Socket, generation: UInt64) {
        self.socket = socket
        self.generation = generation
    }

    /// What to watch, from the state above.
    ///
    /// - Parameter outputMax: bytes of its replies from which on it is not read.
    func wantedInterest(outputMax: Int) -> Poller.Interest {
        if lingersUntil != nil { return .readable }
        var wanted: Poller.Interest = []
        if !isStalled && !isClosing && !isDraining && output.count < outputMax {
            wanted.insert(.readable)
        }
        if !output.isEmpty { wanted.insert(.writable) }
        return wanted
    }
}
