import CRDT
import Coding
import RESP

/// A request with several keys, each a part of it, until all of them have answered.
///
/// Some parts begin at once; those of a long request wait in `rest` and begin over several steps
/// (`Node+Gather`). What the answers add up to is put together as they come, so that a request
/// takes the memory of its reply and no more.
///
/// Invariants: `missing` is the number of parts that have not answered, begun or not, and still
/// have to; `byteCount` is that of the answers that are kept.
struct GatherOperation {
    /// What becomes of the parts' answers.
    enum Combination {
        /// One reply of each part, in order.
        case array
        /// The replies of a transaction's commands.
        case transaction
        /// The sum of the parts' integers.
        case sum
        /// OK when every part was.
        case allOK
        /// Of the parts' sets.
        case union, intersection, difference
        /// How many elements the intersection has; 0 for no limit.
        case intersectionCount(limit: Int)
        /// As `CommandPieces` or `ElementWalk` tells it.
        case pieces

        var isOfSets: Bool {
            switch self {
            case .array, .transaction, .sum, .allOK, .pieces: false
            case .union, .intersection, .difference, .intersectionCount: true
            }
        }
    }

    /// What is done with each key.
    enum PartKind: Equatable {
        case get, exists, set, delete, members
        /// A command of a transaction, which begins them all at once.
        case command
        /// Of a command on one key (`CommandPieces`), one after the other.
        case piece(isWrite: Bool)

        /// Arguments of one part.
        var words: Int { self == .set ? 2 : 1 }
        var isWrite: Bool {
            switch self {
            case .set, .delete: true
            case .get, .exists, .members, .command: false
            case .piece(let isWrite): isWrite
            }
        }

        /// The command that the rest of a request is one of.
        var command: RequestHead {
            switch self {
            case .get: RequestHead("MGET")
            case .exists: RequestHead("EXISTS")
            case .set: RequestHead("MSET")
            case .delete: RequestHead("DEL")
            case .members: RequestHead("SUNION")
            case .command, .piece: RequestHead("EXEC")
            }
        }
    }

    let head: OperationHead
    let combination: Combination
    let kind: PartKind
    let parts: Int
    var missing: Int
    /// What has not begun.
    var rest: GatherRest?
    /// What of it has not been checked: nothing begins before all of it is.
    var unchecked: GatherRest?
    /// Which keys of it are named again.
    var repeated = RepeatedKeys()
    /// The command whose pieces are its parts.
    var pieces: CommandPieces?
    /// The query over several steps that is its only part.
    var walk: ElementWalk?
    /// What follows on the client's connection waits for it.
    var holdsBack = false
    /// It goes on in a later step.
    var isQueued = false
    /// The answers of an array.
    private var answers = OrderedAnswers()
    private var sets = GatheredSets()
    private var sum: Int128 = 0
    private var outcome = PartsOutcome()
    /// Of the parts that have told theirs, where it is wanted.
    private var receipt: Receipt?
    /// Another node did a part, and its receipt is not known.
    var hasUntold = false
    /// A planted bug: what was changed all the same is not told.
    var hidesProgress = false
    /// The answer of the first part, in the order of the request, that is no success.
    private var failure: (part: Int, reply: [UInt8])?
    /// The answers are more than one reply may have.
    private(set) var isTooLong = false
    private(set) var byteCount = 0
    /// The sets, while they are put together.
    var combining: SetCombination?

    init(
        head: OperationHead, _ combination: Combination, _ kind: PartKind, parts: Int
    ) {
        self.head = head
        self.combination = combination
        self.kind = kind
        self.parts = parts
        missing = parts
    }

    init(head: OperationHead, _ pieces: CommandPieces) {
        self.init(head: head, .pieces, .piece(isWrite: pieces.isWrite), parts: 1)
        self.pieces = pieces
    }

    init(head: OperationHead, _ walk: ElementWalk) {
        self.init(head: head, .pieces, .piece(isWrite: false), parts: 1)
        self.walk = walk
    }

    /// Parts that have begun and have not answered, other than those that share another's read.
    private(set) var begun = 0
    /// What reads of its parts are under way.
    var underWay = PartsUnderWay()

