import Coding

/// Which protocol a connection speaks: RESP2 until `HELLO 3`.
public enum Dialect: UInt8, Sendable {
    case resp2 = 2
    case resp3 = 3
}

// Replies that both dialects spell alike.
extension ByteBuffer {
    /// `+OK` and its like.
    ///
    /// - Parameter text: without CR or LF.
    @inlinable public mutating func writeSimple(_ text: StaticString) {
        append(UInt8(ascii: "+"))
        append(text)
        append("\r\n")
    }

    /// `+OK`.
    @inlinable public mutating func writeOK() { append("+OK\r\n") }

    /// `:` and decimal digits.
    public mutating func writeInteger(_ value: Int) {
        append(UInt8(ascii: ":"))
        append(decimal: value)
        append("\r\n")
    }

    /// A binary-safe string.
    public mutating func writeBulk(_ bytes: UnsafeRawBufferPointer) {
        // One reservation: the header takes a mark, at most 19 digits and CR LF.
        _ = reserve(bytes.count + 24)
        writeBulkHeader(count: bytes.count)
        append(bytes)
        appendLineEnd()
    }

    /// CR LF.
    @inline(__always)
    private mutating func appendLineEnd() { append(integer: UInt16(0x0A0D)) }

    /// A string of our own.
    public mutating func writeBulk(_ text: StaticString) {
        writeBulk(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    /// A string from below the hot path.
    public mutating func writeBulk(text: String) {
        var text = text
        text.withUTF8 { writeBulk(UnsafeRawBufferPointer($0)) }
    }

    /// The line before a bulk string's bytes, which the caller appends together with CR LF.
    ///
    /// - Parameter count: bytes that follow, without the CR LF.
    public mutating func writeBulkHeader(count: Int) { writeLength(UInt8(ascii: "$"), count) }

    /// The line before an array's elements.
    public mutating func writeArrayHeader(count: Int) { writeLength(UInt8(ascii: "*"), count) }

    /// A type's first byte, a count and CR LF.
    mutating func writeLength(_ type: UInt8, _ count: Int) {
        append(type)
        append(decimal: count)
        appendLineEnd()
    }
}

// Errors: text of ours, and in between bytes of a client, which must not end the line.
extension ByteBuffer {
    /// An error line of our own.
    ///
    /// - Parameter text: the code in capitals, a blank, the message; without CR or LF.
    public mutating func writeError(_ text: StaticString) {
        append(UInt8(ascii: "-"))
        append(text)
        append("\r\n")
    }

    /// An error line around bytes that a client sent.
    public mutating func writeError(
        _ before: StaticString, quoting bytes: UnsafeRawBufferPointer, _ after: StaticString
    ) {
        append(UInt8(ascii: "-"))
        append(before)
        appendPrintable(bytes, max: 128)
        append(after)
        append("\r\n")
    }

    /// An error line from below the hot path; CR and LF become blanks.
    ///
    /// - Parameter text: the code in capitals, a blank, the message.
    public mutating func writeError(text: String) {
        append(UInt8(ascii: "-"))
        for byte in text.utf8 { append(byte == 13 || byte == 10 ? 32 : byte) }
        append("\r\n")
    }

    /// Bytes of a client for an error line: control characters become blanks.
    ///
    /// - Parameter max: bytes to show at most.
    mutating func appendPrintable(_ bytes: UnsafeRawBufferPointer, max: Int) {
        for byte in bytes.prefix(max) { append(printable(byte)) }
    }
}

/// The byte, or a blank for what would end or garble a line.
func printable(_ byte: UInt8) -> UInt8 { byte < 32 || byte == 127 ? 32 : byte }

// Replies that the dialects spell differently; RESP2 gets the nearest type that it has, as Redis
// does it.
extension ByteBuffer {
    /// The absent value where a string was asked for.
    @inlinable public mutating func writeNull(_ dialect: Dialect) {
        append(dialect == .resp3 ? "_\r\n" : "$-1\r\n")
    }

    /// The absent value where an array was asked for.
    @inlinable public mutating func writeNullArray(_ dialect: Dialect) {
        append(dialect == .resp3 ? "_\r\n" : "*-1\r\n")
    }

    /// The line before a map's keys and values, which alternate; a flat array in RESP2.
    ///
    /// - Parameter pairs: keys that follow, each with its value.
    public mutating func writeMapHeader(pairs: Int, _ dialect: Dialect) {
        switch dialect {
        case .resp2: writeArrayHeader(count: pairs * 2)
        case .resp3: writeLength(UInt8(ascii: "%"), pairs)
        }
    }

    /// The line before a set's elements; an array in RESP2.
    public mutating func writeSetHeader(count: Int, _ dialect: Dialect) {
        writeLength(dialect == .resp3 ? UInt8(ascii: "~") : UInt8(ascii: "*"), count)
    }

    /// The line before pairs that have an order, such as members with their scores; each begins
    /// with `writePairHeader`. A flat array in RESP2.
    public mutating func writePairsHeader(count: Int, _ dialect: Dialect) {
        writeArrayHeader(count: dialect == .resp3 ? count : count * 2)
    }

    /// The line before the two elements of one of several pairs; nothing in RESP2.
    public mutating func writePairHeader(_ dialect: Dialect) {
        if dialect == .resp3 { append("*2\r\n") }
    }

    /// The line before a message that answers no request; an array in RESP2.
    public mutating func writePushHeader(count: Int, _ dialect: Dialect) {
        writeLength(dialect == .resp3 ? UInt8(ascii: ">") : UInt8(ascii: "*"), count)
    }

    /// The line before facts about the reply that follows them, such as a receipt; RESP3 only.
    ///
    /// - Parameter pairs: keys that follow, each with its value, before the reply itself.
    public mutating func writeAttributeHeader(pairs: Int) { writeLength(UInt8(ascii: "|"), pairs) }

    /// A truth value; 1 or 0 in RESP2.
    public mutating func writeBoolean(_ value: Bool, _ dialect: Dialect) {
        switch dialect {
        case .resp2: append(value ? ":1\r\n" : ":0\r\n")
        case .resp3: append(value ? "#t\r\n" : "#f\r\n")
        }
    }

    /// A floating-point number, shortest form that reads back the same; a bulk string in RESP2.
    public mutating func writeDouble(_ value: Double, _ dialect: Dialect) {
        var text = ByteBuffer(capacity: 32)
        if value.isFinite, value != 0 {
            ScoreText.write(value, into: &text)
        } else if value == 0 {
            text.append(value.sign == .minus ? "-0" : "0")
        } else {
            text.append(value.isNaN ? "nan" : value < 0 ? "-inf" : "inf")
        }
        writeDouble(text: text.bytes, dialect)
    }

    /// A number that is text already, such as an exact decimal; a bulk string in RESP2.
    ///
    /// - Parameter text: what RESP3 takes for a double.
    public mutating func writeDouble(text: UnsafeRawBufferPointer, _ dialect: Dialect) {
        guard dialect == .resp3 else { return writeBulk(text) }
        append(UInt8(ascii: ","))
        append(text)
        append("\r\n")
    }

    /// Text for people; a bulk string in RESP2.
    ///
    /// - Parameter format: three letters, `txt` or `mkd`.
    public mutating func writeVerbatim(
        _ bytes: UnsafeRawBufferPointer, format: StaticString = "txt", _ dialect: Dialect
    ) {
        precondition(format.utf8CodeUnitCount == 3, "a verbatim string's format has three letters")
        guard dialect == .resp3 else { return writeBulk(bytes) }
        writeLength(UInt8(ascii: "="), bytes.count + 4)
        append(format)
        append(UInt8(ascii: ":"))
        append(bytes)
        append("\r\n")
    }
}
