import AntiEntropy
import Base
import CRDT
import Causality
import Coding
import Membership

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
    /// The answer to a read of a crdt keyspace: nothing that the asking node has not seen.
    case covered = 12
    /// The answer to a comparison in a crdt keyspace: what the replica's state has seen.
    case contextTold = 15
    /// The delta stands upon what is not here: send the whole state.
    case needsState = 13
    /// The keyspace merges typed values on one side only.
    case wrongEpoch = 14
    /// The answer to a read: this replica is being refilled and cannot say.
    case refilling = 9
    /// A hint came to a node that is no replica of its key.
    case noReplica = 10
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
    /// The same of a crdt keyspace: the state, unless the asking node has seen all of it.
    case readState(UInt64, key: UnsafeRawBufferPointer, seen: VersionVector)
    /// What has the state of a key in a crdt keyspace seen?
    case readContext(UInt64, key: UnsafeRawBufferPointer)
    case contextTold(UInt64, VersionVector)
    /// All that the replica has of a key was seen, and what its state's digest is.
    case covered(UInt64, digest: UInt64)
    /// Do what a command did to a key's state; with a number other than 0 an acknowledgement is
    /// wanted.
    case replicateDelta(UInt64, DeltaRecord, ReplicateDurability)
    /// What a replica has of a key; nil for nothing, where what was written up to a stamp is gone.
    case answer(UInt64, Record?, emptiedAt: Stamp)
    /// A replica that is not whole does not answer a read.
    case answerDeclined(UInt64)
    /// Run a client's command here, in RESP, and send the reply back.
    case command(UInt64, protocolVersion: UInt8, CommandWishes, UnsafeRawBufferPointer)
    case commandReply(UInt64, UnsafeRawBufferPointer)
    /// Keyspace definitions; with a number other than 0 an acknowledgement is wanted. Of all that
    /// the sender knows it also says how far forgetting has come.
    case definitions(UInt64, ForgettingMarker?, UnsafeRawBufferPointer)
    case definitionsLearned(UInt64)
    /// The latest stamp that the sender knows of, its definitions, its clocks, and how many bytes
    /// of writes its disk takes: 0 while it is full.
    case heartbeat(Stamp, Names, ClockReading, room: UInt64)
    /// How many keys do you hold in the keyspace of this name?
    case survey(UInt64, name: UnsafeRawBufferPointer)
    /// Nothing more comes of the survey or the drop of this name.
    case surveyOver(name: UnsafeRawBufferPointer)
    case surveyed(UInt64, keys: UInt64)
    /// What is the latest stamp that you know of? Begin no write under this name from then on; it
    /// is empty where no keyspace is to be dropped.
    case latestStamp(UInt64, dropping: UnsafeRawBufferPointer)
    case latestStampTold(UInt64, Stamp)
    /// Who is alive.
    case membership(MembershipMessage)
    /// Of the trees of keyspaces with this n: 2…64; roots as they were at a moment, by a node whose
    /// writes sent so far add up to the sum.
    case exchange(Int, ExchangeMessage, moment: Stamp, sum: UInt64)
    /// The same for who is being refilled; of a sender whose definitions have this digest.
    case refill(Int, RefillMessage, digest: UInt64)
    /// The last life of the receiver before this one that the sender was linked with.
    case knownLife(ReplicaIdentity)

    /// Keep a record for a replica that is away; an acknowledgement is wanted.
    case hint(UInt64, Hinted)
    /// Merge a record that the sender kept for this node; an acknowledgement is wanted.
    case handOff(UInt64, Record)
    /// What sessions and bounded staleness need.
    case session(SessionMessage)
    /// What requests with an id need.
    case request(RequestMessage)
    /// What the sender has promised for tombstone collection.
    case promises(PromiseMessage)
    /// Where the sender stands since the list of members changed.
    case generation(GenerationMessage)

    static let exchangeKind: UInt8 = 12
    static let refillKind: UInt8 = 15
    static let hintKind: UInt8 = 16
    static let handOffKind: UInt8 = 17
    static let knownLifeKind: UInt8 = 18

    /// A record, and for whom it is to be kept.
    struct Hinted {
        let targets: [NodeID]
        /// Wall-clock milliseconds since 1970 from which its age counts at the latest.
        let since: UInt64
        let record: Record
        let durability: ReplicateDurability
        /// Under whose name this node minted it; never sent.
        var chain: StandInChain?

        init(
            _ record: Record, for targets: [NodeID], since: UInt64, chain: StandInChain?,
            _ durability: ReplicateDurability
        ) {
            self.record = record
            self.targets = targets
            self.since = since
            self.chain = chain
            self.durability = durability
        }

        fileprivate init(_ flag: UInt8, _ rest: UnsafeRawBufferPointer) throws(DecodeError) {
            var reader = ByteReader(rest)
            durability = try Message.durability(flag)
            let count: UInt8 = try reader.integer()
            var targets: [NodeID] = []
            for _ in 0..<count { targets.append(NodeID(try reader.integer())) }
            self.targets = targets
            since = try reader.integer()
            record = try Message.record(reader.rest())
        }
    }

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
            self = .replicate(number, try Message.record(reader.rest()), durability)
        case 2:
            let stamp = Stamp(rawValue: try reader.integer())
            self = .replicated(number, try Message.writeStatus(flag), stamp)
            try reader.end()
        case 3 where flag == 1: self = try Message.readState(number, &reader)
        case 3 where flag == 2: self = .readContext(number, key: try Message.key(reader.rest()))
        case 3: self = .read(number, key: try Message.key(reader.rest()))
        case 4: self = try Message.answered(number, try Message.status(flag), &reader)
        case 5:
            let wishes = try CommandWishes(decoding: &reader)
            self = .command(number, protocolVersion: flag, wishes, reader.rest())
        case 6: self = .commandReply(number, reader.rest())
        case 7...11: self = try Message.administration(kind, flag, number, &reader)
        case Node.deltaKind:
            let durability = try Message.durability(flag)
            self = .replicateDelta(number, try DeltaRecord(decoding: reader.rest()), durability)
        case Node.membershipKind:
            guard flag == 0, number == 0 else { throw .invalid("members have no number") }
            self = .membership(try MembershipMessage(decoding: reader.rest()))
        case Message.exchangeKind: self = try Message.exchange(flag, number, reader.rest())
        case Message.refillKind: self = try Message.refill(flag, number, reader.rest())
        case Message.hintKind: self = .hint(number, try Hinted(flag, reader.rest()))
        case Message.handOffKind: self = .handOff(number, try Message.record(reader.rest()))
        case Message.knownLifeKind: self = try Message.knownLife(number, &reader)
        default: self = try Message.machine(kind, flag, number, &reader)
        }
    }

    /// The messages that have a type of their own.
    private static func machine(
        _ kind: UInt8, _ flag: UInt8, _ number: UInt64, _ reader: inout ByteReader
    ) throws(DecodeError) -> Message {
        switch kind {
        case SessionMessage.kinds, SessionMessage.writtenKind:
            return .session(try SessionMessage(kind, flag, number, &reader))
        case RequestMessage.kinds:
            return .request(try RequestMessage(kind, flag, number, &reader))
        case GenerationMessage.kind:
            return .generation(try GenerationMessage(flag, number, &reader))
        default: return .promises(try PromiseMessage(kind, flag, &reader))
        }
    }

    private static func administration(
        _ kind: UInt8, _ flag: UInt8, _ number: UInt64, _ reader: inout ByteReader
    ) throws(DecodeError) -> Message {
        let message: Message
        switch kind {
        case 7:
            guard flag < 2 else { throw .invalid("definitions have an unknown flag") }
            let word = flag == 1 ? try ForgettingMarker(&reader) : nil
            return .definitions(number, word, reader.rest())
        case 8: message = .definitionsLearned(number)
        case 9:
            guard flag == 0 else { throw .invalid("heartbeat has an unknown flag") }
            let reading = try ClockReading(decoding: &reader)
            message = .heartbeat(
                Stamp(rawValue: number), try Names(&reader), reading, room: try reader.integer())
        case 10: return try survey(number, flag, name: reader.rest())
        default:
            guard flag < 2 else { throw .invalid("survey's answer has an unknown flag") }
            let value: UInt64 = try reader.integer()
            message =
                flag == 0
                ? .surveyed(number, keys: value) : .latestStampTold(number, Stamp(rawValue: value))
        }
        try reader.end()
        return message
    }

    fileprivate static func durability(
        _ flag: UInt8
    ) throws(DecodeError) -> ReplicateDurability {
        guard let durability = ReplicateDurability(rawValue: flag) else {
            throw .invalid("replicate has an unknown flag")
        }
        return durability
    }

    static func record(
        _ bytes: UnsafeRawBufferPointer
    ) throws(DecodeError) -> Record {
        let record = try Record(validating: bytes)
        if record.isMergeable { _ = try CRDTState(record) }
        return record
    }

    private static func answered(
        _ number: UInt64, _ status: ReplicaStatus, _ reader: inout ByteReader
    ) throws(DecodeError) -> Message {
        let message: Message
        switch status {
        case .covered: message = .covered(number, digest: try reader.integer())
        case .contextTold:
            let count = reader.remaining / 16
            let seen = try VersionVector(
                decoding: &reader, count: count, limit: CRDTState.identitiesMax)
            message = .contextTold(number, seen)
        default: return try answer(number, status, reader.rest())
        }
        try reader.end()
        return message
    }

    private static func readState(
        _ number: UInt64, _ reader: inout ByteReader
    ) throws(DecodeError) -> Message {
        let length = Int(try reader.integer(UInt16.self))
        let key = try key(try reader.slice(length))
        let seen = try VersionVector(
            decoding: &reader, count: reader.remaining / 16, limit: CRDTState.identitiesMax)
        try reader.end()
        return .readState(number, key: key, seen: seen)
    }

    private static func exchange(
        _ flag: UInt8, _ number: UInt64, _ rest: UnsafeRawBufferPointer
    ) throws(DecodeError) -> Message {
        let n = try replicationFactor(flag)
        guard rest.first == ExchangeMessage.rootsKind else {
            guard number == 0 else { throw .invalid("only roots have a moment") }
            return .exchange(
                n, try ExchangeMessage(decoding: rest), moment: Stamp(rawValue: 0), sum: 0)
        }
        guard rest.count > 8 else { throw .truncated }
        let roots = UnsafeRawBufferPointer(rebasing: rest.dropLast(8))
        var tail = ByteReader(UnsafeRawBufferPointer(rebasing: rest.suffix(8)))
        return .exchange(
            n, try ExchangeMessage(decoding: roots), moment: Stamp(rawValue: number),
            sum: try tail.integer())
    }

    private static func knownLife(
        _ number: UInt64, _ reader: inout ByteReader
    ) throws(DecodeError) -> Message {
        try reader.end()
        return .knownLife(ReplicaIdentity(rawValue: number))
    }

    private static func refill(
        _ flag: UInt8, _ digest: UInt64, _ rest: UnsafeRawBufferPointer
    ) throws(DecodeError) -> Message {
        let message = try RefillMessage(decoding: rest)
        return .refill(try replicationFactor(flag), message, digest: digest)
    }

    private static func replicationFactor(_ flag: UInt8) throws(DecodeError) -> Int {
        guard 2...64 ~= flag else { throw .invalid("exchange of no such trees") }
        return Int(flag)
    }

    private static func status(_ flag: UInt8) throws(DecodeError) -> ReplicaStatus {
        guard let status = ReplicaStatus(rawValue: flag) else {
            throw .invalid("status is unknown")
        }
        return status
    }

    private static func writeStatus(_ flag: UInt8) throws(DecodeError) -> ReplicaStatus {
        let status = try status(flag)
        guard ![.found, .absent, .covered, .contextTold, .refilling].contains(status) else {
            throw .invalid("status is none of a write")
        }
        return status
    }

    private static func survey(
        _ number: UInt64, _ flag: UInt8, name: UnsafeRawBufferPointer
    ) throws(DecodeError) -> Message {
        guard flag < 3 else { throw .invalid("survey has an unknown flag") }
        guard name.count <= KeyspaceCatalog.nameBytesMax else { throw .invalid("name length") }
        switch flag {
        case 0: return .survey(number, name: name)
        case 1: return .surveyOver(name: name)
        default: return .latestStamp(number, dropping: name)
        }
    }

    private static func key(
        _ bytes: UnsafeRawBufferPointer
    ) throws(DecodeError) -> UnsafeRawBufferPointer {
        guard bytes.count <= Record.keyBytesMax else { throw .invalid("key length") }
        return bytes
    }

    private static func answer(
        _ number: UInt64, _ status: ReplicaStatus, _ rest: UnsafeRawBufferPointer
    ) throws(DecodeError) -> Message {
        guard status != .refilling else {
            guard rest.isEmpty else { throw .invalid("who declines says nothing else") }
            return .answerDeclined(number)
        }
        guard status == .found else {
            guard status == .absent else { throw .invalid("status is none of a read") }
            var reader = ByteReader(rest)
            let stamp: UInt64 = try reader.integer()
            try reader.end()
            return .answer(number, nil, emptiedAt: Stamp(rawValue: stamp))
        }
        return .answer(number, try record(rest), emptiedAt: Stamp(rawValue: 0))
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
        appendMessage(kind: kind, flag: flag, number: number) { buffer in
            if let first { buffer.append(first) }
        }
    }

    /// The same with what follows the number written in place.
    @inline(__always)
    mutating func appendMessage(
        kind: UInt8, flag: UInt8 = 0, number: UInt64, _ rest: (inout ByteBuffer) -> Void
    ) -> Range<Int> {
        let start = Frame.begin(&self)
        append(kind)
        append(flag)
        append(integer: number)
        rest(&self)
        Frame.finish(&self, from: start)
        return start..<count
    }
}
