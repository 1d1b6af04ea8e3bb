import Base
import Coding

extension Recovery {
    /// What stands where a batch may start.
    enum Place {
        case batch(BatchHeader)
        /// A sector of zeros, or the end of the file.
        case blank
        /// The header is nil when it is not intact; `isTorn` when a whole sector never arrived.
        case bad(Finding, BatchHeader?, isTorn: Bool)
    }

    /// Reads the newest checkpoint; every batch of it was synced before it got its name.
    mutating func readCheckpoint(
        _ deliver: (UnsafeRawBufferPointer) throws(DecodeError) -> Void
    ) throws(RecoveryError) {
        guard let position = positions(of: .checkpoint).last else { return }
        report.checkpointPosition = position
        expected = 1
        guard let seed = try open(SegmentFormat(kind: .checkpoint, salt: 0, position: position))
        else { return }
        report.checkpointBytes = file.size
        var offset = SegmentFormat.headerBytes
        while true {
            switch try examine(offset, seed) {
            case .batch(let header):
                report.checkpointRecords += try read(header, at: offset, deliver)
                offset += BatchFormat.aligned(header.byteCount)
                if header.closing { return }
            case .blank:
                let rest = offset..<max(offset, file.size)
                try refuseOrNote(file.name, rest, .incompleteCheckpoint)
                return
            case .bad(let finding, let header, _):
                guard let next = try skip(finding, header, at: offset, seed) else { return }
                offset = next
            }
        }
    }

    /// Hands on what came behind the checkpoint. What it covers is in it as it was by then, and is
    /// not handed on once more: half of a history may read otherwise than the whole, as when a
    /// deletion names what is in no segment any more. Where a part of the checkpoint is damaged,
    /// what is left of it is read all the same.
    mutating func readSegments(
        _ kept: [JournalPosition], _ distrust: () -> Void,
        _ deliver: (UnsafeRawBufferPointer) throws(DecodeError) -> Void
    ) throws(RecoveryError) {
        let covered = report.quarantined.isEmpty ? report.checkpointPosition ?? 0 : 0
        for (index, first) in kept.enumerated() {
            let next = index + 1 < kept.count ? kept[index + 1] : nil
            tellMarks(before: first, distrust)
            try readSegment(first, next: next, behind: covered, deliver)
            if expected - 1 > report.checkpointPosition ?? 0 { report.uncoveredBytes += file.size }
            guard let next, next != expected else { continue }
            let finding =
                next > expected
                ? Finding.missing(from: expected, before: next)
                : .position(expected: expected, found: next)
            try refuseOrNote(Journal.segmentName(next), 0..<0, finding)
            expected = max(next, expected)
        }
    }

    /// - Parameters:
    ///   - next: the next segment's first position: where the batches of this one must end.
    ///   - covered: up to where batches are only checked.
    private mutating func readSegment(
        _ first: JournalPosition, next: JournalPosition?, behind covered: JournalPosition,
        _ deliver: (UnsafeRawBufferPointer) throws(DecodeError) -> Void
    ) throws(RecoveryError) {
        lastBatch = nil
        guard let seed = try open(SegmentFormat(kind: .journal, salt: 0, position: first))
        else { return }
        var offset = SegmentFormat.headerBytes
        while next != expected || offset == SegmentFormat.headerBytes {
            let place = try examine(offset, seed)
            if case .batch(let header) = place {
                if header.next > covered + 1 {
                    report.journalRecords += try read(header, at: offset, deliver)
                } else {
                    expected = header.next
                }
                lastBatch = offset..<offset + header.byteCount
                offset += BatchFormat.aligned(header.byteCount)
                continue
            }
            let onward = try resolve(place, at: offset, isLast: next == nil, seed)
            guard let onward else { return }
            offset = onward
        }
    }

    /// Decides what a place without an intact batch is.
    ///
    /// - Returns: where to read on, or nil at the end of the segment.
    private mutating func resolve(
        _ place: Place, at offset: Int, isLast: Bool, _ seed: UInt32
    ) throws(RecoveryError) -> Int? {
        var header: BatchHeader?
        var finding = Finding.zeros
        var mayBeTail = true
        if case .bad(let found, let intact, let isTorn) = place {
            (finding, header, mayBeTail) = (found, intact, isTorn)
        }
        if mayBeTail, offset > SegmentFormat.headerBytes {
            let behind = offset + BatchFormat.aligned(header?.byteCount ?? 1)
            if try laterHeader(from: behind, seed) == nil {
                if isLast { try drop(from: offset) }
                return nil
            }
        }
        return try skip(finding, header, at: offset, seed)
    }

