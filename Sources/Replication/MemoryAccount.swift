/// What a node takes in memory, by what it is for: everything that grows with clients, with other
/// nodes or with data is in one of these, and together they have one limit.
///
/// At the limit the newest demand is refused: a write with `OOM`. Before, what clients cause
/// besides records has shares of its own, so that it is refused before it takes the room of all
/// others: a request with several keys with `OVERLOADED`, a half-read or unread one by the driver.
///
/// Records, replies and operations are counted as they change; sessions and hints five times a
/// second.
public struct MemoryAccount: Equatable, Sendable {
    /// What all may take together.
    public let bytesMax: Int
    /// Tables and records, and large values.
    public internal(set) var records = 0
    /// Writes and reads under way, with what they carry, and what is remembered of request ids.
    public internal(set) var operations = 0
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

    init(bytesMax: Int) { self.bytesMax = bytesMax }

    public var total: Int { records + others }

    /// Bytes that half-read requests may take together: an eighth, and one of the largest.
    ///
    /// - Parameter requestBytesMax: of one request.
    public func requestsMax(requestBytesMax: Int) -> Int { max(bytesMax / 8, requestBytesMax) }

    /// Bytes of replies that clients have not taken: a quarter.
    public var outputMax: Int { bytesMax / 4 }

    /// What requests under way and their replies take is more than a quarter.
    var isCrowded: Bool { operations + replies + output > bytesMax / 4 }

    mutating func settle() {
        others = operations + sessions + hints + replies + requests + output + links
    }

    /// Each part with its name, in a fixed order.
    public var named: [(name: String, bytes: Int)] {
        [
            ("records", records), ("operations", operations), ("sessions", sessions),
            ("hints", hints), ("replies", replies + output), ("requests", requests),
            ("links", links),
        ]
    }
}

// Counting.
extension Node {
    /// Whether a write that takes memory is refused.
    @inline(__always)
    var isMemoryFull: Bool { store.allocatedBytes + memory.others >= memory.bytesMax }

    /// Brings the account up to date, as far as that takes no walk over anything.
    @inline(__always)
    mutating func countMemory() {
        memory.records = store.allocatedBytes
        memory.operations = operationBytes
        memory.settle()
    }

    private var operationBytes: Int {
        writes.byteCount + reads.byteCount + gathers.byteCount + forwards.byteCount
            + administrations.byteCount + requestIDs.byteCount
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
        account.settle()
        return account
    }
}
