import Coding
import RESP

// What another node answered to a forwarded command. Its bytes go to a client as they are, or are
// put together with others; so they are read here first, and anything odd costs that link.
extension UnsafeRawBufferPointer {
    /// Whether these bytes are exactly one reply, in RESP, as commands that are forwarded have
    /// them: more or less of it would shift every later reply of the connection.
    ///
    /// - Parameters:
    ///   - dialect: of the client; what RESP2 does not know is none for it.
    ///   - shape: what the command answers. A client that is told of another kind cannot read it.
    func isOneReply(in dialect: Dialect, of shape: ReplyShape = .any) -> Bool {
        var rest = self[...]
        var missing = 1
        var kinds = shape.kinds
        while missing > 0 {
            guard let part = UnsafeRawBufferPointer.skipReply(&rest, dialect),
                !part.kinds.isDisjoint(with: kinds)
            else { return false }
            missing += part.elements - 1
            guard missing <= rest.count + 1 else { return false }
            kinds = shape.elements
        }
        return rest.isEmpty
    }

    /// Skips a scalar, or the line before elements.
    ///
    /// - Returns: the kinds that it may be, and how many elements follow; nil for what is no reply.
    private static func skipReply(
        _ rest: inout Slice<UnsafeRawBufferPointer>, _ dialect: Dialect
    ) -> (kinds: ReplyKinds, elements: Int)? {
        guard let (kind, line) = takeLine(&rest) else { return nil }
        let isNull = line.elementsEqual("-1".utf8)
        switch kind {
        case UInt8(ascii: "+"): return (.simple, 0)
        case UInt8(ascii: "-"): return (.error, 0)
        case UInt8(ascii: ":"): return Int64(decimal: line).map { _ in (.integer, 0) }
        case UInt8(ascii: "$"):
            if isNull { return (.null, 0) }
            let kinds: ReplyKinds = dialect == .resp2 ? [.bulk, .double] : .bulk
            return takeBulk(&rest, line).map { _ in (kinds, 0) }
        case UInt8(ascii: "*"):
            if isNull { return (.nullArray, 0) }
            guard let count = count(line, rest.count) else { return nil }
            guard dialect == .resp2 else { return (.array, count) }
            return (count % 2 == 0 ? [.array, .set, .map] : [.array, .set], count)
        default: return dialect == .resp3 ? skipNewer(kind, line, rest.count) : nil
        }
    }

    /// What only RESP3 knows.
    private static func skipNewer(
        _ kind: UInt8, _ line: UnsafeRawBufferPointer, _ bytesLeft: Int
    ) -> (kinds: ReplyKinds, elements: Int)? {
        switch kind {
        case UInt8(ascii: ","): line.isEmpty ? nil : (.double, 0)
        case UInt8(ascii: "_"): line.isEmpty ? ([.null, .nullArray], 0) : nil
        case UInt8(ascii: "#"):
            line.elementsEqual("t".utf8) || line.elementsEqual("f".utf8) ? (.boolean, 0) : nil
        case UInt8(ascii: "~"): count(line, bytesLeft).map { (.set, $0) }
        case UInt8(ascii: "%"): count(line, bytesLeft).map { (.map, $0 * 2) }
        default: nil
        }
    }

    /// The kind of a reply, and what stands behind it up to the line's end.
    private static func takeLine(
        _ rest: inout Slice<UnsafeRawBufferPointer>
    ) -> (kind: UInt8, line: UnsafeRawBufferPointer)? {
        guard let end = rest.firstIndex(of: UInt8(ascii: "\r")), end > rest.startIndex,
            end + 1 < rest.endIndex, rest[end + 1] == UInt8(ascii: "\n")
        else { return nil }
        let kind = rest[rest.startIndex]
        let line = UnsafeRawBufferPointer(rebasing: rest[(rest.startIndex + 1)..<end])
        guard !line.contains(UInt8(ascii: "\n")) else { return nil }
        rest = rest[(end + 2)...]
        return (kind, line)
    }

