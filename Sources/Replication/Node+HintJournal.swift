import Base
import Causality
import Coding

// Recovery and checkpoints.
extension Node {
    mutating func restoreHint(_ payload: UnsafeRawBufferPointer) throws(DecodeError) {
        var reader = ByteReader(payload)
        let target = NodeID(try reader.integer())
        let since: UInt64 = try reader.integer()
        let record = try Node.validRecord(reader.rest())
        let keyspace = catalog.index(of: record.key)
        let active = catalog.active[keyspace]
        guard !isInMemoryOnly(keyspace), record.written.stamp > active.truncatedAt,
            !record.isMergeable
        else { return }
        if !isOfWrongClock(record.dot) { clock.resume(after: record.dot.stamp) }
        let hint = Hint(record: Array(record.bytes), since: since)
        guard let index = linkIndex(of: target) else {
            return restoreStrayHint(hint, Array(record.key), for: target)
        }
        _ = putHint(hint, index, active.settings.conflict)
    }

    mutating func restoreHintOver(_ payload: UnsafeRawBufferPointer) throws(DecodeError) {
        var reader = ByteReader(payload)
        let target = NodeID(try reader.integer())
        let key = Array(reader.rest())
        guard let index = linkIndex(of: target) else {
            return restoreStrayHintOver(key, for: target)
        }
        if let number = hints[index].number(of: key) { hints[index].remove(number, key: key) }
    }

    /// Records end where hints begin: their cursors are odd (`number << 8 | link << 1 | 1`), those
    /// of homes in a table, of which there are fewer than 2⁵⁵, are even.
    static let firstHintCursor: UInt64 = 1

    static func isHintCursor(_ cursor: UInt64) -> Bool { cursor & 1 == 1 }

    /// Writes the next hint as `exportState` writes records.
    ///
    /// - Returns: the next cursor; behind the last hint, where requests with an id begin.
    func exportHint(
        from cursor: UInt64, into buffer: inout ByteBuffer, where isTaken: (Int) -> Bool
    ) -> UInt64? {
        let index = Int(cursor >> 1 & 0x7F)
        guard index < hints.count else { return Node.requestCursorMark }
        guard let (number, hint) = hints[index].first(from: cursor >> 8) else {
            return UInt64(index + 1) << 1 | 1
        }
        if hint.withRecord({ isTaken(catalog.index(of: $0.key)) }) {
            buffer.appendSized { Node.encode(hint, for: links[index].node, into: &$0) }
        }
        return (number + 1) << 8 | UInt64(index) << 1 | 1
    }
}
