import AntiEntropy
import Base
import Causality
import Coding

/// What a replica says to a write or a read.
enum ReplicaStatus: UInt8 {
    /// Merged; a crash may still forget it.
    case acknowledged = 0
    /// Merged and synced.
    case durable = 1
    case diskFull = 2
    /// The stamp is further ahead of this node's clock than the bound.
    case clockAhead = 3
    case overloaded = 4
    /// More siblings than the keyspace allows.
    case tooManySiblings = 5
    /// The answer to a read: there is a record.
    case found = 6
    /// The answer to a read: nothing is known of the key.
    case absent = 7
    /// A later write of the key is here already, so this one changed nothing.
    case superseded = 8
}

/// One message between nodes, as a view of a frame's payload.
///
/// Layout: `kind (1) | flag (1) | number (8) | rest`, little-endian.
enum Message {
    /// Merge a record; with a number other than 0 an acknowledgement is wanted.
    case replicate(UInt64, Record, ReplicateDurability)
    /// What became of a replicated record, and under `superseded` the stamp of what is stored
    /// instead.
    case replicated(UInt64, ReplicaStatus, Stamp)
    case read(UInt64, key: UnsafeRawBufferPointer)
    /// What a replica has of a key; nil for nothing, where what was written up to a stamp is gone.
    case answer(UInt64, Record?, emptiedAt: Stamp)
    /// Run a client's command here, in RESP, and send the reply back.
    case command(UInt64, protocolVersion:
        UInt8, timeoutMilliseconds: UInt32, UnsafeRawBufferPointer)
    case commandReply(UInt64, UnsafeRawBufferPointer)
    /// Keyspace definitions; with a number other than 0 an acknowledgement is wanted.
    case definitions(UInt64, UnsafeRawBufferPointer)
    case definitionsLearned(UInt64)
    /// The sender's clock reading and what its definitions hash to.
    case heartbeat(Stamp, digest: UInt64)
    /// How many keys do you hold in the keyspace of this name?
    case survey(UInt64, name: UnsafeRawBufferPointer)
    /// Nothing comes of the survey of this name.
    case surveyOver(name: UnsafeRawBufferPointer)
    case surveyed(UInt64, keys: UInt64)
    /// What is the latest stamp that you know of?
    case latestStamp(UInt64)
    case latestStampTold(UInt64, Stamp)
    /// Of the trees of keyspaces with this n, 2…64, by a node whose writes sent so far add up to
    /// the sum.
    case exchange(Int, ExchangeMessage, sum: UInt64)
    /// What sessions and bounded staleness need.
    case session(SessionMessage)

    static let exchangeKind: UInt8 = 12

    /// What must have happened before a replica acknowledges.
    enum ReplicateDurability: UInt8 {
        case asKeyspace = 0
        case synced = 1
    }

    /// - Throws: `truncated` or `invalid` for anything that `encode…` does not write.
    init(decoding payload: UnsafeRawBufferPointer) throws(DecodeError) {
        var reader = ByteReader(payload)
        let kind: UInt8 = try reader.integer()
        let flag: UInt8 = try reader.integer()
        let number: UInt64 = try reader.integer()
        switch kind {
        case 1:
            let durability = try Message.durability(flag)
            self = .replicate(number, try Record(validating: reader.rest()), durability)
        case 2:
            let stamp = Stamp(rawValue: try reader.integer())
            self = .replicated(number, try Message.writeStatus(flag), stamp)
            try reader.end()
        case 3: self = .read(number, key: try Message.key(reader.rest()))
        case 4: self = try Message.answer(number, try Message.status(flag), reader.rest())
        case 5:
            let timeout: UInt32 = try reader.integer()
            self = .command(
                number, protocolVersion: flag, timeoutMilliseconds: timeout, reader.rest())
        case 6: self = .commandReply(number, reader.rest())
        case 7: self = .definitions(number, reader.rest())
        case 8:
            self = .definitionsLearned(number)
            try reader.end()
        case 9:
            self = .heartbeat(Stamp(rawValue: number), digest: try reader.integer())
            try reader.end()
        case 10: self = try Message.survey(number, flag, name: reader.rest())
        case 11:
            guard flag < 2 else { throw .invalid("survey's answer has an unknown flag") }
            let value: UInt64 = try reader.integer()
            self = flag == 0
                ? .surveyed(number, keys: value) : .latestStampTold(number, Stamp(rawValue: value))
            try reader.end()
        case Message.exchangeKind: self = try Message.exchange(flag, number, reader.rest())
        case SessionMessage.kinds:
            self = .session(try SessionMessage(kind, flag, number, &reader))
        default: throw .invalid("message kind is unknown")
        }
    }

