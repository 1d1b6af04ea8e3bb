import Base
import Causality
import Coding
import RESP

/// One client connection as the node sees it: its protocol, its defaults and the replies that it
/// still owes.
struct Session {
    /// How many replies may be outstanding before the connection is not read any further.
    static let outstandingMax = 1_024
    /// How many bytes those replies may have, as far as that is known before they are.
    static let outstandingBytesMax = 4 << 20

    /// Tells this use of the connection's number from earlier ones, so that a late reply is not
    /// taken for its successor's. 0 for none.
    let serial: UInt64
    /// 2 or 3.
    var protocolVersion: UInt8 = 2
    var progress = ParseProgress()
    var defaults = ConsistencyOptions.none
    var hasDefaults = false { didSet { settlePlain() } }
    /// What its session promises; empty without one.
    var guarantees: SessionGuarantees = [] { didSet { settlePlain() } }
    /// What its session has seen.
    var history = SessionHistory(keysMax: 1)
    var name: [UInt8] = []
    var origin = ClientOrigin()
    /// What it has queued since MULTI, and what it watches.
    var transaction = Transaction() { didSet { settlePlain() } }
    /// What of it is in the node's account.
    var countedTransaction = 0
    var wantsReceipts = false { didSet { settlePlain() } }
    /// Its plain requests need no more than the keyspace's defaults, and an answer.
    private(set) var isPlain = true
    /// While receipts are wanted.
    var latestReceipt = LatestReceipt()
    /// The connection is to be closed after what it is owed.
    var isClosing = false
    /// More of its replies is known than has been written: the driver comes back for it.
    var isDraining = false
    /// Requests with several keys that nothing may overtake: those that write, and those of which
    /// some parts have not begun.
    var heldBack = 0
    /// Requests of several keys that only read, and end with the connection; among ended ones.
    var reading: [OperationID] = []
    /// Why the request at the front of its bytes may not run yet.
    var wait: RequestWait?
    private(set) var outstanding = ReplyQueue()

    init(serial: UInt64) { self.serial = serial }

    var isOpen: Bool { serial != 0 }
    var owesReplies: Bool { !outstanding.isEmpty }

    private mutating func settlePlain() {
        isPlain = !hasDefaults && !wantsReceipts && guarantees.isEmpty && !transaction.isOpen
    }

    /// The place of the next reply in the connection's order.
    var nextSequence: UInt64 { outstanding.nextSequence }

    /// The latest command is one that has no receipt so far.
    mutating func beginReceipt() { latestReceipt.begin(nextSequence) }

    mutating func endSession() {
        guarantees = []
        history = SessionHistory(keysMax: 1)
    }

    mutating func enqueue(_ use: KeyUse, byteCount: Int) -> UInt64 {
        outstanding.enqueue(use, byteCount: byteCount)
    }
    mutating func complete(_ sequence: UInt64, _ reply: Reply) {
        outstanding.complete(sequence, reply)
    }
    mutating func append(completed bytes: [UInt8]) {
        complete(outstanding.enqueue(.none, byteCount: 0), Reply(bytes))
    }
    mutating func writeReplies(upTo budget: Int, into buffer: inout ByteBuffer) -> Bool {
        outstanding.write(upTo: budget, into: &buffer)
    }
}

/// Replies in request order: requests of one connection may finish in any order, their replies
/// leave in theirs, a long one piece by piece.
///
/// Invariants: `byteCount` and `heldBytes` are the sums over all slots, of a reply what has not
/// left; `keysInUse` is what the unfinished requests do with keys.
struct ReplyQueue {
    private struct Slot {
        var reply: Reply?
        /// What the request does with keys.
        let use: KeyUse
        /// What the reply will keep in memory, an estimate until it is known.
        var byteCount: Int
    }

    /// What one reply is taken for before any is known, and what is known of the latest.
    private static let firstGuess = 64 << 10

    private var slots: [Slot] = []
    private var head = 0
    /// The sequence number of `slots[head]`.
    private var first: UInt64 = 0
    private(set) var keysInUse = KeysInUse()
    private var typicalBytes = ReplyQueue.firstGuess
    /// Of all slots from `head` on.
    private(set) var byteCount = 0
    /// Of those whose replies are known: what is in memory.
    private(set) var heldBytes = 0

