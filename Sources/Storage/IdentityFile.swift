import Base
import Coding

/// Who a data directory belongs to, the last epoch that was taken on it, and its newest segment.
///
/// Layout, little-endian, two blocks, in a file named `identity`:
///
///     0  magic      u64   "QRIDENT\n"
///     8  format     u32   4
///     12 node       u32
///     16 clusterID  u64
///     24 members    u64   a digest of the member list
///     32 epoch      u64
///     40 earlier    u64   31 times: the epochs taken before that, the latest first, 0 for none
///     288 CRC32C    u32   of the 288 bytes before
///     4096 newest   u64   first position of the newest segment, 0 before the first
///     4104 CRC32C   u32   of the 8 bytes before
///
/// The second block is written in place, as one sector, after each new segment's name is durable
/// and before any record in it is acknowledged. So a missing segment is damage if it is named here,
/// and a segment that is not named yet is none; a crash anywhere between leaves one or the other.
public struct IdentityFile: Equatable, Sendable {
    static let name = "identity"
    static let temporary = "identity.temporary"
    static let magic: UInt64 = 0x0A54_4E45_4449_5251
    static let format: UInt32 = 4
    static let markOffset = 4096
    static let byteCount = markOffset + 12
    /// A start reserves this many epochs: one, and one for each time that the clock goes back while
    /// the node runs.
    public static let epochsPerStart: UInt64 = 1_024

    /// Whose a data directory is.
    public struct Owner: Equatable, Sendable {
        public var node: NodeID
        public var clusterID: UInt64
        /// Of the member list that the node was started with: ids, weights and zones.
        public var memberDigest: UInt64

        public init(node: NodeID, clusterID: UInt64, memberDigest: UInt64) {
            self.node = node
            self.clusterID = clusterID
            self.memberDigest = memberDigest
        }
    }

    public let owner: Owner
    /// The last that was taken; `epochsPerStart` from it on are spoken for.
    public let epoch: UInt64
    /// Those that were taken before, the latest first, as far as they are remembered.
    let earlier: [UInt64]
    /// The first position of the newest segment; 0 before the first.
    let newestSegment: JournalPosition
    private static let earlierMax = 31
    /// What the first checksum covers.
    private static let coveredBytes = 40 + 8 * earlierMax
    private static let ownerBytes = coveredBytes + 4

    /// The epochs of the last starts on this disk, the latest first: those after the last life that
    /// other nodes have met, unless there were very many.
    public var starts: [UInt64] { [epoch] + earlier }

    /// Takes a new epoch: the wall clock, or one behind those that are spoken for if that is more.
    /// It is durable on return, so no later start, after whatever crash, takes it again.
    ///
    /// - Parameters:
    ///   - wallMilliseconds: since 1970.
    ///   - above: an epoch that the cluster has admitted; those that it reserved are passed over.
    ///   - takesOtherMembers: whether the member list may be another than it was.
    /// - Throws: `otherNode` or `otherCluster` for a directory that is not this node's,
    ///   `otherMembers`, `damaged`, `otherFormat`, `missing`, `disk`; `outOfEpochs` when the clock
    ///   shows a time that no epoch can have.
    public static func claim(
        on disk: some Disk, for owner: Owner, wallMilliseconds: UInt64, above: UInt64 = 0,
        takesOtherMembers: Bool = false
    ) throws(IdentityError) -> ReplicaIdentity {
        let stored = try read(from: disk)
        if let stored { try stored.owner.admit(owner, takesOtherMembers) }
        let spokenFor = max(stored?.epoch ?? 0, above)
        let epoch = max(wallMilliseconds, spokenFor == 0 ? 1 : spokenFor + epochsPerStart)
        guard epoch + epochsPerStart <= ReplicaIdentity.epochMax else { throw .outOfEpochs }
        let identity = ReplicaIdentity(node: owner.node, epoch: epoch)
        do {
            try IdentityFile(
                owner: owner, epoch: epoch,
                earlier: Array((stored?.starts ?? []).prefix(earlierMax)),
                newestSegment: stored?.newestSegment ?? 0
            ).store(on: disk)
        } catch { throw .disk(error) }
        return identity
    }

