import Base
import Causality
import Coding

/// The messages about requests with an id; see `Node+RequestIDs`.
enum RequestMessage {
    /// The sender wants to execute a request.
    case claim(UInt64, ClaimRequest)
    /// What the sender's ledger says to a claim.
    case claimed(UInt64, ClaimAnswer)
    /// What became of a claim of the receiver?
    case inquire(UInt64, RequestName, RequestLedger.Claim)
    case inquired(UInt64, ClaimState)
    /// How a request ended whose effect was sent before.
    case outcome(RequestName, RequestLedger.Outcome)
    /// Which ids there are of keys that the sender keeps, from a place in the receiver's ledger on.
    case askIDs(UInt64)
    case toldIDs(Page)

    static let kinds: ClosedRange<UInt8> = 40...46

    /// Some of the ids that a node remembers.
    struct Page {
        /// Where it begins.
        let place: UInt64
        /// Where the next one begins; nil behind the last.
        var next: UInt64?
        var entries: [Told]

        struct Told {
            let name: RequestName
            let entry: RequestLedger.Entry
            /// Milliseconds since it was first heard of.
            let age: UInt64
        }
    }

    struct ClaimRequest {
        let name: RequestName
        let claim: RequestLedger.Claim
        /// A claim of which nothing comes, and which gives way.
        let over: RequestLedger.Claim?
    }

    /// What a replica says to a claim, without the reply of a request that is done: whoever has
    /// that also has the effect, and tells the client itself.
    enum ClaimAnswer: Equatable {
        /// The stamp is of the latest that the replica has or had of the key.
        case granted(Stamp)
        case rival(RequestLedger.Claim)
        case done
        case full
        /// The replica is being refilled: it does not know which ids are taken.
        case notWhole
    }

    /// What a coordinator says of its own claim.
    enum ClaimState: UInt8 {
        case underWay = 0
        /// It was given up and will never be executed.
        case over = 1
        case done = 2
        /// The memory in which that would stand is lost.
        case forgotten = 3
    }

    /// - Parameter kind: one of `kinds`.
    /// - Throws: `truncated` or `invalid`.
    init(
        _ kind: UInt8, _ flag: UInt8, _ number: UInt64, _ reader: inout ByteReader
    ) throws(DecodeError) {
        switch kind {
        case 40:
            let name = try RequestName(decoding: &reader)
            let claim = try RequestLedger.Claim(decoding: &reader)
            guard flag < 2 else { throw .invalid("claim has an unknown flag") }
            let over = flag == 1 ? try RequestLedger.Claim(decoding: &reader) : nil
            self = .claim(number, ClaimRequest(name: name, claim: claim, over: over))
        case 41: self = .claimed(number, try ClaimAnswer(flag, &reader))
        case 42:
            let name = try RequestName(decoding: &reader)
            self = .inquire(number, name, try RequestLedger.Claim(decoding: &reader))
        case 43:
            guard let state = ClaimState(rawValue: flag) else {
                throw .invalid("claim has an unknown state")
            }
            self = .inquired(number, state)
        case 44:
            let name = try RequestName(decoding: &reader)
            self = .outcome(name, try RequestLedger.Outcome(decoding: &reader))
        case 45: self = .askIDs(number)
        default: self = .toldIDs(try Page(from: number, isLast: flag != 0, &reader))
        }
        try reader.end()
    }

    /// Appends the framed message.
    func encode(into buffer: inout ByteBuffer) -> Range<Int> {
        switch self {
        case .claim(let number, let request):
            let flag: UInt8 = request.over == nil ? 0 : 1
            return buffer.appendMessage(kind: 40, flag: flag, number: number) {
                request.name.encode(into: &$0)
                request.claim.encode(into: &$0)
                request.over?.encode(into: &$0)
            }
        case .claimed(let number, let answer):
            return buffer.appendMessage(kind: 41, flag: answer.flag, number: number) {
                switch answer {
                case .granted(let latest): $0.append(integer: latest.rawValue)
                case .rival(let claim): claim.encode(into: &$0)
                case .done, .full, .notWhole: break
                }
            }
        case .inquire(let number, let name, let claim):
            return buffer.appendMessage(kind: 42, number: number) {
                name.encode(into: &$0)
                claim.encode(into: &$0)
            }
        case .inquired(let number, let state):
            return buffer.appendMessage(kind: 43, flag: state.rawValue, number: number)
        case .outcome(let name, let outcome):
            return buffer.appendMessage(kind: 44, number: 0) {
                name.encode(into: &$0)
                outcome.encode(into: &$0)
            }
        case .askIDs(let place): return buffer.appendMessage(kind: 45, number: place) { _ in }
        case .toldIDs(let page):
            let flag: UInt8 = page.next == nil ? 1 : 0
            return buffer.appendMessage(kind: 46, flag: flag, number: page.place) {
                page.encode(into: &$0)
            }
        }
    }
}

