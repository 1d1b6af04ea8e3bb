import Glibc

extension RequestParser {
    /// A line of words, as a person types it into a raw connection.
    func inline(
        _ request: Window, _ progress: inout ParseProgress, into arguments: inout Arguments
    ) -> Front {
        let window = min(request.count, limits.inlineBytesMax + 2)
        let seen = min(progress.offset, window)
        guard let found = memchr(request.base + seen, 10, window - seen) else {
            guard request.count < limits.inlineBytesMax + 2 else { return .failed(.tooBigInline) }
            progress.pause(at: request.count, 0, bytesNeeded: request.count + 1)
            return .part
        }
        let length = UnsafeRawPointer(found) - UnsafeRawPointer(request.base)
        let bare = length > 0 && request[length - 1] == 13 ? length - 1 : length
        guard bare <= limits.inlineBytesMax else { return .failed(.tooBigInline) }
        guard arguments.unquote(UnsafeRawBufferPointer(start: request.base, count: bare)) else {
            return .failed(.unbalancedQuotes)
        }
        guard arguments.count > 0 else { return .nothing(length + 1) }
        guard !arguments.isHTTP else { return .failed(.foreignProtocol) }
        return .request(length + 1)
    }
}

extension Arguments {
    /// Splits a line into words. Quotes may open anywhere in a word, and only blanks may follow
    /// where they close.
    ///
    /// Source: Redis `sds.c`, `sdssplitargs`.
    ///
    /// - Returns: false when quotes do not balance.
    fileprivate mutating func unquote(_ line: UnsafeRawBufferPointer) -> Bool {
        beginUnquoted(lineBytes: max(line.count, 1))
        var position = 0
        while true {
            while position < line.count, isBlank(line[position]) { position += 1 }
            guard position < line.count else { return true }
            let start = unquotedBytes
            while position < line.count, !isBlank(line[position]) {
                let byte = line[position]
                position += 1
                if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'") {
                    guard unquote(line, &position, until: byte) else { return false }
                    break
                }
                appendUnquoted(byte)
            }
            store(count, offset: start, count: unquotedBytes - start)
            end(count: count + 1)
        }
    }

    /// Takes a quoted run from behind its opening quote to behind its closing one, with which the
    /// word ends.
    private mutating func unquote(
        _ line: UnsafeRawBufferPointer, _ position: inout Int, until quote: UInt8
    ) -> Bool {
        while position < line.count {
            let byte = line[position]
            position += 1
            if byte == quote { return position == line.count || isBlank(line[position]) }
            guard byte == UInt8(ascii: "\\"), position < line.count else {
                appendUnquoted(byte)
                continue
            }
            if quote == UInt8(ascii: "'") {
                appendUnquoted(line[position] == quote ? quote : byte)
                if line[position] == quote { position += 1 }
            } else {
                appendUnquoted(escaped(line, &position))
            }
        }
        return false
    }

    /// HTTP request lines, and the header that follows one that was let through.
    ///
    /// Redis refuses only `POST` and `Host:`; a request line that says HTTP is refused too, because
    /// with trailing options `GET / HTTP/1.1` would be taken for a read.
    fileprivate var isHTTP: Bool {
        let name = self[0]
        if matches(0, "POST") { return true }
        if name.count == 5, name[4] == UInt8(ascii: ":") {
            let host: StaticString = "host"
            return (0..<4).allSatisfy { name[$0] | 0x20 == host.utf8Start[$0] }
        }
        guard count == 3, self[2].count >= 5 else { return false }
        let marker: StaticString = "HTTP/"
        return (0..<5).allSatisfy { self[2][$0] == marker.utf8Start[$0] }
    }
}

/// The byte that an escape within double quotes stands for; moves `position`, which is behind the
/// backslash.
private func escaped(_ line: UnsafeRawBufferPointer, _ position: inout Int) -> UInt8 {
    let byte = line[position]
    if byte == UInt8(ascii: "x"), position + 2 < line.count,
        let high = hexDigit(line[position + 1]), let low = hexDigit(line[position + 2])
    {
        position += 3
        return high << 4 | low
    }
    position += 1
    switch byte {
    case UInt8(ascii: "n"): return 10
    case UInt8(ascii: "r"): return 13
    case UInt8(ascii: "t"): return 9
    case UInt8(ascii: "b"): return 8
    case UInt8(ascii: "a"): return 7
    default: return byte
    }
}

private func hexDigit(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - 48
    case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - 87
    case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - 55
    default: nil
    }
}

/// White space as C has it, and NUL, with which a line ends in Redis.
private func isBlank(_ byte: UInt8) -> Bool {
    byte == 32 || byte == 0 || (byte >= 9 && byte <= 13)
}
