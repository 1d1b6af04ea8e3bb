import Base
import Causality
import Coding

/// Reads what `DotEncoder` wrote, and accepts nothing else.
///
/// Every count is checked against the bytes that are left before anything is reserved, and each
/// entry takes at least one byte: memory stays in proportion to the input.
struct DotDecoder {
    var reader: ByteReader
    var identities: [Dot] = []
    var own: Dot?
    /// As in `DotEncoder`.
    var paths = PositionTable()

    init(_ reader: ByteReader) { self.reader = reader }

    mutating func varint<Integer: FixedWidthInteger & UnsignedInteger>(
        _ type: Integer.Type = Integer.self
    ) throws(DecodeError) -> Integer { try reader.varint(type) }

    mutating func signed() throws(DecodeError) -> Int128 { try reader.signed() }

    mutating func int64() throws(DecodeError) -> Int64 {
        let folded = try varint(UInt64.self)
        return Int64(bitPattern: folded >> 1) ^ -Int64(bitPattern: folded & 1)
    }

    /// - Throws: `truncated` when so many things of `bytesMin` bytes cannot follow.
    mutating func count(bytesMin: Int = 1) throws(DecodeError) -> Int {
        try reader.count(bytesMin: bytesMin)
    }

    mutating func bytes() throws(DecodeError) -> Bytes {
        let count = try count()
        guard count <= CRDTState.elementBytesMax else { throw .invalid("element is too large") }
        return Bytes(Array(try reader.slice(count)))
    }

    mutating func stamp() throws(DecodeError) -> Stamp { try reader.stamp() }

    mutating func identity() throws(DecodeError) -> ReplicaIdentity {
        ReplicaIdentity(rawValue: try reader.integer())
    }

    mutating func dot() throws(DecodeError) -> Dot {
        let index = try varint(UInt64.self)
        if index == 0 {
            guard let own else { throw .invalid("a state has no dot of its own") }
            return own
        }
        guard index <= UInt64(identities.count) else { throw .invalid("identity is not listed") }
        let dot = Dot(
            identity: identities[Int(index - 1)].identity, stamp: try stamp())
        guard dot != own else { throw .invalid("the delta's own dot is not written out") }
        return dot
    }

    mutating func vector() throws(DecodeError) -> VersionVector {
        let count = try count(bytesMin: 16)
        guard count <= CRDTState.identitiesMax else { throw .invalid("context is too large") }
        var vector = VersionVector()
        for _ in 0..<count {
            let dot = Dot(identity: try identity(), stamp: try stamp())
            if let last = vector.entries.last, dot.identity <= last.identity {
                throw .invalid("context is out of order")
            }
            guard dot.stamp.rawValue > 0 else { throw .invalid("context has a stamp of zero") }
            vector.insert(dot)
        }
        return vector
    }

    mutating func store<Key, Payload>(
        _ type: DotMap<Key, Payload>.Type = DotMap<Key, Payload>.self
    ) throws(DecodeError) -> DotMap<Key, Payload> {
        var store = DotMap<Key, Payload>()
        var last: Key?
        var shared: [DotEntry<Payload>] = []
        for _ in 0..<(try count()) {
            let key = try Key(decoding: &self)
            if let last, key <= last { throw .invalid("keys are out of order") }
            last = key
            let count = try count()
            guard count > 0 else { throw .invalid("a key has no entries") }
            var entries: [DotEntry<Payload>] = []
            if Payload.self == Presence.self, count == 1 {
                // What one command added shares its entries, as where it was added.
                let entry = DotEntry(dot: try dot(), payload: try Payload(decoding: &self))
                if shared.first?.dot != entry.dot { shared = [entry] }
                store.append(key, shared)
                continue
            }
            for _ in 0..<count {
                let dot = try dot()
                if let last = entries.last, dot <= last.dot {
                    throw .invalid("entries are out of order")
                }
                let payload = try Payload(decoding: &self)
                guard payload.mayStand(under: dot) else {
                    throw .invalid("an entry is older than what it holds")
                }
                entries.append(DotEntry(dot: dot, payload: payload))
            }
            store.append(key, entries)
        }
        return store
    }

    mutating func changes<Key, Payload>() throws(DecodeError) -> DotMapChanges<Key, Payload> {
        DotMapChanges(removed: try store(), added: try store())
    }
}

extension ByteReader {
    /// As `DotEncoder` writes it.
    mutating func varint<Integer: FixedWidthInteger & UnsignedInteger>(
        _ type: Integer.Type = Integer.self
    ) throws(DecodeError) -> Integer {
        let first = try integer(UInt8.self)
        if first < 128 { return Integer(first) }
        var value = Integer(first & 127)
        var shift = 7
        while true {
            let byte = try integer(UInt8.self)
            let bits = Integer(byte & 127)
            guard shift < Integer.bitWidth, (bits << shift) >> shift == bits else {
                throw .invalid("varint is too large")
            }
            value |= bits << shift
            if byte < 128 {
                guard byte != 0 else { throw .invalid("varint is not the shortest") }
                return value
            }
            shift += 7
        }
    }

    mutating func signed() throws(DecodeError) -> Int128 {
        let folded = try varint(UInt128.self)
        return Int128(bitPattern: folded >> 1) ^ -Int128(bitPattern: folded & 1)
    }

    /// - Throws: `truncated` when so many things of `bytesMin` bytes cannot follow.
    mutating func count(bytesMin: Int = 1) throws(DecodeError) -> Int {
        let count = try varint(UInt64.self)
        guard count <= UInt64(remaining / bytesMin) else { throw .truncated }
        return Int(count)
    }

    mutating func stamp() throws(DecodeError) -> Stamp { Stamp(rawValue: try integer()) }

    /// The bytes of an element, a field or a value, where they stand.
    mutating func passBytes() throws(DecodeError) -> UnsafeRawBufferPointer {
        let count = try count()
        guard count <= CRDTState.elementBytesMax else { throw .invalid("element is too large") }
        return try slice(count)
    }
}