    /// Its client has gone.
    var isAbandoned = false
    /// The link whose node may be asked for more, so that it goes on.
    var calledBy: Int?

    /// It changes nothing, so it can end before all of its parts have.
    var onlyReads: Bool { !kind.isWrite && kind != .command }

    /// Nothing more can change what is answered, and no part has to be done.
    var isDecided: Bool { onlyReads && (isTooLong || failure != nil || isAbandoned) }

    mutating func beginPart() { begun += 1 }

    mutating func note(_ other: Receipt) {
        if receipt == nil { receipt = other } else { receipt?.join(other) }
    }

    var toldReceipt: Receipt? { hasUntold ? nil : receipt }

    /// Hands the noted keys out to be added to, and takes them back.
    mutating func exchangeRepeated(_ other: inout RepeatedKeys) { swap(&repeated, &other) }

    /// A part is not done, because a later one does the same.
    mutating func skipPart() { missing -= 1 }

    private mutating func endPart() {
        missing -= 1
        begun -= 1
    }

    /// A part has answered, in RESP.
    mutating func add(_ reply: [UInt8], part: Int) {
        if pieces != nil { return addPiece(reply) }
        endPart()
        let isError = reply.first == UInt8(ascii: "-")
        outcome.record(reply)
        switch combination {
        case .transaction: keep(reply, part)
        case .array:
            // A key of another type is none; no client expects an error among values.
            if isError, !reply.starts(with: "-WRONGTYPE".utf8) { return fail(reply, part) }
            keep(isError ? nullReply : reply, part)
        case .sum:
            guard reply.first == UInt8(ascii: ":") else { return fail(reply, part) }
            reply.withUnsafeBytes { line in
                let digits = UnsafeRawBufferPointer(rebasing: line.dropFirst().dropLast(2))
                sum += Int128(Int64(decimal: digits) ?? 0)
            }
        case .allOK: if reply.first != UInt8(ascii: "+") { fail(reply, part) }
        case .pieces: break
        case .union, .intersection, .difference, .intersectionCount:
            guard !isError else { return fail(reply, part) }
            let members = GatherOperation.members(reply)
            keep(Elements(members), bytes: reply.count + 16 * members.count, part)
        }
    }

    /// A part has answered whose read this one shares.
    mutating func addShared(_ reply: [UInt8], part: Int) {
        begun += 1
        add(reply, part: part)
    }

    private mutating func addPiece(_ reply: [UInt8]) {
        begun -= 1
        pieces?.take(reply)
        byteCount = pieces?.answerBytes ?? 0
        if pieces?.isDone == true { missing = 0 }
    }

    /// A part has answered with the members of a set.
    ///
    /// - Parameter bytes: of their written form, about.
    mutating func add(_ members: Elements, bytes: Int, part: Int) {
        endPart()
        keep(members, bytes: bytes, part)
    }

    private mutating func keep(_ answer: [UInt8], _ part: Int) {
        guard admit(answer.count) else { return }
        answers.add(answer, part: part)
    }

    private mutating func keep(_ members: Elements, bytes: Int, _ part: Int) {
        guard admit(bytes) else { return }
        sets.add(members, part: part)
    }

    private mutating func admit(_ count: Int) -> Bool {
        guard !isTooLong else { return false }
        byteCount += count
        guard byteCount > Reply.byteCountMax else { return true }
        isTooLong = true
        byteCount = 0
        answers = OrderedAnswers()
        sets = GatheredSets()
        return false
    }

    /// Errors count before what is merely no success, then the order of the parts.
    private mutating func fail(_ reply: [UInt8], _ part: Int) {
        let isError = reply.first == UInt8(ascii: "-")
        if let known = failure {
            let isKnownError = known.reply.first == UInt8(ascii: "-")
            guard isError == isKnownError ? part < known.part : isError else { return }
        }
        failure = (part, reply)
    }

    private var nullReply: [UInt8] {
        Array((head.client.dialect == .resp3 ? "_\r\n" : "$-1\r\n").utf8)
    }