    /// - Returns: nil for a new directory.
    /// - Throws: `damaged`, `otherFormat`, `missing` when there are records without an owner,
    ///   `disk`.
    public static func read(from disk: some Disk) throws(IdentityError) -> IdentityFile? {
        let names: [String]
        do { names = try disk.list() } catch { throw .disk(error) }
        guard names.contains(name) else {
            let hasRecords = names.contains {
                $0.hasPrefix("journal-") || $0.hasPrefix("checkpoint-")
            }
            if hasRecords { throw .missing(name) }
            return nil
        }
        let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: byteCount + 1, alignment: 8)
        defer { bytes.deallocate() }
        let count: Int
        do { count = try disk.read(name, at: 0, into: bytes) } catch { throw .disk(error) }
        let content = UnsafeRawBufferPointer(rebasing: bytes[..<count])
        guard count >= 12, long(content, 0) == magic else { throw .damaged(name) }
        guard word(content, 8) == format else {
            // What fits this format's checksum but for the number was written as this format.
            let isDamaged = count == byteCount && hasChecksum(content, as: format)
            throw isDamaged ? .damaged(name) : .otherFormat(name, word(content, 8))
        }
        guard count == byteCount else { throw .damaged(name) }
        return try decode(content)
    }

    private static func hasChecksum(_ bytes: UnsafeRawBufferPointer, as format: UInt32) -> Bool {
        var covered = ByteBuffer(capacity: coveredBytes)
        covered.append(UnsafeRawBufferPointer(rebasing: bytes[..<coveredBytes]))
        covered.store(format, at: 8)
        return CRC32C.checksum(covered.bytes) == word(bytes, coveredBytes)
    }

    private static func decode(
        _ bytes: UnsafeRawBufferPointer
    ) throws(IdentityError) -> IdentityFile {
        let covered = UnsafeRawBufferPointer(rebasing: bytes[..<coveredBytes])
        let mark = UnsafeRawBufferPointer(rebasing: bytes[markOffset..<markOffset + 8])
        guard CRC32C.checksum(covered) == word(bytes, coveredBytes), word(bytes, 12) <= UInt16.max,
            long(bytes, 32) < 1 << 48 - 1,
            CRC32C.checksum(mark) == word(bytes, markOffset + 8)
        else { throw .damaged(name) }
        return IdentityFile(
            owner: Owner(
                node: NodeID(UInt16(word(bytes, 12))), clusterID: long(bytes, 16),
                memberDigest: long(bytes, 24)),
            epoch: long(bytes, 32),
            earlier: (0..<earlierMax).map { long(bytes, 40 + 8 * $0) }.filter { $0 > 0 },
            newestSegment: long(bytes, markOffset))
    }

    /// What makes a segment's name the newest, once the segment is durable under it.
    static func marking(newest: JournalPosition) -> [DiskOperation] {
        [.write(name, at: markOffset, SharedBytes(mark(newest))), .sync(name)]
    }

    private static func mark(_ newest: JournalPosition) -> ByteBuffer {
        var buffer = ByteBuffer(capacity: 16)
        buffer.append(integer: newest)
        buffer.append(integer: CRC32C.checksum(buffer.bytes))
        return buffer
    }

    /// A new file takes the place of the old one. Without room for it, the first sector is written
    /// in place, as the second block always is: so a start needs no room on the disk.
    private func store(on disk: some Disk) throws(DiskError) {
        let owner = encodedOwner
        do throws(DiskError) { try replace(owner, on: disk) } catch {
            guard case .full = error, try disk.list().contains(IdentityFile.name) else {
                throw error
            }
            try disk.write(IdentityFile.name, at: 0, owner.bytes)
            try disk.sync(IdentityFile.name)
        }
    }

    private var encodedOwner: ByteBuffer {
        var buffer = ByteBuffer(capacity: IdentityFile.ownerBytes)
        buffer.append(integer: IdentityFile.magic)
        buffer.append(integer: IdentityFile.format)
        buffer.append(integer: UInt32(owner.node.rawValue))
        buffer.append(integer: owner.clusterID)
        buffer.append(integer: owner.memberDigest)
        buffer.append(integer: epoch)
        for index in 0..<IdentityFile.earlierMax {
            buffer.append(integer: index < earlier.count ? earlier[index] : 0)
        }
        buffer.append(integer: CRC32C.checksum(buffer.bytes))
        return buffer
    }

    private func replace(_ owner: borrowing ByteBuffer, on disk: some Disk) throws(DiskError) {
        let temporary = IdentityFile.temporary
        if try disk.list().contains(temporary) { try disk.remove(temporary) }
        try disk.create(temporary, size: IdentityFile.byteCount)
        try disk.write(temporary, at: 0, owner.bytes)
        let mark = IdentityFile.mark(newestSegment)
        try disk.write(temporary, at: IdentityFile.markOffset, mark.bytes)
        try disk.sync(temporary)
        try disk.rename(temporary, to: IdentityFile.name)
        try disk.syncDirectory()
    }
}

extension IdentityFile.Owner {
    /// Whether a directory of this owner is given to another start.
    fileprivate func admit(
        _ claimed: IdentityFile.Owner, _ takesOtherMembers: Bool
    ) throws(IdentityError) {
        guard node == claimed.node else {
            throw .otherNode(stored: node, claimed: claimed.node)
        }
        guard clusterID == claimed.clusterID else {
            throw .otherCluster(stored: clusterID, claimed: claimed.clusterID)
        }
        guard memberDigest == claimed.memberDigest || takesOtherMembers else {
            throw .otherMembers
        }
    }
}
