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
    /// What the answer reflects, where the key is in a crdt keyspace; empty otherwise.
    var seen = VersionVector()
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
    }

    private static func dot(_ reader: inout ByteReader) throws(DecodeError) -> Dot {
        let identity = ReplicaIdentity(rawValue: try reader.integer())
        return Dot(identity: identity, stamp: Stamp(rawValue: try reader.integer()))
    }

    /// Appends `dot (16) and the dot of the write (16) if there is one | entries (4) | entry (16)
    /// …`.
    func encode(into buffer: inout ByteBuffer) {
        if let written {
            SessionNews.append(written, into: &buffer)
            SessionNews.append(expiryOf ?? written, into: &buffer)
        }
        buffer.append(integer: UInt32(seen.entries.count))
        for dot in seen.entries { SessionNews.append(dot, into: &buffer) }
    }

    private static func append(_ dot: Dot, into buffer: inout ByteBuffer) {
        buffer.append(integer: dot.identity.rawValue)
        buffer.append(integer: dot.stamp.rawValue)
    }
}
