import Base

/// What a node takes in memory, by what it is for: everything that grows with clients, with other
/// nodes or with data is in one of these, and together they have one limit.
///
/// At the limit the newest demand is refused: a write with `OOM`. Before, what clients cause
/// besides records has shares of its own, so that it is refused before it takes the room of all
/// others: a request with several keys with `OVERLOADED`, one more command in a transaction with
/// `OOM`, one more request id with `OVERLOADED`, a half-read or unread one by the driver.
///
/// All are counted as they change, except sessions and hints: these five times a second.
public struct MemoryAccount: Equatable, Sendable {
    /// What all may take together.
    public let bytesMax: Int
    /// Beyond this a write that takes memory is refused: `bytesMax`, or none while something runs
    /// that was admitted as a whole (`Node.withRoom`).
    var limit: Int
    /// Tables and records, and large values.
    public internal(set) var records = 0
    /// Writes and reads under way, with what they carry.
    public internal(set) var operations = 0
    /// What is remembered of requests with an id.
    public internal(set) var requestIDs = 0
    /// What clients have queued since MULTI, and the keys that they watch.
    public internal(set) var transactions = 0
    /// What sessions have seen.
    public internal(set) var sessions = 0
    /// What is kept for nodes that are away.
    public internal(set) var hints = 0
    /// Replies that are known and have not been handed to the driver.
    public internal(set) var replies = 0
    /// The driver's: requests that have arrived in part.
    public var requests = 0
    /// The driver's: replies that clients have not taken.
    public var output = 0
    /// The driver's: messages that other nodes have not taken, or sent in part.
    public var links = 0
    /// All but records, as last counted.
    private(set) var others = 0

    init(bytesMax: Int) { (self.bytesMax, limit) = (bytesMax, bytesMax) }

    public var total: Int { records + others }

    /// Whether more of a request may be read: half-read ones may take an eighth together, and one
    /// that goes on while all others have less may be longer than that.
    ///
    /// - Parameters:
    ///   - bytes: what has arrived of it.
    ///   - sum: what has arrived of all, and of it among them.
    public func admitsMore(of bytes: Int, among sum: Int) -> Bool { sum - bytes < bytesMax / 8 }

    /// Bytes of replies that clients have not taken: a quarter.
    public var outputMax: Int { bytesMax / 4 }

    /// Bytes that are remembered of requests with an id: a quarter.
    static func requestIDsMax(of bytesMax: Int) -> Int { bytesMax / 4 }

    /// Bytes of what clients have queued and watch: an eighth.
    var transactionsMax: Int { bytesMax / 8 }

    /// What requests under way and their replies take.
    private var served: Int { operations + replies + output }

    /// What requests under way and their replies take is more than a quarter.
    var isCrowded: Bool { served > bytesMax / 4 }

    /// Whether a request under way must end so that others find room.
    ///
    /// - Parameter bytes: what it takes itself.
    func isCrowded(by bytes: Int) -> Bool { mustGiveWay(bytes, of: served) }

    /// Whether a request that is to give way would have to if there were no other.
    ///
    /// - Parameter bytes: what it takes itself.
    func isTooMuchAlone(_ bytes: Int) -> Bool { bytes > outputMax && served - bytes <= outputMax }

    /// Whether the one that takes most of a quarter must give way: when all together take more,
    /// unless it is one that alone is longer than that. There may be one of these, as long as there
    /// is memory.
    ///
    /// - Parameters:
    ///   - bytes: what it takes.
    ///   - sum: what all take, and it among them.
    public func mustGiveWay(_ bytes: Int, of sum: Int) -> Bool {
        guard sum > outputMax else { return false }
        return bytes <= outputMax || sum - bytes > outputMax || isNearlyFull
    }

    /// Hardly any more fits.
    public var isNearlyFull: Bool { total >= bytesMax - bytesMax / 16 }

    mutating func settle() {
        others =
            operations + requestIDs + transactions + sessions + hints + replies + requests + output
            + links
    }

    /// Each part with its name, in a fixed order.
    public var named: [(name: String, bytes: Int)] {
        [
            ("records", records), ("operations", operations), ("request_ids", requestIDs),
            ("transactions", transactions), ("sessions", sessions), ("hints", hints),
            ("replies", replies + output), ("requests", requests), ("links", links),
        ]
    }
}

// Counting.
extension Node {
    /// Whether a write that takes memory is refused.
    @inline(__always)
    var isMemoryFull: Bool { store.allocatedBytes + memory.others >= memory.limit }

    /// Whether a write finds no memory. A deletion gives some back; one of an absent key, which
    /// leaves a small tombstone, may go a sixteenth beyond the limit.
    func lacksMemory(isDelete: Bool, _ key: UnsafeRawBufferPointer) -> Bool {
        guard isMemoryFull else { return false }
        guard isDelete else { return true }
        let limit = memory.bytesMax + memory.bytesMax / 16
        return store.allocatedBytes + memory.others >= limit
            && store.find(store.address(of: key), key) == nil
    }

    /// What a write is told that finds no memory, and for whom deletions wait that could give some
    /// back.
    var outOfMemory: String {
        let text = "OOM command not allowed when used memory > 'maxmemory'."
        let away = collectionFigures.waitsFor.map { "\($0)" }
        guard !away.isEmpty else { return text }
        return text + " What was deleted or has expired is kept until it is known to "
            + away.joined(separator: ", ") + "; a node that never returns: CLUSTER FORGET"
    }

    /// Brings the account up to date, as far as that takes no walk over anything.
    @inline(__always)
    mutating func countMemory() {
        memory.records = store.allocatedBytes
        memory.operations = operationBytes
        memory.requestIDs = requestIDs.ledger.byteCount
        memory.settle()
    }

    private var operationBytes: Int {
        writes.byteCount + reads.byteCount + gathers.byteCount + forwards.byteCount
            + administrations.byteCount + requestIDs.claims.byteCount
    }

    /// Counts what is not counted as it changes.
    ///
    /// - Complexity: O(connections + links).
    mutating func recountMemory() {
        memory.sessions = sessions.indices.reduce(0) { sum, index in
            sum + (sessions[index].guarantees.isEmpty ? 0 : sessions[index].history.byteCount)
        }
        memory.hints = hints.reduce(0) { $0 + $1.byteCount }
    }

    /// What the driver's buffers take.
    ///
    /// - Parameters:
    ///   - requests: bytes of requests that have arrived in part.
    ///   - output: bytes of replies that clients have not taken.
    ///   - links: bytes of messages that other nodes have not taken, or sent in part.
    @inline(__always)
    public mutating func noteBuffers(requests: Int, output: Int, links: Int) {
        memory.requests = requests
        memory.output = output
        memory.links = links
    }

    /// What the node takes in memory.
    public var memoryAccount: MemoryAccount {
        var account = memory
        account.records = store.allocatedBytes
        account.operations = operationBytes
        account.requestIDs = requestIDs.ledger.byteCount
        account.settle()
        return account
    }

    /// Bytes of replies that are known and have not been handed to the driver.
    @inline(__always)
    public var replyBytes: Int { memory.replies }

    /// Those that one connection is owed.
    public func replyBytes(owedTo connection: ConnectionID) -> Int {
        let index = Int(connection.rawValue)
        return index < sessions.count ? sessions[index].outstanding.heldBytes : 0
    }

    /// Counts anew what a connection has queued and watches, after a change.
    mutating func count(transactionOf index: Int) {
        let bytes = sessions[index].transaction.heldBytes
        memory.transactions += bytes - sessions[index].countedTransaction
        sessions[index].countedTransaction = bytes
    }
}
