import Coding
import RESP

// What another node answered to a forwarded command. Its bytes go to a client as they are, or are
// put together with others; so they are read here first, and anything odd costs that link.
extension UnsafeRawBufferPointer {
    /// Whether these bytes are exactly one reply, in RESP, as commands that are forwarded have
    /// them: more or less of it would shift every later reply of the connection.
    ///
    /// - Parameter dialect: of the client; what RESP2 does not know is none for it.
    func isOneReply(in dialect: Dialect) -> Bool {
        var rest = self[...]
        var missing = 1
        while missing > 0 {
            guard let elements = UnsafeRawBufferPointer.skipReply(&rest, dialect) else {
                return false
            }
            missing += elements - 1
            guard missing <= rest.count + 1 else { return false }
        }
        return rest.isEmpty
    }

    /// Skips a scalar, or the line before elements.
    ///
    /// - Returns: how many elements follow; nil for what is no reply.
    private static func skipReply(
        _ rest: inout Slice<UnsafeRawBufferPointer>, _ dialect: Dialect
    ) -> Int? {
        guard let (kind, line) = takeLine(&rest) else { return nil }
        switch kind {
        case UInt8(ascii: "+"), UInt8(ascii: "-"): return 0
        case UInt8(ascii: ":"): return Int64(decimal: line) == nil ? nil : 0
        case UInt8(ascii: "$"):
            if line.elementsEqual("-1".utf8) { return 0 }
            return takeBulk(&rest, line) == nil ? nil : 0
        case UInt8(ascii: "*"):
            return line.elementsEqual("-1".utf8) ? 0 : count(line, rest.count)
        default: break
        }
        guard dialect == .resp3 else { return nil }
        switch kind {
        case UInt8(ascii: ","): return line.isEmpty ? nil : 0
        case UInt8(ascii: "_"): return line.isEmpty ? 0 : nil
        case UInt8(ascii: "#"):
            return line.elementsEqual("t".utf8) || line.elementsEqual("f".utf8)
                ? 0 : nil
        case UInt8(ascii: "~"): return count(line, rest.count)
        case UInt8(ascii: "%"): return count(line, rest.count).map { $0 * 2 }
        default: return nil
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
