import CRDT
import Coding
import RESP

/// One element of a long reply: a reference to what a value holds, written when it leaves.
enum ReplyElement {
    case bulk(Bytes)
    case score(Double)
    case null
    /// The line before the two elements of a pair.
    case pair
    /// A whole reply in RESP.
    case encoded([UInt8])

    /// Bytes of the written form, at most; of a score about.
    var byteCount: Int {
        switch self {
        case .bulk(let bytes): bytes.count + 16
        case .score: 32
        case .null: 5
        case .pair: 4
        case .encoded(let bytes): bytes.count
        }
    }

    fileprivate func write(into buffer: inout ByteBuffer, _ dialect: Dialect) {
        switch self {
        case .bulk(let bytes): bytes.array.withUnsafeBytes { buffer.writeBulk($0) }
        case .score(let score): buffer.writeDouble(score, dialect)
        case .null: buffer.writeNull(dialect)
        case .pair: buffer.writePairHeader(dialect)
        case .encoded(let bytes): buffer.append(bytes)
        }
    }
}

/// Elements of a value on their way to a client, and which parts of them it is told.
struct ReplyPieces {
    enum Form {
        case elements
        /// What of each field of a hash.
        case fields(names: Bool, values: Bool, areGrouped: Bool)
        /// Members of a sorted set.
        case scores(areTold: Bool)
    }

    private(set) var elements: Elements
    private let form: Form
    private var piece: Elements.Piece?
    /// The element of the piece that is written next.
    private var next = 0

    init(_ elements: Elements, _ form: Form) {
        self.elements = elements
        self.form = form
    }

    /// How many elements have not been written.
    var count: Int { elements.count + (piece?.count ?? next) - next }

    /// Writes elements until the buffer has so many bytes, the longest element more at most.
    ///
    /// - Returns: whether everything has been written.
    mutating func write(
        until end: Int, into buffer: inout ByteBuffer, _ dialect: Dialect
    ) -> Bool {
        while buffer.count < end {
            if piece == nil || next == piece?.count {
                piece = elements.next()
                next = 0
            }
            switch piece {
            case nil: return true
            case .elements(let elements):
                while next < elements.count, buffer.count < end {
                    elements[next].array.withUnsafeBytes { buffer.writeBulk($0) }
                    next += 1
                }
            case .fields(let fields):
                while next < fields.count, buffer.count < end {
                    write(fields[next], into: &buffer, dialect)
                    next += 1
                }
            case .scores(let scores):
                while next < scores.count, buffer.count < end {
                    write(scores[next], into: &buffer, dialect)
                    next += 1
                }
            }
        }
        return elements.count == 0 && next == piece?.count ?? 0
    }

    private func write(
        _ field: (field: Bytes, value: StringValue), into buffer: inout ByteBuffer,
        _ dialect: Dialect
    ) {
        guard case .fields(let names, let values, let areGrouped) = form else { return }
        if areGrouped { buffer.writePairHeader(dialect) }
        if names { field.field.array.withUnsafeBytes { buffer.writeBulk($0) } }
        if values { field.value.text.withUnsafeBytes { buffer.writeBulk($0) } }
    }

    private func write(
        _ score: (member: Bytes, score: Double), into buffer: inout ByteBuffer, _ dialect: Dialect
    ) {
        guard case .scores(let areTold) = form else { return }
        if areTold { buffer.writePairHeader(dialect) }
        score.member.array.withUnsafeBytes { buffer.writeBulk($0) }
        if areTold { buffer.writeDouble(score.score, dialect) }
    }
}

/// The elements of a reply, up to the bytes that one reply may have: some one by one, and behind
/// them those of a value.
///
/// Invariant: `byteCount` is about the sum of the elements' and at most `Reply.byteCountMax`.
struct ReplyElements {
    private(set) var elements: [ReplyElement] = []
    private(set) var pieces: ReplyPieces?
    private(set) var byteCount = 0
    /// There was more than one reply may have, and it was left out.
    private(set) var isTooLong = false

    var isEmpty: Bool { elements.isEmpty && pieces == nil && !isTooLong }

    mutating func append(_ element: ReplyElement) {
        precondition(pieces == nil, "a value's elements are the last")
        if admit(element.byteCount) { elements.append(element) }
    }

