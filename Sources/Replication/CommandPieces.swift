import Base
import CRDT
import Coding
import RESP

/// A command on one mergeable value that is too much for one step, as several of the same name that
/// are done one after the other, each a command of its own ("piece").
///
/// Each begins when the one before is answered, so they do together what the command does to one
/// element after the other: a push goes behind the one before, of two values for a field the last
/// counts, and a condition is looked at in the light of what stood before. Members and fields are
/// changed in ascending order, equal ones in the command's. What others do to the value meanwhile
/// happens between two pieces, so the whole is not one moment.
///
/// It is one reference in its operation, which is looked at for each part of every request.
final class CommandPieces {
    /// Elements that a command may name or take away to be done at once.
    static let atOnceMax = 2_048
    /// Elements that one piece names or takes away.
    static let elementsMax = 1_024
    /// Bytes of arguments from which on a piece names no further element.
    static let bytesMax = 1 << 20
    /// Bytes of what was taken away from which on no more is: it could not be told.
    private static let takenBytesMax = Reply.byteCountMax - 16 << 20

    /// What is left to be done.
    enum Work {
        /// Elements that the command names.
        case named(GatherRest)
        /// The same in ascending order, from the one with this number on.
        case ordered(from: Int)
        /// At most so many elements that the value has; negative for those at its end.
        case counted(Int)
        /// So many elements at the front of a list and at its back are to go.
        case trim(front: Int, back: Int)
    }

    let name: CommandName
    /// What stands in front of the elements, or of the numbers.
    private let head: RequestHead
    /// Bulk strings behind the numbers.
    private let tail: (bytes: KeptArguments, count: Int)
    private var work: Work
    /// What of the named elements has not been looked at: nothing begins before all of it is.
    private var unread: GatherRest?
    /// Of those whose order does not matter.
    private(set) var order: ElementOrder?
    var forecast = GrowthForecast()
    /// What the session at another node, for which this one does it, has learned.
    var news: SessionNews?
    /// Elements of the piece that is under way.
    private var asked = 0
    private var progress = PieceProgress()
    private var answers = PieceAnswers()

    /// A command that names elements.
    init(
        _ name: CommandName, _ named: NamedElements, of request: borrowing Arguments
    ) {
        self.name = name
        head = RequestHead(request, upTo: named.first)
        tail = (KeptArguments(copying: []), 0)
        let rest = GatherRest(
            request.bulks(named.first..<request.count), from: 0, parts: named.count,
            words: named.words, nameWord: name == .zadd ? 1 : 0)
        work = .named(rest)
        progress.wanted = named.count
        guard isWrite else { return }
        unread = rest
        guard name.mayChangeInAnyOrder else { return }
        order = ElementOrder(rest)
        work = .ordered(from: 0)
    }

    /// A command that takes away elements which the value has.
    init(_ name: CommandName, _ work: Work, of request: borrowing Arguments) {
        self.name = name
        self.work = work
        head = RequestHead(request, upTo: 2)
        let behind = name == .ltrim ? 4 : 3
        let count = max(0, request.count - behind)
        tail = (request.bulks(request.count - count..<request.count), count)
    }

    /// It adds elements, about which something can be known before.
    var isAddition: Bool { isWrite && !name.isRemoval }
    var isWrite: Bool { CommandTable.description(of: name).flags.contains(.write) }
    var answerBytes: Int { answers.byteCount }

    var heldBytes: Int {
        if let order { return order.heldBytes }
        guard case .named(let rest) = work else { return tail.bytes.bytes.count }
        return rest.byteCount
    }

    /// Elements have to be looked at before the first piece.
    var isPreparing: Bool { unread != nil || order.map { !$0.isMerged } ?? false }

    /// Nothing is left to be done, or has to be.
    var isDone: Bool {
        if progress.hasEnded { return true }
        switch work {
        case .named(let rest): return rest.parts == 0
        case .ordered(let next): return next == progress.wanted
        case .counted(let left): return left == 0 || answers.byteCount > Self.takenBytesMax
        case .trim(let front, let back): return front + back == 0
        }
    }

    /// Looks at some of the elements that have not been: sorts them.
    ///
    /// - Returns: a request of them, to be checked.
    func takeUnread(_ partsMax: Int) -> [UInt8]? {
        guard let rest = unread else { return nil }
        let (request, parts) = rest.request(head, partsMax: partsMax, bytesMax: Self.bytesMax)
        order?.sort(rest, parts: parts)
        unread?.removeFirst(parts)
        if rest.parts == parts { unread = nil }
        return request
    }

