import Base

/// How many bytes of answers one node was asked for and has not sent.
///
/// Whoever is asked for more than it can send in time sends everything too late: reads that were
/// given up cost as much as others, and all that follow them wait. So there is a limit to what may
/// be under way, and reads that find it reached wait before they begin. It falls when reads run out
/// of time while it is reached, and rises with each answer, as a sender's window in TCP does.
///
/// Of queries that are forwarded nothing tells how long their replies are before the first have
/// come. So few may be under way at first, and one more with each reply that comes in time, as in
/// TCP's slow start; after a second without any that begins anew.
///
/// Source: Jacobson, "Congestion avoidance and control" (1988). We deviate: what grows the window
/// is bytes that came, not round trips.
///
/// Invariant: `underWay` is what the reads and forwarded queries in the slabs have asked this node
/// for and not got.
struct AnswerWindow {
    static let bytesMax = 4 << 20
    static let bytesMin = 256 << 10
    static let queriesMin = 8
    /// After so many nanoseconds without any late answer none is expected any more.
    private static let overdueNanoseconds = UInt64.nanoseconds(milliseconds: 1_000)

    /// Bytes that may be under way; the answer that reaches the limit may exceed it.
    private(set) var limit = AnswerWindow.bytesMax
    private(set) var underWay = 0
    /// Answers that reads no longer wait for, which are on their way all the same.
    private(set) var overdue = (count: 0, bytes: 0)
    /// When anything last became overdue or came late.
    private var overdueAt: Deadline = 0
    /// When the limit last fell.
    private var fellAt: Deadline = 0
    /// Forwarded queries under way, and how many may be.
    private(set) var queries = (count: 0, limit: AnswerWindow.queriesMin)
    private var queriedAt: Deadline = 0
    /// Who waits for room.
    var line = AnswerLine()

    /// Whether whoever was not called has to wait.
    var isTaken: Bool { isFull || !line.isEmpty }
    var isFull: Bool { underWay + overdue.bytes >= limit }

    /// Whether one more forwarded query has to wait.
    var isFullForQueries: Bool { isFull || queries.count >= queries.limit }

    mutating func ask(_ bytes: Int) { underWay += bytes }

    /// A query is forwarded, and asked for as well.
    mutating func beginQuery(now: Deadline) {
        if queries.count == 0, now >= queriedAt + AnswerWindow.overdueNanoseconds {
            queries.limit = AnswerWindow.queriesMin
        }
        queriedAt = now
        queries.count += 1
    }

    mutating func endQuery(inTime: Bool) {
        queries.count -= 1
        if inTime { queries.limit = min(queries.limit + 1, 65_536) }
    }

    /// What was asked for has come, or will not come.
    mutating func settle(_ bytes: Int) { underWay -= bytes }

    /// An answer came in time.
    mutating func grow(by bytes: Int) {
        limit = min(limit + bytes / 8, AnswerWindow.bytesMax)
        line.noteAnswer(bytes)
    }

    /// Nobody waits any more for what was asked for.
    ///
    /// - Parameter askedAt: when it was asked for; nil when time was not the reason.
    mutating func giveUp(_ bytes: Int, askedAt: Deadline?, now: Deadline) {
        let wasFull = isFull
        underWay -= bytes
        overdue.count += 1
        overdue.bytes += bytes
        overdueAt = now
        // What was asked for before the limit fell says nothing of how it is now.
        guard let askedAt, wasFull, askedAt >= fellAt else { return }
        fellAt = now
        limit = max(limit / 2, AnswerWindow.bytesMin)
    }

    /// An answer came that nobody waits for.
    mutating func cameLate(now: Deadline) {
        guard overdue.count > 0 else { return }
        overdue.bytes -= overdue.bytes / overdue.count
        overdue.count -= 1
        overdueAt = now
    }

    /// Forgets answers that were lost.
    mutating func tend(now: Deadline) {
        guard overdue.count > 0, now >= overdueAt + AnswerWindow.overdueNanoseconds else { return }
        overdue = (0, 0)
    }

    /// The link is gone, and with it all that was on its way.
    mutating func forgetOverdue() { overdue = (0, 0) }

    /// The next one for whom there is room.
    mutating func next() -> AnswerLine.Waiter? {
        guard queries.count < queries.limit else { return nil }
        return line.next(room: limit - underWay - overdue.bytes)
    }
}

/// Requests that wait until a node may be asked for more, in the order in which they came.
struct AnswerLine {
    enum Waiter {
        case connection(ConnectionID, serial: UInt64)
        /// Its remaining parts.
        case gather(OperationID)
    }

    /// What one answer is taken for before any has come.
    private static let firstGuess = 4 << 10

    private var waiting: [Waiter] = []
    private var head = 0
    /// Those that were called and have not come.
    private var called = 0
    /// What an answer has, on average of the latest.
    private(set) var typicalBytes = AnswerLine.firstGuess

    var isEmpty: Bool { head == waiting.count }
    /// Whether anybody waits, or has been called and has not come.
    var isTaken: Bool { !isEmpty || called > 0 }

    /// Larger ones count for more, so that few of them are asked for too many.
    mutating func noteAnswer(_ bytes: Int) {
        typicalBytes += (bytes - typicalBytes) / (bytes > typicalBytes ? 4 : 16)
    }

    mutating func append(_ waiter: Waiter) { waiting.append(waiter) }

    /// The next one, unless those that were called will take the room.
    ///
    /// - Parameter room: bytes.
    /// - Complexity: O(1), amortised.
    mutating func next(room: Int) -> Waiter? {
        guard head < waiting.count, room > 0, called <= room / max(typicalBytes, 64) else {
            return nil
        }
        let waiter = waiting[head]
        head += 1
        if head > waiting.count / 2 {
            waiting.removeFirst(head)
            head = 0
        }
        called += 1
        return waiter
    }

    /// Whoever was called is here, or has gone.
    mutating func noteArrival() { called = max(0, called - 1) }

    /// Calls that nobody followed, such as those of clients that take no replies, are forgotten.
    mutating func forgetCalls() { called = 0 }
}