    /// A number of elements of which at least this many bytes are left.
    private static func count(_ line: UnsafeRawBufferPointer, _ bytesLeft: Int) -> Int? {
        guard let count = Int64(decimal: line), 0...Int64(bytesLeft) ~= count else { return nil }
        return Int(count)
    }

    /// The bytes of a bulk string whose length was read.
    private static func takeBulk(
        _ rest: inout Slice<UnsafeRawBufferPointer>, _ line: UnsafeRawBufferPointer
    ) -> UnsafeRawBufferPointer? {
        guard let length = Int64(decimal: line), length >= 0, length <= Int64(rest.count) - 2
        else { return nil }
        let end = rest.startIndex + Int(length)
        guard rest[end] == UInt8(ascii: "\r"), rest[end + 1] == UInt8(ascii: "\n") else {
            return nil
        }
        defer { rest = rest[(end + 2)...] }
        return UnsafeRawBufferPointer(rebasing: rest[rest.startIndex..<end])
    }

    /// What a request, in RESP, asks another node for is answered with; an error alone where no
    /// node asks for it.
    var answer: ReplyShape {
        var rest = self[...]
        guard UnsafeRawBufferPointer.takeLine(&rest) != nil,
            let word = UnsafeRawBufferPointer.takeWord(&rest)
        else { return CommandTable.answer(of: .ping) }
        var name = CommandName(word)
        if name == .exec { return .transaction }
        if name == .idempotency {
            // Its request id, and the command.
            _ = UnsafeRawBufferPointer.takeWord(&rest)
            name = UnsafeRawBufferPointer.takeWord(&rest).flatMap { CommandName($0) }
        }
        return CommandTable.answer(of: name ?? .ping)
    }

    private static func takeWord(
        _ rest: inout Slice<UnsafeRawBufferPointer>
    ) -> UnsafeRawBufferPointer? {
        guard let (_, line) = takeLine(&rest) else { return nil }
        return takeBulk(&rest, line)
    }

    /// The elements of an array or a set of bulk strings, ascending; nil for anything else.
    fileprivate var ascendingBulks: [[UInt8]]? {
        var rest = self[...]
        guard let (kind, line) = UnsafeRawBufferPointer.takeLine(&rest),
            kind == UInt8(ascii: "*") || kind == UInt8(ascii: "~"),
            let count = UnsafeRawBufferPointer.count(line, rest.count)
        else { return nil }
        var bulks: [[UInt8]] = []
        for _ in 0..<count {
            guard let (kind, line) = UnsafeRawBufferPointer.takeLine(&rest),
                kind == UInt8(ascii: "$"),
                let bulk = UnsafeRawBufferPointer.takeBulk(&rest, line)
            else { return nil }
            let next = Array(bulk)
            if let last = bulks.last, !last.lexicographicallyPrecedes(next) { return nil }
            bulks.append(next)
        }
        return rest.isEmpty ? bulks : nil
    }
}

extension GatherOperation.Combination {
    /// Whether a part's reply is one that this can put together: an error, or what the part's
    /// command answers.
    ///
    /// - Parameter reply: exactly one, in RESP.
    func takes(_ reply: UnsafeRawBufferPointer) -> Bool {
        guard reply.first != UInt8(ascii: "-") else { return true }
        switch self {
        case .array:
            return reply.first == UInt8(ascii: "$") || reply.first == UInt8(ascii: "_")
        // Its commands run on this node.
        case .transaction: return true
        // As its operation says.
        case .pieces: return false
        // Of one key: how many of it there are.
        case .sum: return reply.elementsEqual(":0\r\n".utf8) || reply.elementsEqual(":1\r\n".utf8)
        case .allOK: return reply.elementsEqual("+OK\r\n".utf8)
        case .union, .intersection, .difference, .intersectionCount:
            return reply.ascendingBulks != nil
        }
    }
}

extension GatherOperation {
    /// Whether a part's reply is one that its command answers.
    ///
    /// - Parameter reply: exactly one, in RESP.
    func takes(_ reply: UnsafeRawBufferPointer) -> Bool {
        pieces?.takes(reply) ?? combination.takes(reply)
    }
}