    /// Brings some more of the sorted elements into one order.
    func merge(_ partsMax: Int) -> ArraySlice<UInt32> { order?.merge(partsMax) ?? [] }

    /// The command without elements.
    var headRequest: [UInt8] { Array("*\(head.count)\r\n".utf8) + head.bytes }

    /// The next piece as a request in RESP.
    ///
    /// - Precondition: it is not done, and none is under way.
    func next() -> [UInt8] {
        switch work {
        case .named(var rest):
            let (request, parts) = rest.request(
                head, partsMax: Self.elementsMax, bytesMax: Self.bytesMax)
            rest.removeFirst(parts)
            work = .named(rest)
            asked = parts
            return request
        case .ordered(let next):
            let end = endOfPiece(next)
            asked = end - next
            work = .ordered(from: end)
            return order.map { $0.elements.request(head, at: $0.offsets[next..<end]) } ?? []
        case .counted(let left):
            let number = max(-Self.elementsMax, min(left, Self.elementsMax))
            work = .counted(left - number)
            asked = abs(number)
            return request(number)
        case .trim(let front, let back):
            asked = min(front > 0 ? front : back, Self.elementsMax)
            work = .trim(front: max(0, front - asked), back: front > 0 ? back : back - asked)
            return front > 0 ? request(asked, -1) : request(0, -asked - 1)
        }
    }

    private func endOfPiece(_ start: Int) -> Int {
        guard let order else { return start }
        var (end, bytes) = (start, 0)
        while end < order.offsets.count, end - start < Self.elementsMax, bytes < Self.bytesMax {
            let place = Int(order.offsets[end])
            bytes += order.elements.behindPart(at: place) - place
            end += 1
        }
        return end
    }

    private func request(_ numbers: Int...) -> [UInt8] {
        var request = ByteBuffer(capacity: 128 + head.bytes.count + tail.bytes.bytes.count)
        request.writeArrayHeader(count: head.count + numbers.count + tail.count)
        request.append(head.bytes)
        for number in numbers { request.writeBulk(text: "\(number)") }
        request.append(tail.bytes.bytes)
        return Array(request.bytes)
    }

    /// A piece has answered, in RESP.
    func take(_ reply: [UInt8]) {
        guard reply.first != UInt8(ascii: "-") else { return progress.fail(reply) }
        progress.pieces += 1
        progress.elements += asked
        let count = answers.take(reply, as: telling)
        switch work {
        case .counted: if count < asked * linesOfElement(reply) { progress.hasEnded = true }
        // Nothing is pushed to a list that is not there.
        case .named: if name == .lpushx || name == .rpushx, count == 0 { progress.hasEnded = true }
        case .trim, .ordered: break
        }
    }

    /// The command is refused before any of it is done.
    func refuse(_ reply: [UInt8]) { progress.fail(reply) }

    private var telling: PieceAnswers.Telling {
        switch name {
        case .lpush, .rpush, .lpushx, .rpushx, .hmset, .ltrim: .latest
        case .hmget, .smismember, .zmscore, .spop, .lpop, .rpop, .zpopmin, .zpopmax: .elements
        default: .sum
        }
    }

    /// Elements of a reply that each element of the value has: RESP2 tells a member's score beside
    /// the member.
    private func linesOfElement(_ reply: [UInt8]) -> Int {
        guard name == .zpopmin || name == .zpopmax else { return 1 }
        return reply.starts(with: "*".utf8) && !PieceAnswers.isOfPairs(reply) ? 2 : 1
    }

    /// What the client is told.
    func reply(_ dialect: Dialect) -> Reply {
        guard let failure = progress.failure else { return answers.reply(telling, dialect) }
        guard progress.pieces > 0, isWrite else { return Reply(failure) }
        let isUnknown = failure.starts(with: "-UNKNOWN".utf8)
        // What was taken away is not lost because no more could be.
        if telling == .elements, !isUnknown { return answers.reply(telling, dialect) }
        return Reply(progress.told(failure))
    }

    /// Whether a reply is one that a piece answers.
    ///
    /// - Parameter reply: exactly one, in RESP.
    func takes(_ reply: UnsafeRawBufferPointer) -> Bool {
        switch (telling, reply.first) {
        case (_, UInt8(ascii: "-")): true
        case (.sum, UInt8(ascii: ":")): true
        case (.latest, UInt8(ascii: ":")), (.latest, UInt8(ascii: "+")): true
        case (.elements, UInt8(ascii: "*")) where !isWrite:
            reply.starts(with: "*\(asked)\r\n".utf8)
        case (.elements, UInt8(ascii: "*")), (.elements, UInt8(ascii: "~")),
            (.elements, UInt8(ascii: "_")):
            isWrite
        default: false
        }
    }
}

