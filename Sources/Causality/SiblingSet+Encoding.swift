import Base
import Coding

/// The body of a sibling set's record: `identities (4) | siblings (4)`, each identity as `identity
/// (8) | stamp (8)`, each sibling as `identity (8) | stamp (8) | expiry (8) | length (4) | value`,
/// little-endian.
///
/// Equal sets have equal bytes, in the body and as whole records; so bytes are compared where
/// states are meant.
extension SiblingSet {
    private static let headBytes = 8
    /// What a sibling takes beside its value.
    public static let siblingHeadBytes = 28

    /// How many bytes `encode` appends.
    public var encodedBytes: Int {
        siblings.reduce(SiblingSet.headBytes + context.entries.count * 16) {
            $0 + SiblingSet.encodedBytes(of: $1)
        }
    }

    /// A sibling's share of them.
    static func encodedBytes(of sibling: Sibling) -> Int {
        siblingHeadBytes + sibling.value.count
    }

    /// Whether identities and siblings are few enough for an encoding that is accepted elsewhere.
    public var isWithinLimits: Bool {
        context.entries.count <= CausalContext.entriesMax
            && siblings.count <= SiblingSet.siblingsMax
    }

    /// Appends the body.
    public func encode(into buffer: inout ByteBuffer) {
        precondition(isWithinLimits, "a sibling set stays below its limits")
        buffer.append(integer: UInt32(context.entries.count))
        buffer.append(integer: UInt32(siblings.count))
        context.encodeEntries(into: &buffer)
        for sibling in siblings {
            buffer.append(integer: sibling.dot.identity.rawValue)
            buffer.append(integer: sibling.dot.stamp.rawValue)
            buffer.append(integer: sibling.expiry)
            buffer.append(integer: UInt32(sibling.value.count))
            buffer.append(sibling.value)
        }
    }

    /// - Throws: `truncated` or `invalid` unless the bytes are exactly what `encode` appends for
    ///   some set.
    public init(encoded: UnsafeRawBufferPointer) throws(DecodeError) {
        var reader = ByteReader(encoded)
        let identities = Int(try reader.integer(UInt32.self))
        let count = Int(try reader.integer(UInt32.self))
        context = try CausalContext(decoding: &reader, count: identities)
        guard count <= SiblingSet.siblingsMax else { throw .invalid("too many siblings") }
        guard reader.remaining >= count * SiblingSet.siblingHeadBytes else { throw .truncated }
        siblings = []
        siblings.reserveCapacity(count)
        for _ in 0..<count {
            let sibling = try Sibling(decoding: &reader)
            guard context.contains(sibling.dot) else {
                throw .invalid("sibling is not in its context")
            }
            if let last = siblings.last, sibling.dot <= last.dot {
                throw .invalid("siblings are out of order")
            }
            siblings.append(sibling)
        }
        try reader.end()
    }
}

extension Sibling {
    init(decoding reader: inout ByteReader) throws(DecodeError) {
        dot = try Dot(decoding: &reader)
        expiry = try reader.integer()
        guard expiry <= Record.expiryMax else { throw .invalid("sibling expires too late") }
        value = Array(try reader.slice(Int(try reader.integer(UInt32.self))))
    }
}

extension SiblingSet {
    /// The set that a record stands for; a plain record stands for one write that saw nothing else.
    ///
    /// - Throws: `truncated` or `invalid` when a sibling set's body is malformed, which a validated
    ///   record's never is.
    public init(record: Record) throws(DecodeError) {
        if record.isSiblingSet {
            try self.init(encoded: record.body)
        } else {
            self.init(
                dot: record.dot, value: record.isTombstone ? nil : Array(record.body),
                expiry: record.expiry)
        }
    }

    /// Whether the context is just the one write that a plain record stands for.
    var isPlain: Bool {
        guard context.entries.count == 1, siblings.count <= 1 else { return false }
        return siblings.first.map { $0.dot == context.entries[0] } ?? true
    }

    /// The kind of the set's record: the compact form whenever that is exact.
    public var recordKind: RecordKind {
        switch (isPlain, isTombstone) {
        case (true, true): .tombstone
        case (true, false): .value
        case (false, true): .siblingTombstone
        case (false, false): .siblings
        }
    }

    /// Appends the set's record.
    ///
    /// - Parameter key: 1…65,535 bytes.
    /// - Returns: where the record stands in the buffer.
    public func encodeRecord(
        key: UnsafeRawBufferPointer, into buffer: inout ByteBuffer
    ) -> Range<Int> {
        guard let newest = context.newest else { preconditionFailure("a record has a dot") }
        let start = buffer.count
        let kind = recordKind
        let bodyBytes = isPlain ? siblings.first?.value.count ?? 0 : encodedBytes
        let length = Record.length(keyBytes: key.count, bodyBytes: bodyBytes)
        let target = buffer.reserve(length)
        let noBody = UnsafeRawBufferPointer(start: nil, count: 0)
        Record.write(to: target, kind: kind, dot: newest, expiry: expiry, key: key, body: noBody)
        target.storeBytes(of: UInt32(length), as: UInt32.self)
        buffer.advance(Record.headerBytes + key.count)
        if isPlain {
            if let value = siblings.first?.value { buffer.append(value) }
        } else {
            encode(into: &buffer)
        }
        return start..<buffer.count
    }
}
