import Base
import Coding

/// The body of a sibling set's record: `identities (4) | siblings (4) | expiries (4)`, each entry
/// of the context and then of `expiries` as `identity (8) | stamp (8)`, each sibling as `identity
/// (8) | stamp (8) | expiry (8) | length (4) | expiry's dot (16) if it is not the sibling's |
/// value`, little-endian. The top bits of the length say 1 that the expiry has a dot of its own, 2
/// that the value is spent.
///
/// Equal sets have equal bytes, in the body and as whole records; so bytes are compared where
/// states are meant.
extension SiblingSet {
    private static let headBytes = 12
    /// What a sibling takes beside its value, at least.
    private static let siblingHeadBytesMin = 28
    /// What a sibling takes beside its value, at most.
    public static let siblingHeadBytes = siblingHeadBytesMin + 16

    /// How many bytes `encode` appends.
    public var encodedBytes: Int {
        let entries = context.entries.count + expiries.entries.count
        return siblings.reduce(SiblingSet.headBytes + entries * 16) {
            $0 + SiblingSet.encodedBytes(of: $1)
        }
    }

    /// A sibling's share of them.
    static func encodedBytes(of sibling: Sibling) -> Int {
        siblingHeadBytesMin + sibling.value.count + (sibling.hasOwnExpiryDot ? 16 : 0)
    }

    /// Whether identities and siblings are few enough for an encoding that is accepted elsewhere.
    public var isWithinLimits: Bool {
        context.entries.count + expiries.entries.count <= CausalContext.entriesMax
            && siblings.count <= SiblingSet.siblingsMax
    }

    /// Appends the body.
    public func encode(into buffer: inout ByteBuffer) {
        precondition(isWithinLimits, "a sibling set stays below its limits")
        buffer.append(integer: UInt32(context.entries.count))
        buffer.append(integer: UInt32(siblings.count))
        buffer.append(integer: UInt32(expiries.entries.count))
        context.encodeEntries(into: &buffer)
        expiries.encodeEntries(into: &buffer)
        for sibling in siblings { sibling.encode(into: &buffer) }
    }

    /// - Throws: `truncated` or `invalid` unless the bytes are exactly what `encode` appends for
    ///   some set.
    public init(encoded: UnsafeRawBufferPointer) throws(DecodeError) {
        var reader = ByteReader(encoded)
        let identities = Int(try reader.integer(UInt32.self))
        let count = Int(try reader.integer(UInt32.self))
        let changes = Int(try reader.integer(UInt32.self))
        context = try CausalContext(decoding: &reader, count: identities)
        expiries = try VersionVector(decoding: &reader, count: changes)
        guard count <= SiblingSet.siblingsMax else { throw .invalid("too many siblings") }
        guard reader.remaining >= count * SiblingSet.siblingHeadBytesMin else { throw .truncated }
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
        try checkExpiries()
    }

    private func checkExpiries() throws(DecodeError) {
        guard expiries.entries.allSatisfy({ !context.contains($0) }) else {
            throw .invalid("a change of an expiry is covered by the context")
        }
        guard let newest else { return }
        guard !siblings.contains(where: { newest < $0.expiryDot }) else {
            throw .invalid("an expiry is later than what was seen")
        }
    }
}

extension Sibling {
    private static let ownDot: UInt32 = 1 << 31
    private static let spent: UInt32 = 1 << 30

    var hasOwnExpiryDot: Bool { expiryDot != dot }

    func encode(into buffer: inout ByteBuffer) {
        dot.encode(into: &buffer)
        buffer.append(integer: expiry)
        buffer.append(
            integer: UInt32(value.count) | (hasOwnExpiryDot ? Sibling.ownDot : 0)
                | (isSpent ? Sibling.spent : 0))
        if hasOwnExpiryDot { expiryDot.encode(into: &buffer) }
        buffer.append(value)
    }

    init(decoding reader: inout ByteReader) throws(DecodeError) {
        dot = try Dot(decoding: &reader)
        expiry = try reader.integer()
        guard expiry <= Record.expiryMax else { throw .invalid("sibling expires too late") }
        let word = try reader.integer(UInt32.self)
        expiryDot = word & Sibling.ownDot == 0 ? dot : try Dot(decoding: &reader)
        guard word & Sibling.ownDot == 0 || dot < expiryDot else {
            throw .invalid("an expiry was given before its value was written")
        }
        isSpent = word & Sibling.spent != 0
        value = Array(try reader.slice(Int(word & ~(Sibling.ownDot | Sibling.spent))))
        guard !isSpent || value.isEmpty && expiry > 0 else {
            throw .invalid("what is spent has an expiry and no value")
        }
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
                context: CausalContext(record.written),
                siblings: record.sibling.map { [$0] } ?? [])
            if record.isLayered { expiries.insert(record.dot) }
        }
    }

    /// Whether the set is just the one write that a plain record stands for, and the newest change
    /// of an expiry.
    var isPlain: Bool {
        guard context.entries.count == 1, siblings.count <= 1, expiries.entries.count <= 1 else {
            return false
        }
        if let change = expiries.entries.first, change < context.entries[0] { return false }
        return siblings.first.map { $0.dot == context.entries[0] } ?? true
    }

    /// Whether a plain record needs more than its header to say so.
    private var isLayered: Bool {
        !expiries.isEmpty || siblings.first.map { $0.expiryDot != $0.dot } ?? false
    }

    /// The kind of the set's record: the compact form whenever that is exact.
    public var recordKind: RecordKind {
        switch (isPlain, isTombstone) {
        case (true, true): isLayered ? .layeredTombstone : .tombstone
        case (true, false): isLayered ? .layeredValue : .value
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
        guard let newest else { preconditionFailure("a record has a dot") }
        let start = buffer.count
        let kind = recordKind
        let layer = isPlain && isLayered ? Record.layerBytes : 0
        let bodyBytes = isPlain ? layer + (siblings.first?.value.count ?? 0) : encodedBytes
        let length = Record.length(keyBytes: key.count, bodyBytes: bodyBytes)
        let target = buffer.reserve(length)
        let noBody = UnsafeRawBufferPointer(start: nil, count: 0)
        Record.write(to: target, kind: kind, dot: newest, expiry: expiry, key: key, body: noBody)
        target.storeBytes(of: UInt32(length), as: UInt32.self)
        buffer.advance(Record.headerBytes + key.count)
        if isPlain {
            if layer > 0 {
                context.entries[0].encode(into: &buffer)
                (siblings.first?.expiryDot ?? context.entries[0]).encode(into: &buffer)
            }
            if let value = siblings.first?.value { buffer.append(value) }
        } else {
            encode(into: &buffer)
        }
        return start..<buffer.count
    }
}