/// How far the pieces of a command have come.
private struct PieceProgress {
    /// Pieces that are done.
    var pieces = 0
    /// Elements that they named or asked for.
    var elements = 0
    /// Elements that the command names; 0 where it names a number.
    var wanted = 0
    /// No further piece is to be done.
    var hasEnded = false
    /// The answer of the piece that was not done.
    private(set) var failure: [UInt8]?

    mutating func fail(_ reply: [UInt8]) {
        failure = reply
        hasEnded = true
    }

    /// Some of the command was done, and that is not undone.
    func told(_ failure: [UInt8]) -> [UInt8] {
        let reason = String(decoding: failure.dropFirst().dropLast(2), as: UTF8.self)
        let whole = wanted > 0 ? " of \(wanted)" : ""
        var buffer = ByteBuffer(capacity: 256)
        buffer.writeError(
            text:
                "UNKNOWN \(pieces) pieces of the command were done, \(elements)\(whole) elements; "
                + "the next was not: \(reason)")
        return Array(buffer.bytes)
    }
}

/// What the pieces of a command have answered, put together as they come.
private struct PieceAnswers {
    enum Telling {
        /// The sum of integers.
        case sum
        /// What the last one answered.
        case latest
        /// The elements of arrays, one behind the other.
        case elements
    }

    private var sum = 0
    private var latest: [UInt8] = []
    /// An array's or a set's first byte; nil while there was only null.
    private var kind: UInt8?
    private var count = 0
    private var elements = ReplyElements()

    var byteCount: Int { elements.byteCount }

    /// - Returns: the integer, or how many elements there are.
    mutating func take(_ reply: [UInt8], as telling: Telling) -> Int {
        latest = telling == .elements && kind != nil ? [] : reply
        guard let kind = reply.first, let end = reply.firstIndex(of: UInt8(ascii: "\r")) else {
            return 0
        }
        let number = reply.withUnsafeBytes {
            Int64(decimal: UnsafeRawBufferPointer(rebasing: $0[1..<end])).map { Int($0) } ?? 0
        }
        guard telling == .elements else {
            sum &+= number
            return number
        }
        // Null, for a key that is not there.
        guard number >= 0, kind != UInt8(ascii: "_") else { return 0 }
        self.kind = kind
        count += number
        elements.append(.encoded(Array(reply[(end + 2)...])))
        return number
    }

    /// Whether the elements of an array are arrays.
    static func isOfPairs(_ reply: [UInt8]) -> Bool {
        guard let end = reply.firstIndex(of: UInt8(ascii: "\n")) else { return false }
        return reply[(end + 1)...].first == UInt8(ascii: "*")
    }

    func reply(_ telling: Telling, _ dialect: Dialect) -> Reply {
        var buffer = ByteBuffer(capacity: 32)
        switch telling {
        case .sum: buffer.writeInteger(sum)
        case .latest: return Reply(latest)
        case .elements:
            guard !elements.isTooLong else {
                buffer.writeError("ERR the reply would have more than 60 MB; ask for less at once")
                break
            }
            guard let kind else { return Reply(latest) }
            buffer.append(kind)
            buffer.append(decimal: count)
            buffer.append("\r\n")
            return Reply(Array(buffer.bytes), elements, dialect)
        }
        return Reply(Array(buffer.bytes))
    }
}

extension CommandName {
    /// Elements that the command names may be changed in any order, those of one name in the
    /// command's: what it leaves, and what it answers, is the same.
    fileprivate var mayChangeInAnyOrder: Bool {
        switch self {
        case .sadd, .srem, .hset, .hmset, .hdel, .zadd, .zrem: true
        default: false
        }
    }
}

/// Elements of one value that a command names, any number of them, behind its key and options.
struct NamedElements {
    /// Index of the first one's first argument.
    let first: Int
    /// Arguments of each.
    let words: Int
    let count: Int

    /// - Returns: nil for a command that names none, or a fixed number.
    /// - Throws: what is wrong about the command's options or the number of its arguments.
    init?(_ name: CommandName, _ request: borrowing Arguments) throws(CommandError) {
        switch name {
        case .sadd, .srem, .hdel, .zrem, .lpush, .rpush, .lpushx, .rpushx, .hmget, .smismember,
            .zmscore:
            (first, words, count) = (2, 1, request.count - 2)
        case .hset, .hmset: (first, words, count) = (2, 2, try HashPairs(request, name).count)
        case .zadd:
            let options = try SortedSetAddOptions(request)
            (first, words, count) = (options.score(0), 2, options.count)
        default: return nil
        }
    }
}
