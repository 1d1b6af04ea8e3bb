import Base
import Causality
import Coding
import Storage

/// Which former lives of its node a disk knows of.
///
/// Another node remembers the last life of this one that it was linked with. A disk that holds what
/// that life wrote was started on by it, or by a later one that was linked with the same node. If
/// neither is so, the disk is an older one: what that life acknowledged it does not have. Starts
/// that met nobody say nothing about it, however many there were in between.
struct OwnLives {
    /// The epochs of the last starts on this disk, the latest first; empty for a new directory.
    var starts: [UInt64] = []
    /// The epoch of the last life before this one that was linked with each node, by link; 0 for
    /// none.
    private(set) var linked: [UInt64]
    /// What lives up to this epoch had, and this disk has not, is known to be missing.
    private(set) var missedUpTo: UInt64 = 0
    /// Links that this life has had.
    private var met: UInt64 = 0
    /// Of former lives, up to which stamp this disk has what they wrote to keys that it alone
    /// keeps. A life writes its journal in the order of its stamps, so it is the latest stamp of
    /// the life that the journal has; a life that the disk does not know of is not in it.
    private(set) var written = VersionVector()
    /// What was recovered has gaps: the latest stamp says nothing.
    private var hasGaps = false
    /// Lives that are remembered; of earlier ones nothing is known.
    static let writtenMax = 256

    init(links: Int) { linked = Array(repeating: 0, count: links) }

    /// Whether what a life wrote is here, or known to be missing.
    ///
    /// - Parameter index: the link to the node that remembers the life.
    func knows(_ epoch: UInt64, by index: Int) -> Bool {
        let reserved = IdentityFile.epochsPerStart
        return epoch <= missedUpTo || linked[index] > 0 && epoch < linked[index] + reserved
            || starts.contains { $0 <= epoch && epoch < $0 + reserved }
    }

    /// Whether this disk has all that a former life wrote, as far as is known.
    func continues(_ epoch: UInt64) -> Bool {
        let reserved = IdentityFile.epochsPerStart
        return epoch > missedUpTo && starts.contains { $0 <= epoch && epoch < $0 + reserved }
    }

    /// The journal has a write of a life.
    mutating func noteWritten(_ dot: Dot) {
        guard !hasGaps, !written.contains(dot) else { return }
        written.insert(dot)
        guard written.entries.count > OwnLives.writtenMax else { return }
        let kept = written.entries.dropFirst()
        written = VersionVector()
        for dot in kept { written.insert(dot) }
    }

    mutating func noteGap() { (written, hasGaps) = (VersionVector(), true) }

    mutating func noteMissing(upTo epoch: UInt64) { missedUpTo = max(missedUpTo, epoch) }

    /// - Returns: whether that is news.
    mutating func noteLink(_ index: Int) -> Bool {
        guard met & 1 << UInt64(index) == 0 else { return false }
        met |= 1 << UInt64(index)
        return true
    }

    /// The last life that was linked with a node, this one included.
    ///
    /// - Parameter epoch: of this one.
    func last(_ index: Int, _ epoch: UInt64) -> UInt64 {
        met & 1 << UInt64(index) != 0 ? epoch : linked[index]
    }

    mutating func restore(_ epoch: UInt64, linkedWith index: Int) {
        linked[index] = max(linked[index], epoch)
    }
}

extension Node {
    /// Appends the journal's payload: `missed (8)`, then `node (2) | epoch (8)` each.
    func appendOwnLives(into buffer: inout ByteBuffer) {
        buffer.append(JournalKind.ownLives.rawValue)
        buffer.append(integer: ownLives.missedUpTo)
        for index in links.indices {
            let epoch = ownLives.last(index, firstIdentity.epoch)
            guard epoch > 0 else { continue }
            buffer.append(integer: links[index].node.rawValue)
            buffer.append(integer: epoch)
        }
    }

    mutating func restoreOwnLives(_ payload: UnsafeRawBufferPointer) throws(DecodeError) {
        var reader = ByteReader(payload)
        ownLives.noteMissing(upTo: try reader.integer())
        while reader.remaining > 0 {
            let node = NodeID(try reader.integer())
            let epoch: UInt64 = try reader.integer()
            if let index = linkIndex(of: node) { ownLives.restore(epoch, linkedWith: index) }
        }
    }

    /// Appends the journal's payload: an identity (8) and the stamp (8) up to which the journal has
    /// what it wrote, each.
    func appendWritten(_ written: VersionVector, into buffer: inout ByteBuffer) {
        buffer.append(JournalKind.written.rawValue)
        written.encodeEntries(into: &buffer)
    }

    /// What lives wrote, this one included.
    var writtenByNow: VersionVector {
        var written = ownLives.written
        written.insert(Dot(identity: identity, stamp: clock.last))
        return written
    }

    mutating func restoreWritten(_ payload: UnsafeRawBufferPointer) throws(DecodeError) {
        for dot in try OwnLives.decodeWritten(payload).entries { ownLives.noteWritten(dot) }
    }

    /// Tells another node, which may read for a session what this one alone keeps.
    func tellWritten(to node: NodeID, _ effects: inout Effects) {
        guard !ownLives.written.isEmpty else { return }
        let frame = effects.bytes.appendMessage(kind: SessionMessage.writtenKind, number: 0) {
            ownLives.written.encodeEntries(into: &$0)
        }
        send(frame, to: node, &effects)
    }

    /// This life has a link with a node that will remember it.
    mutating func noteLinkedLife(_ index: Int, _ effects: inout Effects) {
        guard ownLives.noteLink(index) else { return }
        effects.append { appendOwnLives(into: &$0) }
        effects.syncWithin(100)
    }
}

extension OwnLives {
    /// - Throws: `truncated` or `invalid`.
    static func decodeWritten(
        _ payload: UnsafeRawBufferPointer
    ) throws(DecodeError) -> VersionVector {
        var reader = ByteReader(payload)
        let written = try VersionVector(
            decoding: &reader, count: reader.remaining / 16, limit: writtenMax + 1)
        try reader.end()
        return written
    }
}

extension VersionVector {
    /// Appends identity (8) and stamp (8) of each entry.
    fileprivate func encodeEntries(into buffer: inout ByteBuffer) {
        for dot in entries {
            buffer.append(integer: dot.identity.rawValue)
            buffer.append(integer: dot.stamp.rawValue)
        }
    }
}
