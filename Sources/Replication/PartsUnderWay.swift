import Base

/// The reads of a request with several keys that have begun.
///
/// Invariant: `reservedBytes` is the sum of those of its reads that have not ended.
struct PartsUnderWay {
    /// Parts that may wait for the read of an earlier one: what it answers is told to all of them
    /// in one turn.
    static let sharersMax = 4_096

    /// A long value that is being read, and the later parts that name it too.
    private struct SharedRead {
        let key: [UInt8]
        let hash: UInt64
        var parts: [Int] = []
    }

    /// Among others that have ended.
    private(set) var reads: [OperationID] = []
    /// What the answers of those may take that are long.
    private(set) var reservedBytes = 0
    /// The same when the step under way began.
    private var reservedBefore = 0
    /// The next part does not begin before one that has begun lets go of what it holds.
    private(set) var waitsForRoom = false
    /// By the part that reads it.
    private var shared = Table<Int, SharedRead>()
    /// Which part reads a key, by the key's hash.
    private var readers = Table<UInt64, Int>()
    private var sharedBytes = 0

    /// Whether a long value is being asked for in the step under way.
    var hasReserved: Bool { reservedBytes > reservedBefore }

    var heldBytes: Int { reads.count * 8 + sharedBytes }

    mutating func noteStep() { reservedBefore = reservedBytes }

    /// A read has begun whose answers may take so many bytes, 0 for few.
    mutating func begin(_ id: OperationID, reserving bytes: Int) {
        reads.append(id)
        reservedBytes += bytes
    }

    /// Later parts may share what a part reads.
    mutating func share(_ key: [UInt8], _ hash: UInt64, part: Int) {
        readers[hash] = part
        shared[part] = SharedRead(key: key, hash: hash)
        sharedBytes += key.count
    }

    var isAnyShared: Bool { !shared.isEmpty }

    /// Has a part wait for the read of an earlier one.
    ///
    /// - Returns: false when its key is not being read.
    mutating func join(_ key: UnsafeRawBufferPointer, _ hash: UInt64, part: Int) -> Bool {
        guard let reader = readers[hash], let read = shared[reader],
            read.parts.count < PartsUnderWay.sharersMax,
            read.key.withUnsafeBytes({ bytesEqual($0, key) })
        else { return false }
        shared[reader]?.parts.append(part)
        sharedBytes += 8
        return true
    }

    /// A part has answered.
    ///
    /// - Returns: the parts that share its answer.
    mutating func end(part: Int) -> [Int] {
        guard let read = shared[part] else { return [] }
        shared[part] = nil
        if readers[read.hash] == part { readers[read.hash] = nil }
        sharedBytes -= read.key.count + 8 * read.parts.count
        return read.parts
    }

    mutating func waitForRoom() { waitsForRoom = true }

    /// A read has ended.
    mutating func release(_ bytes: Int) {
        reservedBytes -= bytes
        waitsForRoom = false
    }

    /// Forgets reads that have ended.
    mutating func keep(_ isUnderWay: (OperationID) -> Bool) { reads.removeAll { !isUnderWay($0) } }
}