    /// Begins to put sets together, when all are there.
    mutating func beginCombining() {
        guard combination.isOfSets, combining == nil, failure == nil, !isTooLong else { return }
        combining = SetCombination(sets, combination)
        sets = GatheredSets()
    }

    /// What the client is told when all parts have answered, and sets have been put together.
    func reply() -> Reply {
        let dialect = head.client.dialect
        if let pieces { return pieces.reply(dialect) }
        if let walk { return walk.reply(dialect) }
        var buffer = ByteBuffer(capacity: 64)
        guard !isTooLong else {
            buffer.writeError("ERR the values together are too large for one reply")
            return Reply(Array(buffer.bytes))
        }
        if let failure { return Reply(told(failure.reply)) }
        var rest = ReplyElements()
        switch combination {
        case .array, .transaction:
            buffer.writeArrayHeader(count: parts)
            for piece in answers.pieces { rest.append(.encoded(piece)) }
        case .sum: buffer.writeInteger(Int(clamping: sum))
        case .allOK: buffer.writeOK()
        case .pieces: break
        case .intersectionCount(let limit):
            let count = combining?.result.count ?? 0
            buffer.writeInteger(limit == 0 ? count : min(limit, count))
        case .union, .intersection, .difference:
            let result = combining?.result ?? []
            buffer.writeSetHeader(count: result.count, dialect)
            rest.append(
                ReplyPieces(Elements(result), .elements),
                byteCount: result.isEmpty ? 0 : byteCount)
        }
        return Reply(Array(buffer.bytes), rest, dialect)
    }

    /// What the failure of a part means for the whole. Nothing was known to stand in the way of any
    /// part; so when a change failed all the same, the client is told how far it went.
    private func told(_ failure: [UInt8]) -> [UInt8] {
        guard kind.isWrite, !hidesProgress, outcome.succeeded + outcome.unknown > 0 else {
            return failure
        }
        var buffer = ByteBuffer(capacity: 256)
        let reason = String(decoding: failure.dropFirst().dropLast(2), as: UTF8.self)
        buffer.writeError(
            text: "UNKNOWN \(outcome.succeeded) of \(parts) keys were changed, "
                + "\(outcome.unknown) may have been; the first that was not: \(reason)")
        return Array(buffer.bytes)
    }

    /// The elements of an array or a set of bulk strings, in RESP.
    private static func members(_ reply: [UInt8]) -> [Bytes] {
        var rest = reply[...]
        func line(_ rest: inout ArraySlice<UInt8>) -> Int {
            let end = rest.firstIndex(of: UInt8(ascii: "\r")) ?? rest.endIndex
            let digits = rest[rest.startIndex..<end].dropFirst()
            rest = rest.dropFirst(end - rest.startIndex + 2)
            return digits.reduce(0) { $0 &* 10 &+ Int($1) &- 48 }
        }
        let count = line(&rest)
        var members: [Bytes] = []
        for _ in 0..<max(0, count) where !rest.isEmpty {
            let length = max(0, line(&rest))
            members.append(Bytes(Array(rest.prefix(length))))
            rest = rest.dropFirst(length + 2)
        }
        return members
    }
}

/// How many of a request's parts have done what was asked.
struct PartsOutcome {
    private(set) var succeeded = 0
    /// Of the failed ones, how many may have taken effect.
    private(set) var unknown = 0

    /// - Parameter reply: to one part.
    mutating func record(_ reply: [UInt8]) {
        if reply.first != UInt8(ascii: "-") {
            succeeded += 1
        } else if reply.starts(with: "-UNKNOWN".utf8) {
            unknown += 1
        }
    }
}

extension GatherOperation: SlabElement {
    /// Of the keys of several keyspaces.
    var keyspace: Int { 0 }

    var heldBytes: Int {
        byteCount + parts * 8 + (rest?.byteCount ?? 0) + repeated.count * 24
            + underWay.heldBytes + (pieces?.heldBytes ?? 0) + (walk?.told.byteCount ?? 0)
            + (combining?.result.count ?? 0) * 8
    }
}
