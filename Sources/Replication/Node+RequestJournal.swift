import Base
import Coding

// What of requests with an id is on disk.
extension Node {
    /// `kind | flag | since (8) | name | claim or outcome`; flag: 0 claim, 1 outcome, 2 outcome of
    /// the effect in the next payload.
    static func encode(
        _ name: RequestName, _ entry: RequestLedger.Entry, since: UInt64, isBeforeEffect: Bool,
        into buffer: inout ByteBuffer
    ) {
        buffer.append(JournalKind.request.rawValue)
        switch entry {
        case .claimed: buffer.append(0 as UInt8)
        case .done: buffer.append(isBeforeEffect ? 2 : 1 as UInt8)
        }
        buffer.append(integer: since)
        name.encode(into: &buffer)
        switch entry {
        case .claimed(let claim): claim.encode(into: &buffer)
        case .done(let outcome): outcome.encode(into: &buffer)
        }
    }

    mutating func restoreRequest(_ payload: UnsafeRawBufferPointer) throws(DecodeError) {
        var reader = ByteReader(payload)
        let flag: UInt8 = try reader.integer()
        let since: UInt64 = try reader.integer()
        let name = try RequestName(decoding: &reader)
        guard flag < 3 else { throw .invalid("journaled request has an unknown flag") }
        let isLost = isInMemoryOnly(name.withKey { catalog.index(of: $0) })
        if flag == 0 {
            let claim = try RequestLedger.Claim(decoding: &reader)
            try reader.end()
            return isLost ? () : requestIDs.ledger.restore(name, claim, since: since)
        }
        let outcome = try RequestLedger.Outcome(decoding: &reader)
        try reader.end()
        guard !isLost else { return }
        if flag == 1 { return requestIDs.ledger.restore(name, outcome, since: since) }
        requestIDs.restored = (name, outcome, since)
    }

    /// The effect of a journaled outcome was taken back.
    mutating func restoredEffect() {
        guard let (name, outcome, since) = requestIDs.restored.take() else { return }
        requestIDs.ledger.restore(name, outcome, since: since)
    }

    /// Hints end where requests begin; the lowest byte of their cursors is `requestCursorMark`.
    static let requestCursorMark: UInt64 = 0xFF

    /// Writes the next entry as `exportState` writes records.
    ///
    /// - Returns: the next cursor, or nil when all has been written.
    func exportRequest(
        from cursor: UInt64, into buffer: inout ByteBuffer, where isTaken: (Int) -> Bool
    ) -> UInt64? {
        guard let (place, name, entry, since) = requestIDs.ledger.entry(from: Int(cursor >> 8))
        else { return nil }
        let keyspace = name.withKey { catalog.index(of: $0) }
        if isTaken(keyspace) {
            buffer.appendSized {
                Node.encode(name, entry, since: since, isBeforeEffect: false, into: &$0)
            }
        }
        return UInt64(place + 1) << 8 | Node.requestCursorMark
    }
}