extension RequestMessage.Page {
    /// `next (8)`, then of each entry `age (8) | is done (1) | name | claim or outcome`.
    fileprivate init(
        from place: UInt64, isLast: Bool, _ reader: inout ByteReader
    ) throws(DecodeError) {
        self.place = place
        let next: UInt64 = try reader.integer()
        guard isLast || next > place else { throw .invalid("a page of ids leads nowhere") }
        self.next = isLast ? nil : next
        entries = []
        while reader.remaining > 0 {
            let age: UInt64 = try reader.integer()
            let isDone: UInt8 = try reader.integer()
            let name = try RequestName(decoding: &reader)
            let entry: RequestLedger.Entry =
                if isDone == 1 {
                    .done(try RequestLedger.Outcome(decoding: &reader))
                } else {
                    .claimed(try RequestLedger.Claim(decoding: &reader))
                }
            entries.append(Told(name: name, entry: entry, age: age))
        }
    }

    fileprivate func encode(into buffer: inout ByteBuffer) {
        buffer.append(integer: next ?? 0)
        for told in entries {
            buffer.append(integer: told.age)
            switch told.entry {
            case .claimed(let claim):
                buffer.append(0 as UInt8)
                told.name.encode(into: &buffer)
                claim.encode(into: &buffer)
            case .done(let outcome):
                buffer.append(1 as UInt8)
                told.name.encode(into: &buffer)
                outcome.encode(into: &buffer)
            }
        }
    }
}

extension RequestMessage.ClaimAnswer {
    fileprivate var flag: UInt8 {
        switch self {
        case .granted: 0
        case .rival: 1
        case .done: 2
        case .full: 3
        case .notWhole: 4
        }
    }

    fileprivate init(_ flag: UInt8, _ reader: inout ByteReader) throws(DecodeError) {
        switch flag {
        case 0: self = .granted(Stamp(rawValue: try reader.integer()))
        case 1: self = .rival(try RequestLedger.Claim(decoding: &reader))
        case 2: self = .done
        case 3: self = .full
        case 4: self = .notWhole
        default: throw .invalid("claim has an unknown answer")
        }
    }
}

extension RequestLedger.Claim {
    init(decoding reader: inout ByteReader) throws(DecodeError) {
        coordinator = ReplicaIdentity(rawValue: try reader.integer())
        number = try reader.integer()
    }

    func encode(into buffer: inout ByteBuffer) {
        buffer.append(integer: coordinator.rawValue)
        buffer.append(integer: number)
    }
}

extension RequestLedger.Outcome {
    /// Replies beyond this are not kept.
    static let replyBytesMax = 64 << 10

    /// `effects (1) | identity (8) | stamp (8) | checksum (4) | length (4) | reply`, without
    /// identity and stamp where there is no effect.
    init(decoding reader: inout ByteReader) throws(DecodeError) {
        let effects: UInt8 = try reader.integer()
        guard effects < 2 else { throw .invalid("an outcome has one effect or none") }
        if effects == 1 {
            let identity = ReplicaIdentity(rawValue: try reader.integer())
            dot = Dot(identity: identity, stamp: Stamp(rawValue: try reader.integer()))
        } else {
            dot = nil
        }
        checksum = try reader.integer()
        let length = Int(try reader.integer(UInt32.self))
        guard length <= RequestLedger.Outcome.replyBytesMax else {
            throw .invalid("a reply that is kept is short")
        }
        let bytes = try reader.slice(length)
        guard bytes.isOneReply(in: .resp2) else { throw .invalid("an outcome is one reply") }
        reply = Array(bytes)
    }

    func encode(into buffer: inout ByteBuffer) {
        buffer.append(dot == nil ? 0 : 1 as UInt8)
        if let dot {
            buffer.append(integer: dot.identity.rawValue)
            buffer.append(integer: dot.stamp.rawValue)
        }
        buffer.append(integer: checksum)
        buffer.append(integer: UInt32(reply.count))
        buffer.append(reply)
    }
}