    /// Opens a file and checks its header.
    ///
    /// - Returns: the seed of its checksums, or nil when the file was quarantined.
    private mutating func open(_ wanted: SegmentFormat) throws(RecoveryError) -> UInt32? {
        let front: UnsafeMutableRawBufferPointer
        do {
            try file.open(wanted.name, on: disk)
            front = try file.bytes(at: 0, SegmentFormat.headerBytes, on: disk)
        } catch { throw .disk(error) }
        let header: SegmentFormat
        do throws(Finding) {
            header = try SegmentFormat(decoding: UnsafeRawBufferPointer(front))
            guard header.position == wanted.position, header.kind == wanted.kind else {
                throw .fileHeader
            }
        } catch {
            try refuseOrNote(wanted.name, 0..<file.size, error)
            return nil
        }
        if file.size < header.byteCount {
            let end = file.size..<file.size
            try refuseOrNote(wanted.name, end, .cutShort(from: header.byteCount))
        }
        return header.checksumSeed
    }

    private mutating func examine(_ offset: Int, _ seed: UInt32) throws(RecoveryError) -> Place {
        let front = try bytes(at: offset, BatchFormat.sectorBytes)
        guard !BatchFormat.isBlank(front) else { return .blank }
        guard let header = BatchFormat.header(in: front, salt: seed) else {
            return .bad(.batchHeader, nil, isTorn: false)
        }
        guard header.first == expected else {
            let finding = Finding.position(expected: expected, found: header.first)
            return .bad(finding, header, isTorn: false)
        }
        guard offset + header.byteCount <= file.size else {
            return .bad(.batchLength, header, isTorn: false)
        }
        let batch = try bytes(at: offset, header.byteCount)
        let body = UnsafeRawBufferPointer(rebasing: batch[BatchFormat.headerBytes...])
        guard CRC32C.checksum(body, continuing: seed) == header.bodyChecksum else {
            return .bad(.batchBody, header, isTorn: Recovery.hasBlankSector(batch))
        }
        return .batch(header)
    }

    mutating func bytes(
        at offset: Int, _ count: Int
    ) throws(RecoveryError) -> UnsafeRawBufferPointer {
        do { return UnsafeRawBufferPointer(try file.bytes(at: offset, count, on: disk)) } catch {
            throw .disk(error)
        }
    }

    private static func hasBlankSector(_ batch: UnsafeRawBufferPointer) -> Bool {
        let sector = BatchFormat.sectorBytes
        return stride(from: sector, to: batch.count, by: sector).contains {
            let end = min($0 + sector, batch.count)
            return BatchFormat.isBlank(UnsafeRawBufferPointer(rebasing: batch[$0..<end]))
        }
    }

    /// Hands on the records of a batch that passed its checksum.
    private mutating func read(
        _ header: BatchHeader, at offset: Int,
        _ deliver: (UnsafeRawBufferPointer) throws(DecodeError) -> Void
    ) throws(RecoveryError) -> Int {
        let batch: UnsafeMutableRawBufferPointer
        do { batch = try file.bytes(at: offset, header.byteCount, on: disk) } catch {
            throw .disk(error)
        }
        BatchFormat.apply(mask: header.mask, to: batch)
        let body = UnsafeRawBufferPointer(rebasing: batch[BatchFormat.headerBytes...])
        let isFilled = Recovery.recordCount(in: body) == Int(header.recordCount)
        let malformed = isFilled ? Recovery.deliver(body, deliver) : nil
        BatchFormat.apply(mask: header.mask, to: batch)
        expected = header.next
        guard isFilled else {
            try refuseOrNote(file.name, offset..<offset + header.byteCount, .recordLayout)
            return 0
        }
        report.bytesRead += header.byteCount
        guard let malformed else { return Int(header.recordCount) }
        let start = offset + BatchFormat.headerBytes
        try refuseOrNote(
            file.name, start + malformed.range.lowerBound..<start + malformed.range.upperBound,
            .malformedRecords(count: malformed.count, malformed.error))
        return Int(header.recordCount) - malformed.count
    }

    /// Hands on each record of a batch; one that is refused does not keep back those behind it.
    ///
    /// - Returns: how many were refused, where they stand, and why the first was.
    private static func deliver(
        _ body: UnsafeRawBufferPointer,
        _ deliver: (UnsafeRawBufferPointer) throws(DecodeError) -> Void
    ) -> (range: Range<Int>, count: Int, error: DecodeError)? {
        var malformed: (range: Range<Int>, count: Int, error: DecodeError)?
        var start = 0
        while start < body.count {
            let end = start + BatchFormat.recordHeaderBytes + Int(word(body, start))
            let payload = body[start + BatchFormat.recordHeaderBytes..<end]
            do throws(DecodeError) {
                try deliver(UnsafeRawBufferPointer(rebasing: payload))
            } catch {
                let earlier = malformed ?? (start..<end, 0, error)
                malformed = (
                    earlier.range.lowerBound..<end, earlier.count + 1, earlier.error
                )
            }
            start = end
        }
        return malformed
    }

    /// - Returns: how many records fill the body exactly, or nil when they do not.
    private static func recordCount(in body: UnsafeRawBufferPointer) -> Int? {
        var start = 0
        var count = 0
        while start < body.count {
            guard body.count - start >= BatchFormat.recordHeaderBytes else { return nil }
            let length = Int(word(body, start))
            guard length <= body.count - start - BatchFormat.recordHeaderBytes else { return nil }
            start += BatchFormat.recordHeaderBytes + length
            count += 1
        }
        return count
    }
}
