import Base
import CRDT
import Causality
import Coding

/// What a session learns of a command that another node executed for it.
struct SessionNews {
    /// What was written and acknowledged; nil for nothing.
    var written: Dot?
    /// Of a change of an expiry, the write whose expiry it is.
    var expiryOf: Dot?
    /// What the answer reflects. Of a write of plain values, what it changed; empty where it left a
    /// value of its own.
    var seen = VersionVector()
    /// Under last-writer-wins, of a read: the newest change of an expiry beside the write seen.
    var expirySeen: Dot?
}

extension SessionNews {
    /// What a read of a plain value or of siblings shows.
    init(_ record: Record, isNewestOnly: Bool) {
        guard !isNewestOnly else {
            self.init(seen: VersionVector(record.written), expirySeen: record.dot)
            return
        }
        let isPlain = !record.isSiblingSet && !record.isLayered
        self.init(seen: isPlain ? CausalContext(record.dot) : SiblingSet(valid: record).seen)
    }
}

extension SessionNews {
    /// - Throws: `truncated` or `invalid` for anything that `encode` does not write.
    init(decoding reader: inout ByteReader, hasWritten: Bool) throws(DecodeError) {
        if hasWritten {
            let dot = try SessionNews.dot(&reader)
            let other = try SessionNews.dot(&reader)
            written = dot
            expiryOf = other == dot ? nil : other
        }
        let count = Int(try reader.integer(UInt32.self))
        seen = try VersionVector(decoding: &reader, count: count, limit: CRDTState.identitiesMax)
        let flag: UInt8 = try reader.integer()
        guard flag < 2, flag == 0 || !seen.isEmpty else {
            throw .invalid("session's reply has an unknown flag")
        }
        if flag == 1 { expirySeen = try SessionNews.dot(&reader) }
    }

    private static func dot(_ reader: inout ByteReader) throws(DecodeError) -> Dot {
        let identity = ReplicaIdentity(rawValue: try reader.integer())
        return Dot(identity: identity, stamp: Stamp(rawValue: try reader.integer()))
    }

    /// Appends `dot (16) and the dot of the write (16) if there is one | entries (4) | entry (16)
    /// … | 1 and the dot of the expiry (16), or 0`.
    func encode(into buffer: inout ByteBuffer) {
        if let written {
            SessionNews.append(written, into: &buffer)
            SessionNews.append(expiryOf ?? written, into: &buffer)
        }
        buffer.append(integer: UInt32(seen.entries.count))
        for dot in seen.entries { SessionNews.append(dot, into: &buffer) }
        buffer.append(expirySeen == nil ? 0 : 1)
        if let expirySeen { SessionNews.append(expirySeen, into: &buffer) }
    }

    private static func append(_ dot: Dot, into buffer: inout ByteBuffer) {
        buffer.append(integer: dot.identity.rawValue)
        buffer.append(integer: dot.stamp.rawValue)
    }
}