    var count: Int { slots.count - head }
    var isEmpty: Bool { head == slots.count }
    var nextSequence: UInt64 { first + UInt64(count) }

    /// - Parameter byteCount: of the reply, as far as it is known; the latest replies tell the
    ///   rest.
    mutating func enqueue(_ use: KeyUse, byteCount: Int) -> UInt64 {
        let guess = max(byteCount, typicalBytes)
        slots.append(Slot(reply: nil, use: use, byteCount: guess))
        keysInUse.begin(use)
        self.byteCount += guess
        return nextSequence - 1
    }

    mutating func complete(_ sequence: UInt64, _ reply: Reply) {
        precondition(sequence >= first && sequence < first + UInt64(count), "a reply is owed")
        let index = head + Int(sequence - first)
        byteCount += reply.byteCount - slots[index].byteCount
        heldBytes += reply.byteCount
        typicalBytes = max(reply.byteCount, typicalBytes - typicalBytes / 8)
        slots[index].byteCount = reply.byteCount
        slots[index].reply = reply
        keysInUse.end(slots[index].use)
    }

    /// Writes what is known at the front, about so many bytes.
    ///
    /// - Returns: whether more is known that did not fit.
    /// - Complexity: O(bytes written), amortised: what is left moves to the front only when it is
    ///   the smaller half.
    mutating func write(upTo budget: Int, into buffer: inout ByteBuffer) -> Bool {
        let end = buffer.count + budget
        while head < slots.count, slots[head].reply != nil {
            guard buffer.count < end else { return true }
            let isWhole = slots[head].reply?.write(upTo: end - buffer.count, into: &buffer)
            let left = slots[head].reply?.heldBytes ?? 0
            byteCount -= slots[head].byteCount - left
            heldBytes -= slots[head].byteCount - left
            slots[head].byteCount = left
            guard isWhole == true else { return true }
            removeFirst()
        }
        return false
    }

    private mutating func removeFirst() {
        byteCount -= slots[head].byteCount
        heldBytes -= slots[head].byteCount
        slots[head].reply = nil
        head += 1
        first += 1
        if head > slots.count / 2 {
            slots.removeFirst(head)
            head = 0
        }
    }

    /// Replies that are not known yet.
    var unfinished: Int { slots[head...].count { $0.reply == nil } }

    /// Traps unless the type's invariants hold.
    func checkInvariants() {
        precondition(
            slots[head...].reduce(0) { $0 + $1.byteCount } == byteCount,
            "a queue's bytes are its slots'")
        precondition(
            slots[head...].reduce(0) { $0 + ($1.reply == nil ? 0 : $1.byteCount) } == heldBytes,
            "a queue holds the replies that are known")
        var open = KeysInUse()
        for slot in slots[head...] where slot.reply == nil { open.begin(slot.use) }
        precondition(open == keysInUse, "a queue's keys are those of its unfinished requests")
    }
}

/// Why a request has to wait, in a form that can be looked at again without the request.
enum RequestWait {
    /// Until nothing is owed to the connection.
    case allReplies
    /// Until no unfinished request of the connection stands in the way of this.
    case keys(KeyUse)
    /// Until the connection is owed less, or the keyspace has more room for operations.
    case room(Int)
    /// Until enough links take more than they have.
    case links
    /// Until enough nodes may be asked for more.
    case answers
    /// No longer: this link's node may be asked for more.
    case called(Int)
}

/// Where a reply goes.
enum ReplyTarget {
    /// To the client whose command runs right now; nothing has been queued for it yet.
    case direct(ConnectionID)
    /// To a client's outstanding request.
    case outstanding(ConnectionID, serial: UInt64, sequence: UInt64)
    /// To the node that forwarded the command, under its number.
    case node(NodeID, UInt64)
    /// Into a request that has several keys, as its part with this index.
    case gather(OperationID, Int)
    /// To whoever sent the request with an id that is being executed.
    case request(OperationID)
    /// Nowhere: work of the node's own.
    case nobody
}
