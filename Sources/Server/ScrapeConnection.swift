import Base
import Coding
import Reactor

/// One connection of somebody who asks for metrics: one request, one answer, then its end.
struct ScrapeConnection: ~Copyable {
    enum Stage {
        /// Until the request's head is whole.
        case reading
        /// Until the kernel has taken the answer.
        case answering
        /// The answer has left. What still comes is thrown away until the other side closes too: a
        /// socket closed over unread bytes is reset, and the reset may overtake the answer.
        case ending
    }

    let socket: Socket
    /// It is over then, whatever its stage.
    let endsBy: Deadline
    var stage = Stage.reading
    var head = ByteBuffer(capacity: 512)
    var output = OutputQueue(retainedBytes: 16)
    var interest: Poller.Interest = .readable
    /// No longer watched; ends at the start of the next turn.
    var isGone = false

    init(socket: consuming Socket, endsBy: Deadline) {
        self.socket = socket
        self.endsBy = endsBy
    }
}
