/// Why a disk operation did not happen.
public enum DiskError: Error, Equatable, Sendable {
    /// No such file.
    case notFound(String)
    /// No space left: nothing of the operation may be relied upon.
    case full(String)
    /// Another process holds the directory.
    case locked(String)
    /// Something else stands where the store has a file or its directory, or there is too little to
    /// begin with: a sentence that says what, and what would be right.
    case unusable(String)
    /// Anything else the operating system said. After this from `sync` the pages' fate is unknown:
    /// stop, never retry.
    case failed(String, errno: Int32)
}

/// What a node may give its disk now.
public enum DiskRoom: Sendable {
    /// Everything.
    case free
    /// Nothing that can wait: the disk is slower than what comes.
    case busy
    /// Deletions and definitions only: it is full.
    case deletions
    /// Nothing: the room kept for deletions has been used up as well.
    case none
}

/// How many bytes of records a node may give its disk until it is told anew.
public struct DiskAllowance: Equatable, Sendable {
    /// Of writes.
    public var writes: Int
    /// Of deletions, which free more than they take.
    public var deletions: Int
    /// Of deletions of what is not here, which take and free nothing.
    public var tombstones: Int

    public init(writes: Int, deletions: Int, tombstones: Int) {
        self.writes = writes
        self.deletions = deletions
        self.tombstones = tombstones
    }

    /// The disk is not full.
    public static let unlimited = DiskAllowance(writes: .max, deletions: .max, tombstones: .max)
}

/// One data directory, as far as storage needs it: real files in production, a faulty disk in the
/// simulator.
///
/// Names are flat (no directories) and relative to the data directory. All offsets and counts are
/// in bytes.
public protocol Disk: AnyObject {
    /// Names of all files, ascending.
    func list() throws(DiskError) -> [String]
    /// - Returns: the file's length in bytes.
    func size(of name: String) throws(DiskError) -> Int
    /// Reads up to `into.count` bytes from `offset`.
    ///
    /// - Returns: how many bytes were read; fewer than asked for only at the end of the file.
    func read(
        _ name: String, at offset: Int, into: UnsafeMutableRawBufferPointer
    ) throws(DiskError) -> Int
    /// Creates the file, reserves and zero-fills `size` bytes; replaces nothing.
    func create(_ name: String, size: Int) throws(DiskError)
    /// Writes all bytes at `offset`; they may still be lost, torn by sector, until `sync`.
    func write(_ name: String, at offset: Int, _ bytes: UnsafeRawBufferPointer) throws(DiskError)
    /// Makes the file's written bytes durable.
    func sync(_ name: String) throws(DiskError)
    /// - Returns: how many bytes all files together may still grow by; `Int.max` where nobody can
    ///   say.
    func availableBytes() throws(DiskError) -> Int
    /// Cuts or extends the file.
    func truncate(_ name: String, to size: Int) throws(DiskError)
    /// Replaces `new` by `old` atomically; durable after `syncDirectory`.
    func rename(_ old: String, to new: String) throws(DiskError)
    /// Removes a file; durable after `syncDirectory`.
    func remove(_ name: String) throws(DiskError)
    /// Makes creations, renames and removals durable.
    func syncDirectory() throws(DiskError)
}
