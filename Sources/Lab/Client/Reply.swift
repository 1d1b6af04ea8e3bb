/// One answer of a server in the Redis protocol, version 2.
public enum Reply: Equatable, Sendable {
    case simple(String)
    /// The whole line behind the `-`, its code first.
    case error(String)
    case integer(Int)
    /// A bulk string, or nil for the null one.
    case bulk([UInt8]?)
    case array([Reply])

    /// The text of a simple or bulk string, or nil.
    public var text: String? {
        switch self {
        case .simple(let text): text
        case .bulk(let bytes): bytes.map { String(decoding: $0, as: UTF8.self) }
        case .error, .integer, .array: nil
        }
    }

    /// The answer as a machine reads it.
    public var json: JSON {
        switch self {
        case .simple(let text): .text(text)
        case .error(let text): ["error": .text(text)]
        case .integer(let value): .integer(value)
        case .bulk: text.map(JSON.text) ?? .null
        case .array(let items): .list(items.map(\.json))
        }
    }
}

/// Reads answers out of a stream that arrives in pieces.
///
/// Limits: a line of 64 KiB, a bulk string of 64 MiB, an array of one million items, nesting of 8;
/// beyond them the server is taken for something that does not speak the protocol.
public struct ReplyReader {
    /// What came was no answer in the protocol.
    public struct ProtocolError: Error, Equatable, Sendable {
        public let problem: String
    }

    private static let lineMax = 64 << 10
    private static let bulkMax = 64 << 20
    private static let itemsMax = 1_000_000
    private static let depthMax = 8

    private var bytes: [UInt8] = []
    private var start = 0

    public init() {}

    /// Adds what was received.
    public mutating func append(_ received: UnsafeRawBufferPointer) {
        if start > 0, start == bytes.count {
            bytes.removeAll(keepingCapacity: true)
            start = 0
        } else if start > 1 << 16 {
            bytes.removeFirst(start)
            start = 0
        }
        bytes.append(contentsOf: received)
    }

    /// The next whole answer, or nil until more has arrived.
    ///
    /// - Throws: when the bytes cannot be an answer; the connection is then of no use.
    public mutating func next() throws(ProtocolError) -> Reply? {
        var position = start
        guard let reply = try reply(at: &position, depth: 0) else { return nil }
        start = position
        return reply
    }

    private func reply(at position: inout Int, depth: Int) throws(ProtocolError) -> Reply? {
        guard let line = try line(at: &position), let kind = line.first else { return nil }
        let rest = line.dropFirst()
        switch kind {
        case UInt8(ascii: "+"): return .simple(String(decoding: rest, as: UTF8.self))
        case UInt8(ascii: "-"): return .error(String(decoding: rest, as: UTF8.self))
        case UInt8(ascii: ":"): return .integer(try number(rest))
        case UInt8(ascii: "$"): return try bulk(number(rest), at: &position)
        case UInt8(ascii: "*"): return try array(number(rest), at: &position, depth: depth)
        default: throw ProtocolError(problem: "an answer starts with byte \(kind)")
        }
    }

    private func bulk(_ count: Int, at position: inout Int) throws(ProtocolError) -> Reply? {
        guard count >= 0 else { return .bulk(nil) }
        guard count <= ReplyReader.bulkMax else {
            throw ProtocolError(problem: "a bulk string is too long")
        }
        let end = position + count
        guard end + 2 <= bytes.count else { return nil }
        guard bytes[end] == 13, bytes[end + 1] == 10 else {
            throw ProtocolError(problem: "a bulk string does not end where it says")
        }
        let content = Array(bytes[position..<end])
        position = end + 2
        return .bulk(content)
    }

    private func array(
        _ count: Int, at position: inout Int, depth: Int
    ) throws(ProtocolError) -> Reply? {
        guard count >= 0 else { return .bulk(nil) }
        guard count <= ReplyReader.itemsMax, depth < ReplyReader.depthMax else {
            throw ProtocolError(problem: "an array is too large or too deep")
        }
        var items: [Reply] = []
        for _ in 0..<count {
            guard let item = try reply(at: &position, depth: depth + 1) else { return nil }
            items.append(item)
        }
        return .array(items)
    }

    private func number(_ digits: ArraySlice<UInt8>) throws(ProtocolError) -> Int {
        guard let value = Int(String(decoding: digits, as: UTF8.self)) else {
            throw ProtocolError(problem: "a length or an integer is no number")
        }
        return value
    }

    private func line(at position: inout Int) throws(ProtocolError) -> ArraySlice<UInt8>? {
        guard let end = bytes[position...].firstIndex(of: 13) else {
            guard bytes.count - position <= ReplyReader.lineMax else {
                throw ProtocolError(problem: "a line is too long")
            }
            return nil
        }
        guard end + 1 < bytes.count else { return nil }
        guard bytes[end + 1] == 10, end > position else {
            throw ProtocolError(problem: "a broken line")
        }
        defer { position = end + 2 }
        return bytes[position..<end]
    }
}
