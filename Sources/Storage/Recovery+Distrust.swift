import Base

// What a recovery left out is known to every later start.
//
// The damage itself may be gone by then: behind a last batch that was left out the journal goes on
// in a fresh segment, and the batch looks like one that was torn. So before anything is written
// behind it, a file `distrust-<position>` says that up to there not all was recovered that had been
// acknowledged. Each start tells so at this place between the payloads (`distrust`), until a
// checkpoint from behind it holds what followed from that.
extension Recovery {
    private static var prefix: String { "distrust-" }

    private func mark(_ name: String) -> JournalPosition? {
        guard name.hasPrefix(Recovery.prefix),
            let position = UInt64(name.dropFirst(Recovery.prefix.count), radix: 16),
            Recovery.prefix + SegmentFormat.digits(position) == name
        else { return nil }
        return position
    }

    /// Whether a file is a mark that the checkpoint has made needless.
    func isOver(mark name: String) -> Bool {
        guard let position = mark(name) else { return false }
        return report.quarantined.isEmpty && position < report.checkpointPosition ?? 0
    }

    /// Tells of the marks that stand before a position.
    mutating func tellMarks(before position: JournalPosition, _ distrust: () -> Void) {
        let open = names.filter { !isOver(mark: $0) }.compactMap { mark($0) }.sorted()
        for mark in open where mark >= marksTold && mark < position {
            marksTold = mark + 1
            distrust()
        }
    }

    /// Has every later start know that something was left out, if it was.
    mutating func markDistrust(_ distrust: () -> Void) throws(RecoveryError) {
        tellMarks(before: .max, distrust)
        guard !report.quarantined.isEmpty else { return }
        let name = Recovery.prefix + SegmentFormat.digits(report.lastPosition)
        if !names.contains(name) {
            do {
                try disk.create(name, size: 0)
                try disk.sync(name)
                try disk.syncDirectory()
            } catch { throw .disk(error) }
            names.append(name)
        }
        distrust()
    }
}
