import Base
import Causality
import Coding

/// What a session learns of a command that another node executed for it.
struct SessionNews {
    /// What was written and acknowledged; nil for nothing.
    var written: Dot?
    /// What the answer reflects, where the key is in a crdt keyspace; empty otherwise.
    var seen = VersionVector()
}

extension SessionNews {
    /// - Throws: `truncated` or `invalid` for anything that `encode` does not write.
    init(decoding reader: inout ByteReader, hasWritten: Bool) throws(DecodeError) {
        if hasWritten {
            let identity = ReplicaIdentity(rawValue: try reader.integer())
            written = Dot(identity: identity, stamp: Stamp(rawValue: try reader.integer()))
        }
        let count = Int(try reader.integer(UInt16.self))
        seen = try VersionVector(decoding: &reader, count: count)
    }

    /// Appends `dot (16) if one was written | entries (2) | entry (16) …`.
    func encode(into buffer: inout ByteBuffer) {
        for dot in written.map({ [$0] }) ?? [] { SessionNews.append(dot, into: &buffer) }
        buffer.append(integer: UInt16(seen.entries.count))
        for dot in seen.entries { SessionNews.append(dot, into: &buffer) }
    }

    private static func append(_ dot: Dot, into buffer: inout ByteBuffer) {
        buffer.append(integer: dot.identity.rawValue)
        buffer.append(integer: dot.stamp.rawValue)
    }
}
