import Base
import Coding

// Bytes: kind (1) | sender (15) | content | count of updates (1) | updates, each a record and, of a
// suspect, the accuser (8; 0 for hearsay). A record: state (1) | admission (2) | incarnation (4) |
// identity (8). Pages have their records' count (1) in front.
extension MembershipMessage {
    /// Bytes of the longest message that can be decoded.
    public static let encodedBytesMax = 16 + 5 + 255 * recordBytes + 1 + 255 * (recordBytes + 8)
    static let recordBytes = 15

    /// Appends the message.
    public func encode(into buffer: inout ByteBuffer) {
        buffer.append(content.kind)
        sender.encode(into: &buffer)
        content.encode(into: &buffer)
        buffer.append(UInt8(updates.count))
        for update in updates {
            update.record.encode(into: &buffer)
            if update.record.state == .suspect {
                buffer.append(integer: update.accuser?.rawValue ?? 0)
            }
        }
    }

    /// How many bytes `encode` appends.
    public var encodedBytes: Int {
        let suspects = updates.count { $0.record.state == .suspect }
        return 17 + content.encodedBytes + updates.count * Self.recordBytes + suspects * 8
    }

    /// - Throws: `truncated`, or `invalid` with the field that has a value it cannot have.
    public init(decoding payload: UnsafeRawBufferPointer) throws(DecodeError) {
        var reader = ByteReader(payload)
        let kind: UInt8 = try reader.integer()
        sender = try MemberRecord(decoding: &reader)
        guard sender.state == .alive || sender.state == .left else {
            throw .invalid("a sender is alive or leaves")
        }
        content = try Content(kind: kind, decoding: &reader)
        let count: UInt8 = try reader.integer()
        var updates: [MemberUpdate] = []
        updates.reserveCapacity(min(Int(count), reader.remaining / Self.recordBytes))
        for _ in 0..<count {
            let record = try MemberRecord(decoding: &reader)
            let accuser: UInt64 = record.state == .suspect ? try reader.integer() : 0
            updates.append(
                MemberUpdate(
                    record, accuser: accuser == 0 ? nil : ReplicaIdentity(rawValue: accuser)))
        }
        self.updates = updates
        try reader.end()
    }
}

extension MembershipMessage.Content {
    fileprivate var kind: UInt8 {
        switch self {
        case .ping: 1
        case .pingRequest: 2
        case .ack: 3
        case .nack: 4
        case .compare: 5
        case .agreed: 6
        case .page: 7
        case .records: 8
        }
    }

    fileprivate var encodedBytes: Int {
        switch self {
        case .ping, .pingRequest, .compare: 12
        case .ack, .nack, .agreed: 4
        case .page(_, _, let records): 5 + records.count * MembershipMessage.recordBytes
        case .records(let records): 1 + records.count * MembershipMessage.recordBytes
        }
    }

    fileprivate func encode(into buffer: inout ByteBuffer) {
        switch self {
        case .ping(let sequence, let target), .pingRequest(let sequence, let target):
            buffer.append(integer: sequence)
            buffer.append(integer: target.rawValue)
        case .ack(let sequence), .nack(let sequence): buffer.append(integer: sequence)
        case .compare(let after, let through, let digest):
            buffer.append(integer: after)
            buffer.append(integer: through)
            buffer.append(integer: digest)
        case .agreed(let after, let through):
            buffer.append(integer: after)
            buffer.append(integer: through)
        case .page(let after, let through, let records):
            buffer.append(integer: after)
            buffer.append(integer: through)
            MemberRecord.encode(records, into: &buffer)
        case .records(let records): MemberRecord.encode(records, into: &buffer)
        }
    }

    fileprivate init(kind: UInt8, decoding reader: inout ByteReader) throws(DecodeError) {
        switch kind {
        case 1:
            self = .ping(
                sequence: try reader.integer(), target: try ReplicaIdentity(decoding: &reader))
        case 2:
            self = .pingRequest(
                sequence: try reader.integer(), target: try ReplicaIdentity(decoding: &reader))
        case 3: self = .ack(sequence: try reader.integer())
        case 4: self = .nack(sequence: try reader.integer())
        case 5:
            self = .compare(
                after: try reader.integer(), through: try reader.integer(),
                digest: try reader.integer())
        case 6: self = .agreed(after: try reader.integer(), through: try reader.integer())
        case 7:
            self = .page(
                after: try reader.integer(), through: try reader.integer(),
                try MemberRecord.all(decoding: &reader))
        case 8: self = .records(try MemberRecord.all(decoding: &reader))
        default: throw .invalid("no such kind of membership message")
        }
    }
}

extension MemberRecord {
    fileprivate func encode(into buffer: inout ByteBuffer) {
        buffer.append(state.rawValue)
        buffer.append(integer: admission)
        buffer.append(integer: incarnation)
        buffer.append(integer: identity.rawValue)
    }

    fileprivate init(decoding reader: inout ByteReader) throws(DecodeError) {
        guard let state = MemberState(rawValue: try reader.integer()) else {
            throw .invalid("no such state of a member")
        }
        admission = try reader.integer()
        incarnation = try reader.integer()
        identity = try ReplicaIdentity(decoding: &reader)
        self.state = state
    }

    fileprivate static func encode(_ records: [MemberRecord], into buffer: inout ByteBuffer) {
        buffer.append(UInt8(records.count))
        for record in records { record.encode(into: &buffer) }
    }

    fileprivate static func all(
        decoding reader: inout ByteReader
    ) throws(DecodeError) -> [MemberRecord] {
        let count: UInt8 = try reader.integer()
        var records: [MemberRecord] = []
        for _ in 0..<count { records.append(try MemberRecord(decoding: &reader)) }
        return records
    }
}

extension ReplicaIdentity {
    fileprivate init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init(rawValue: try reader.integer())
        guard node.rawValue > 0 else { throw .invalid("zero is not a node") }
        guard epoch <= ReplicaIdentity.epochMax else { throw .invalid("a life that no node has") }
    }
}
