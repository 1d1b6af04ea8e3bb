import Base
import Coding

extension Recovery {
    /// Throws, or takes the damage down and goes on, as the policy says.
    mutating func refuseOrNote(
        _ name: String, _ range: Range<Int>, _ finding: Finding
    ) throws(RecoveryError) {
        let damage = Damage(
            file: name, offset: range.lowerBound, byteCount: range.count, finding: finding)
        if case .format = finding { throw .damaged(damage) }
        switch policy {
        case .refuse: throw .damaged(damage)
        case .quarantine:
            report.quarantined.append(damage)
            if !range.isEmpty { try copy(name, range) }
        }
    }

    /// Passes over a bad stretch up to the next intact header.
    ///
    /// - Returns: where that header is, or nil when none follows in this file.
    mutating func skip(
        _ finding: Finding, _ header: BatchHeader?, at offset: Int, _ seed: UInt32
    ) throws(RecoveryError) -> Int? {
        if let header, header.first > expected {
            try refuseOrNote(file.name, offset..<offset, finding)
            expected = header.first
            return offset
        }
        let extent = BatchFormat.aligned(header?.byteCount ?? 1)
        let later = try laterHeader(from: offset + extent, seed)
        let end: Int
        if let later {
            end = later.offset
        } else if let header {
            end = min(offset + header.byteCount, file.size)
        } else {
            end = try lastNonzero(from: offset)
        }
        try refuseOrNote(file.name, offset..<end, finding)
        if let header, header.first == expected { expected = header.next }
        guard let later else { return nil }
        expected = max(expected, later.first)
        return later.offset
    }

    /// The next sector that starts with an intact batch header of a position not yet reached.
    mutating func laterHeader(
        from offset: Int, _ seed: UInt32
    ) throws(RecoveryError) -> (offset: Int, first: JournalPosition)? {
        var offset = offset
        while offset < file.size {
            let front = try bytes(at: offset, BatchFormat.headerBytes)
            if let header = BatchFormat.header(in: front, salt: seed), header.first >= expected {
                return (offset, header.first)
            }
            offset += BatchFormat.sectorBytes
        }
        return nil
    }

    /// Counts the torn tail. It stays where it is: the next segment's name says that it does not
    /// count.
    mutating func drop(from offset: Int) throws(RecoveryError) {
        report.droppedBytes = try lastNonzero(from: offset) - offset
    }

    /// The end of the last sector from `offset` on that is not all zero.
    private mutating func lastNonzero(from offset: Int) throws(RecoveryError) -> Int {
        var end = offset
        var position = offset
        while position < file.size {
            let sector = try bytes(at: position, BatchFormat.sectorBytes)
            if sector.isEmpty { break }
            position += sector.count
            if !BatchFormat.isBlank(sector) { end = position }
        }
        return end
    }

    /// Copies a bad stretch into a file of its own, once.
    private mutating func copy(_ name: String, _ range: Range<Int>) throws(RecoveryError) {
        let copy = "quarantine-\(name)-\(SegmentFormat.digits(UInt64(range.lowerBound)))"
        guard !names.contains(copy) else { return }
        names.append(copy)
        do {
            try disk.create(copy, size: 0)
            var offset = range.lowerBound
            while offset < range.upperBound {
                let count = min(range.upperBound - offset, 1 << 20)
                let bytes = try file.bytes(at: offset, count, on: disk)
                if bytes.isEmpty { break }
                let target = offset - range.lowerBound
                try disk.write(copy, at: target, UnsafeRawBufferPointer(bytes))
                offset += bytes.count
            }
            try disk.sync(copy)
            try disk.syncDirectory()
        } catch { throw .disk(error) }
    }
}
