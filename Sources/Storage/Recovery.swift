import Base
import Coding

/// Reads a data directory back: the newest checkpoint, then the journal behind it, each record's
/// payload handed on as borrowed bytes. Afterwards all that was handed on is durable, and
/// `Journal(resuming:…)` goes on behind it.
///
/// The rules of the journal's end. Batches have consecutive positions, and each was synced before
/// the next was written:
/// - a bad batch with an intact later header anywhere behind it was synced once: *rot*;
/// - a bad last batch lost whole sectors (one is all zero, see `BatchFormat`) when its write was
///   torn: it was never acknowledged, and is *dropped*;
/// - any other bad last batch, and any bad first batch of a segment, was whole once: *rot*;
/// - writing goes on in a fresh segment, so a dropped tail is recognised later: the next segment
///   starts at its position.
///
/// A batch that was being synced when the process died may be readable from the page cache without
/// being on disk, even after a failed sync. So the last batch is written again in place, byte for
/// byte, and synced before it counts.
///
/// A segment carries its size, and the identity file names the newest segment, so neither a file
/// that was cut nor one that is gone passes for a shorter history.
///
/// Rot ends the recovery with an error, unless the operator chose to quarantine: then the bad
/// stretch is copied to a file `quarantine-<file>-<offset>` and skipped. That is a batch, where its
/// bytes have changed; a record that passes the checksum and is malformed all the same, as only a
/// fault of the program makes one, is left out alone.
///
/// What was left out is known to later starts as well (`Recovery+Distrust`).
///
/// Reading order: this file, `Recovery+Segments`, `Recovery+Damage`, `Recovery+Distrust`.
public struct Recovery<Directory: Disk>: ~Copyable {
    let disk: Directory
    let policy: RecoveryPolicy
    var file = FileWindow()
    var report = RecoveryReport()
    var names: [String] = []
    /// The position that the next batch must start at.
    var expected: JournalPosition = 1
    /// Where the last intact batch lies in the file read last.
    var lastBatch: Range<Int>?
    /// Marks of distrust before this position were told.
    var marksTold: JournalPosition = 0

    init(disk: Directory, policy: RecoveryPolicy) {
        self.disk = disk
        self.policy = policy
    }

    /// - Parameters:
    ///   - disk: the data directory; nothing else uses it meanwhile.
    ///   - distrust: called where what was delivered is not all that had been acknowledged by then,
    ///     as this start or an earlier one found out.
    ///   - deliver: called with each payload, the checkpoint's first, then the journal's in order;
    ///     throws for one that is malformed, which is damage of that payload alone.
    /// - Throws: `damaged` for rot, a missing segment or a foreign file; `disk` for what the disk
    ///   threw. The caller then discards what was delivered; the directory's content is as it was.
    public static func run(
        on disk: Directory, policy: RecoveryPolicy = .refuse, distrust: () -> Void = {},
        deliver: (UnsafeRawBufferPointer) throws(DecodeError) -> Void
    ) throws(RecoveryError) -> RecoveryReport {
        var recovery = Recovery(disk: disk, policy: policy)
        try recovery.takeInventory()
        try recovery.readCheckpoint(deliver)
        let kept = try recovery.chooseSegments()
        try recovery.readSegments(kept, distrust, deliver)
        try recovery.noteEnd(kept)
        try recovery.markDistrust(distrust)
        try recovery.makeDurable(kept)
        try recovery.tidy(keeping: kept)
        return recovery.report
    }

    /// What is seen must be durable before anything is built on it: a rename may be in memory only.
    private mutating func takeInventory() throws(RecoveryError) {
        do {
            try disk.syncDirectory()
            names = try disk.list()
        } catch { throw .disk(error) }
        guard names.contains(IdentityFile.name) else { return }
        do throws(IdentityError) {
            report.namedNewest = try IdentityFile.read(from: disk)?.newestSegment
        } catch {
            if case .disk(let error) = error { throw .disk(error) }
            try refuseOrNote(IdentityFile.name, 0..<0, .fileHeader)
        }
        let named = report.namedNewest ?? 0
        if named > positions(of: .journal).last ?? 0 {
            try refuseOrNote(Journal.segmentName(named), 0..<0, .newestMissing(first: named))
        }
    }

    func positions(of kind: SegmentKind) -> [JournalPosition] {
        names.compactMap { SegmentFormat.position(in: $0, of: kind) }.sorted()
    }

    /// The segments from the first one that holds a record after the checkpoint.
    private mutating func chooseSegments() throws(RecoveryError) -> [JournalPosition] {
        let all = positions(of: .journal)
        let covered = report.checkpointPosition ?? 0
        let kept = Array(all[min(Journal.firstNeeded(all, after: covered), all.count)...])
        expected = kept.first ?? 1
        let first = kept.first ?? .max
        if first > covered + 1, covered > 0 || !kept.isEmpty {
            let name = kept.first.map(Journal.segmentName) ?? Journal.segmentName(covered)
            try refuseOrNote(name, 0..<0, .missing(from: covered + 1, before: first))
        }
        return kept
    }

    private mutating func noteEnd(_ kept: [JournalPosition]) throws(RecoveryError) {
        let covered = report.checkpointPosition ?? 0
        if expected <= covered, !kept.isEmpty {
            let finding = Finding.missing(from: expected, before: covered + 1)
            try refuseOrNote(file.name, 0..<0, finding)
        }
        report.lastPosition = max(expected - 1, covered)
        report.segments = kept
    }

    private mutating func makeDurable(_ kept: [JournalPosition]) throws(RecoveryError) {
        guard let newest = kept.last else { return }
        do {
            if let lastBatch {
                let bytes = try file.bytes(at: lastBatch.lowerBound, lastBatch.count, on: disk)
                try disk.write(file.name, at: lastBatch.lowerBound, UnsafeRawBufferPointer(bytes))
                try disk.sync(file.name)
            }
            guard let named = report.namedNewest, named < newest else { return }
            for operation in IdentityFile.marking(newest: newest) { try operation.run(on: disk) }
        } catch { throw .disk(error) }
    }

    /// Removes what a crash left over: unfinished files, older checkpoints, and segments that the
    /// checkpoint covers.
    private mutating func tidy(keeping kept: [JournalPosition]) throws(RecoveryError) {
        let checkpoint = report.checkpointPosition
        let surplus = names.filter { name in
            let surplus = [
                SegmentFormat.prepared, SegmentFormat.unfinishedCheckpoint, SegmentFormat.reserve,
            ]
            if surplus.contains(name) {
                return true
            }
            if let position = SegmentFormat.position(in: name, of: .checkpoint) {
                return position != checkpoint
            }
            if isOver(mark: name) { return true }
            guard let first = SegmentFormat.position(in: name, of: .journal) else { return false }
            return !kept.contains(first)
        }
        do {
            for name in surplus { try disk.remove(name) }
            if !surplus.isEmpty { try disk.syncDirectory() }
        } catch { throw .disk(error) }
    }
}
