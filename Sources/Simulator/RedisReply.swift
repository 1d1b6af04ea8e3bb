/// An answer in RESP2, as a client reads it.
enum RedisReply {
    case simple(String)
    case error(String)
    case integer(Int)
    case bulk([UInt8])
    case null
    case array([RedisReply])

    /// Reads one answer off the front.
    ///
    /// - Parameter position: moves behind it; stays when more bytes must come first.
    /// - Returns: nil when the answer is not whole yet.
    /// - Throws: `MalformedReply` for anything but RESP2.
    static func next(
        in bytes: [UInt8], _ position: inout Int
    ) throws(MalformedReply) -> RedisReply? {
        var cursor = position
        guard let reply = try read(bytes, &cursor) else { return nil }
        position = cursor
        return reply
    }

    private static func read(
        _ bytes: [UInt8], _ cursor: inout Int
    ) throws(MalformedReply) -> RedisReply? {
        guard cursor < bytes.count,
            let end = bytes[cursor...].firstIndex(of: UInt8(ascii: "\r")), end + 1 < bytes.count
        else { return nil }
        let line = String(decoding: bytes[(cursor + 1)..<end], as: UTF8.self)
        let kind = bytes[cursor]
        cursor = end + 2
        switch kind {
        case UInt8(ascii: "+"): return .simple(line)
        case UInt8(ascii: "-"): return .error(line)
        case UInt8(ascii: ":"):
            guard let value = Int(line) else { throw MalformedReply() }
            return .integer(value)
        case UInt8(ascii: "$"):
            guard let count = Int(line) else { throw MalformedReply() }
            if count < 0 { return .null }
            guard cursor + count + 2 <= bytes.count else { return nil }
            defer { cursor += count + 2 }
            return .bulk(Array(bytes[cursor..<cursor + count]))
        case UInt8(ascii: "*"):
            guard let count = Int(line) else { throw MalformedReply() }
            if count < 0 { return .null }
            var elements: [RedisReply] = []
            for _ in 0..<count {
                guard let element = try read(bytes, &cursor) else { return nil }
                elements.append(element)
            }
            return .array(elements)
        default: throw MalformedReply()
        }
    }

    /// The error's text, if it is one.
    var failure: String? {
        if case .error(let text) = self { return text }
        return nil
    }
}

/// A node answered with bytes that are not RESP.
struct MalformedReply: Error {}
