import Base
import Causality
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
    var wantsReceipts = false { didSet { settlePlain() } }
    /// Its plain requests need no more than the keyspace's defaults, and an answer.
    private(set) var isPlain = true
    /// The receipt of the last answered request, while receipts are wanted.
    var lastReceipt: Receipt?
    /// The connection is to be closed after what it is owed.
    var isClosing = false
    private(set) var outstanding = ReplyQueue()

    init(serial: UInt64) { self.serial = serial }

    var isOpen: Bool { serial != 0 }
    var owesReplies: Bool { !outstanding.isEmpty }

    private mutating func settlePlain() {
        isPlain = !hasDefaults && !wantsReceipts && guarantees.isEmpty
    }

    mutating func endSession() {
        guarantees = []
        history = SessionHistory(keysMax: 1)
    }

    mutating func enqueue(pendingWrite hash: UInt64?, byteCount: Int) -> UInt64 {
        outstanding.enqueue(hash, byteCount: byteCount)
    }
    mutating func complete(_ sequence: UInt64, _ bytes: [UInt8]) {
        outstanding.complete(sequence, bytes)
    }
    mutating func append(completed bytes: [UInt8]) {
        complete(outstanding.enqueue(nil, byteCount: 0), bytes)
    }
    mutating func nextReply() -> [UInt8]? { outstanding.nextCompleted() }
}

/// Replies in request order: requests of one connection may finish in any order, their replies
/// leave in theirs.
struct ReplyQueue {
    private struct Slot {
        var bytes: [UInt8]?
        /// The hash of the key that the request writes.
        var pendingWrite: UInt64?
        /// What the request or its reply keeps in memory; an estimate until the reply is known.
        var byteCount: Int
    }

    private var slots: [Slot] = []
    private var head = 0
    /// The sequence number of `slots[head]`.
    private var first: UInt64 = 0
    /// Of all slots from `head` on.
    private(set) var byteCount = 0

    var count: Int { slots.count - head }
    var isEmpty: Bool { head == slots.count }

    mutating func enqueue(_ pendingWrite: UInt64?, byteCount: Int) -> UInt64 {
        slots.append(Slot(bytes: nil, pendingWrite: pendingWrite, byteCount: byteCount))
        self.byteCount += byteCount
        return first + UInt64(count) - 1
    }

    mutating func complete(_ sequence: UInt64, _ bytes: [UInt8]) {
        precondition(sequence >= first && sequence < first + UInt64(count), "a reply is owed")
        let index = head + Int(sequence - first)
        byteCount += bytes.count - slots[index].byteCount
        slots[index].byteCount = bytes.count
        slots[index].bytes = bytes
    }

    /// Takes the reply at the front, if it is there.
    ///
    /// - Complexity: O(1), amortised: what is left moves to the front only when it is the smaller
    ///   half.
    mutating func nextCompleted() -> [UInt8]? {
        guard head < slots.count, let bytes = slots[head].bytes.take() else { return nil }
        byteCount -= slots[head].byteCount
        head += 1
        first += 1
        if head > slots.count / 2 {
            slots.removeFirst(head)
            head = 0
        }
        return bytes
    }

    /// Replies that are not known yet.
    var unfinished: Int { slots[head...].count { $0.bytes == nil } }

    /// Whether an unfinished request writes this key, so that a later one on the same connection
    /// must wait for it.
    func isWriting(_ hash: UInt64) -> Bool {
        for index in head..<slots.count
        where slots[index].pendingWrite == hash && slots[index].bytes == nil { return true }
        return false
    }
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
    /// Nowhere: work of the node's own.
    case nobody
}