    private static func durability(_ flag: UInt8) throws(DecodeError) -> ReplicateDurability {
        guard let durability = ReplicateDurability(rawValue: flag) else {
            throw .invalid("replicate has an unknown flag")
        }
        return durability
    }

    private static func exchange(
        _ flag: UInt8, _ number: UInt64, _ rest: UnsafeRawBufferPointer
    ) throws(DecodeError) -> Message {
        guard 2...64 ~= flag else { throw .invalid("exchange of no such trees") }
        return .exchange(Int(flag), try ExchangeMessage(decoding: rest), sum: number)
    }

    private static func status(_ flag: UInt8) throws(DecodeError) -> ReplicaStatus {
        guard let status = ReplicaStatus(rawValue: flag) else {
            throw .invalid("status is unknown")
        }
        return status
    }

    private static func writeStatus(_ flag: UInt8) throws(DecodeError) -> ReplicaStatus {
        let status = try status(flag)
        guard status != .found, status != .absent else {
            throw .invalid("status is none of a write")
        }
        return status
    }

    private static func survey(
        _ number: UInt64, _ flag: UInt8, name: UnsafeRawBufferPointer
    ) throws(DecodeError) -> Message {
        guard flag < 3 else { throw .invalid("survey has an unknown flag") }
        if flag == 2 {
            guard name.isEmpty else { throw .invalid("a question for the time names nothing") }
            return .latestStamp(number)
        }
        guard name.count <= KeyspaceCatalog.nameBytesMax else { throw .invalid("name length") }
        return flag == 0 ? .survey(number, name: name) : .surveyOver(name: name)
    }

    private static func key(
        _ bytes: UnsafeRawBufferPointer) throws(DecodeError
    ) -> UnsafeRawBufferPointer {
        guard 1...Record.keyBytesMax ~= bytes.count else { throw .invalid("key length") }
        return bytes
    }

    private static func answer(
        _ number: UInt64, _ status: ReplicaStatus, _ rest: UnsafeRawBufferPointer
    ) throws(DecodeError) -> Message {
        guard status == .found else {
            guard status == .absent else { throw .invalid("status is none of a read") }
            var reader = ByteReader(rest)
            let stamp: UInt64 = try reader.integer()
            try reader.end()
            return .answer(number, nil, emptiedAt: Stamp(rawValue: stamp))
        }
        return .answer(number, try Record(validating: rest), emptiedAt: Stamp(rawValue: 0))
    }
}

extension ByteBuffer {
    /// Appends one framed message.
    ///
    /// - Parameters:
    ///   - kind: as `Message.init(decoding:)` reads it.
    ///   - parts: what follows the number, in order.
    /// - Returns: the frame's range.
    @inline(__always)
    mutating func appendMessage(
        kind: UInt8, flag: UInt8 = 0, number: UInt64, _ first: UnsafeRawBufferPointer? = nil
    ) -> Range<Int> {
        let start = Frame.begin(&self)
        append(kind)
        append(flag)
        append(integer: number)
        if let first { append(first) }
        Frame.finish(&self, from: start)
        return start..<count
    }
}