    /// - Parameter byteCount: of their written form, about.
    mutating func append(_ pieces: ReplyPieces, byteCount: Int) {
        precondition(self.pieces == nil, "a reply tells the elements of one value")
        if admit(byteCount) { self.pieces = pieces }
    }

    private mutating func admit(_ count: Int) -> Bool {
        guard !isTooLong else { return false }
        byteCount += count
        if byteCount <= Reply.byteCountMax { return true }
        self = ReplyElements()
        isTooLong = true
        return false
    }
}

/// A reply that is known and has not left: its first bytes, and for a long one the elements behind
/// them, which are written piece by piece as the client takes them.
///
/// The elements are references to what the value held when the command ran, so that the reply stays
/// that of one moment whatever is written meanwhile, and no copy of it has to be made before it
/// leaves.
///
/// Invariant: what `write` has written is a prefix of the reply.
struct Reply {
    /// Bytes of one reply at most: it has to fit a frame on its way to another node.
    static let byteCountMax = 60 << 20

    private var head: [UInt8]
    private var elements: [ReplyElement] = []
    private var pieces: ReplyPieces?
    private let dialect: Dialect
    /// Bytes of the head, or of an encoded element, that have been written.
    private var offset = 0
    /// The element to write next; -1 for the head.
    private var next = -1
    /// Of the whole reply; about where scores or the elements of a value are in it.
    private(set) var byteCount: Int
    /// Of what has not been let go of: what it keeps in memory.
    private(set) var heldBytes: Int

    init(_ bytes: [UInt8]) {
        head = bytes
        dialect = .resp2
        byteCount = bytes.count
        heldBytes = byteCount
    }

    init(_ head: [UInt8], _ rest: ReplyElements, _ dialect: Dialect) {
        self.head = head
        elements = rest.elements
        pieces = rest.pieces
        self.dialect = dialect
        byteCount = head.count + rest.byteCount
        heldBytes = byteCount
    }

    var isError: Bool { head.first == UInt8(ascii: "-") }

    /// Puts bytes in front of the reply, of which nothing has been written.
    mutating func begin(with bytes: [UInt8]) {
        precondition(next < 0 && offset == 0, "a reply begins once")
        head.insert(contentsOf: bytes, at: 0)
        byteCount += bytes.count
        heldBytes += bytes.count
    }

    /// Writes about so many bytes of what is left, the longest element more at most.
    ///
    /// - Returns: whether everything has been written.
    mutating func write(upTo budget: Int, into buffer: inout ByteBuffer) -> Bool {
        let end = buffer.count + budget
        if next < 0 {
            guard writeBytes(of: head, until: end, into: &buffer) else { return false }
            heldBytes -= head.count
            head = []
            offset = 0
            next = 0
        }
        while next < elements.count {
            guard buffer.count < end else { return false }
            if case .encoded(let bytes) = elements[next] {
                guard writeBytes(of: bytes, until: end, into: &buffer) else { return false }
                offset = 0
            } else {
                elements[next].write(into: &buffer, dialect)
            }
            // What has left is let go of at once.
            heldBytes -= elements[next].byteCount
            elements[next] = .null
            next += 1
        }
        return writePieces(until: end, into: &buffer)
    }

    private mutating func writePieces(until end: Int, into buffer: inout ByteBuffer) -> Bool {
        let start = buffer.count
        guard pieces?.write(until: end, into: &buffer, dialect) == false else {
            pieces = nil
            heldBytes = 0
            return true
        }
        heldBytes = max(0, heldBytes - (buffer.count - start))
        return false
    }

    private mutating func writeBytes(
        of bytes: [UInt8], until end: Int, into buffer: inout ByteBuffer
    ) -> Bool {
        let count = max(0, min(bytes.count - offset, end - buffer.count))
        bytes.withUnsafeBytes {
            buffer.append(UnsafeRawBufferPointer(rebasing: $0[offset..<offset + count]))
        }
        offset += count
        return offset == bytes.count
    }

    /// Appends all of it.
    func writeAll(into buffer: inout ByteBuffer) {
        var copy = self
        _ = copy.write(upTo: .max / 2, into: &buffer)
    }
}
