/// What `RequestParser.parse` found at the front of a stream.
public enum ParseOutcome: Equatable, Sendable {
    /// The arguments are one request, and `Arguments.consumed` bytes lie behind it.
    case complete
    /// More bytes must come first.
    case incomplete
    /// The stream cannot be followed: answer with the error and close.
    case failed(ProtocolError)
}

/// How far an incomplete request has been looked at; one small value a connection, however long the
/// request.
public struct ParseProgress: Equatable, Sendable {
    /// Bytes of the request that need not be looked at again.
    var offset = 0
    /// Arguments from `offset` on.
    var remaining = 0
    /// Bytes of the request without which looking again finds nothing new.
    ///
    /// It may rest on a length that a client merely announced: never allocate by it.
    public internal(set) var bytesNeeded = 0

    public init() {}

    init(offset: Int, remaining: Int, bytesNeeded: Int) {
        self.offset = offset
        self.remaining = remaining
        self.bytesNeeded = bytesNeeded
    }
}

/// Finds requests at the front of a byte stream: the server's half of the Redis protocol.
///
/// It understands arrays of bulk strings, which every client library sends, and inline commands,
/// which people type. It copies nothing but inline commands, allocates nothing that a client merely
/// announces, and decides nothing: a command's name is resolved by `CommandName`, options by
/// `SetOptions` and its like, answers are written by the `write…` methods that this module gives
/// `ByteBuffer`.
///
/// A request that arrives in pieces costs O(its bytes + its arguments) in total. Arguments already
/// seen are not kept between calls; `ParseProgress` remembers where to go on, and when the last
/// byte has arrived the lengths, which are known to be right by then, are walked once more to fill
/// in `Arguments`.
///
/// Stricter than Redis in three places: lines end with CR LF and nothing else, bulk strings are
/// followed by CR LF, and a length's wrong digit is an error at once rather than at the end of its
/// line.
///
/// Invariant: `ParseProgress.offset < bytesNeeded` for every incomplete request.
///
/// Reading order: `Arguments`, this, `InlineRequest`, `CommandName`, `CommandTable`, the options,
/// `ReplyWriter`.
///
/// Source: Redis serialization protocol specification (RESP2, RESP3), "Sending commands to a Redis
/// server"; Redis `networking.c`, `processMultibulkBuffer`, for limits and wording.
public struct RequestParser: Sendable {
    public let limits: RequestLimits

    public init(limits: RequestLimits = RequestLimits()) { self.limits = limits }

    /// Looks for one request at the front of the bytes; empty lines and empty arrays before it are
    /// skipped.
    ///
    /// The caller drops `arguments.consumed` bytes after every call, also after an incomplete one,
    /// and offers the rest again with more behind it.
    ///
    /// - Complexity: amortized O(1) per byte and argument of the stream.
    public func parse(
        _ bytes: UnsafeRawBufferPointer, _ progress: inout ParseProgress,
        into arguments: inout Arguments
    ) -> ParseOutcome {
        arguments.consumed = 0
        guard let base = bytes.baseAddress, bytes.count >= progress.bytesNeeded else {
            return .incomplete
        }
        var front = 0
        while front < bytes.count {
            let start = (base + front).assumingMemoryBound(to: UInt8.self)
            let window = Window(base: start, count: bytes.count &- front)
            let found = window[0] == UInt8(ascii: "*")
                ? array(window, &progress, into: &arguments)
                : inline(window, &progress, into: &arguments)
            switch found {
            case .request(let length):
                progress = ParseProgress()
                arguments.consumed = front &+ length
                return .complete
            case .nothing(let length):
                progress = ParseProgress()
                front &+= length
                arguments.consumed = front
            case .part: return .incomplete
            case .failed(let error): return .failed(error)
            }
        }
        return .incomplete
    }

    /// What stands at the front of a stream.
    enum Front {
        /// A request of so many bytes.
        case request(Int)
        /// An empty line or array of so many bytes.
        case nothing(Int)
        /// Part of a request; the progress says how far it was followed.
        case part
        case failed(ProtocolError)
    }
}

// The hot path: every byte is looked at behind a comparison with the window's end, and sums stay
// below the limits, so neither is checked again.
extension RequestParser {
    @inline(__always)
    private func array(
        _ bytes: Window, _ progress: inout ParseProgress, into arguments: inout Arguments
    ) -> Front {
        if progress.offset > 0 {
            let resumed = resume(bytes, &progress, into: &arguments)
            guard case .request = resumed else { return resumed }
        }
        var offset = 1
        switch lengthLine(bytes, &offset) {
        case .incomplete:
            progress.bytesNeeded = bytes.count &+ 1
            return .part
        case .invalid: return .failed(.invalidMultibulkLength)
        case .length(let count):
            guard count > 0 else { return .nothing(offset) }
            guard count <= limits.argumentsMax else { return .failed(.invalidMultibulkLength) }
            return bulks(bytes, from: offset, count, &progress, into: &arguments)
        }
    }

    /// Goes on in the middle, only to see whether the request is complete.
    @inline(never)
    private func resume(
        _ bytes: Window, _ progress: inout ParseProgress, into arguments: inout Arguments
    ) -> Front {
        bulks(bytes, from: progress.offset, progress.remaining, &progress, into: &arguments)
    }

    /// Walks bulk strings, noting each.
    @inline(__always)
    private func bulks(
        _ bytes: Window, from start: Int, _ count: Int, _ progress: inout ParseProgress,
        into arguments: inout Arguments
    ) -> Front {
        arguments.begin(at: UnsafeRawPointer(bytes.base))
        let end = min(bytes.count, limits.requestBytesMax)
        var place = start
        var index = 0
        while index < count {
            guard place < bytes.count else {
                progress.pause(at: place, count &- index, bytesNeeded: place &+ 1)
                return .part
            }
            guard bytes[place] == UInt8(ascii: "$") else {
                return .failed(.expectedBulk(got: bytes[place]))
            }
            var offset = place &+ 1
            switch lengthLine(bytes, &offset) {
            case .incomplete:
                progress.pause(at: place, count &- index, bytesNeeded: bytes.count &+ 1)
                return .part
            case .invalid: return .failed(.invalidBulkLength)
            case .length(let length):
                guard UInt(bitPattern: length) <= UInt(bitPattern: limits.bulkBytesMax) else {
                    return .failed(.invalidBulkLength)
                }
                let terminator = offset &+ length
                guard terminator &+ 2 <= end else {
                    guard terminator &+ 2 <= limits.requestBytesMax else {
                        return .failed(.tooBigRequest)
                    }
                    progress.pause(at: place, count &- index, bytesNeeded: terminator &+ 2)
                    return .part
                }
                guard bytes.endsLine(at: terminator) else { return .failed(.unterminatedBulk) }
                arguments.store(index, offset: offset, count: length)
                place = terminator &+ 2
                index &+= 1
            }
        }
        arguments.count = count
        return .request(place)
    }
}

extension ParseProgress {
    fileprivate mutating func pause(at place: Int, _ remaining: Int, bytesNeeded: Int) {
        self = ParseProgress(offset: place, remaining: remaining, bytesNeeded: bytesNeeded)
    }
}

/// Bytes that are there; debug builds check each look at them.
struct Window {
    let base: UnsafePointer<UInt8>
    let count: Int


    @inline(__always)
    subscript(index: Int) -> UInt8 {
        assert(index >= 0 && index < count, "looks stay inside")
        return base[index]
    }

    /// Whether CR LF stands there; both bytes exist.
    @inline(__always)
    func endsLine(at index: Int) -> Bool {
        assert(index >= 0 && index + 2 <= count, "looks stay inside")
        let pair = UnsafeRawPointer(base + index).loadUnaligned(as: UInt16.self)
        return UInt16(littleEndian: pair) == 0x0A0D
    }
}

/// A line that carries a length.
private enum LengthLine {
    case length(Int)
    case incomplete
    case invalid
}

/// Decimal digits a length may have: enough for any limit, too few to overflow.
private let lengthDigitsMax = 18

/// Reads a length and its CR LF from just behind the line's first byte; moves `offset` behind the
/// line.
@inline(__always)
private func lengthLine(_ bytes: Window, _ offset: inout Int) -> LengthLine {
    let start = offset
    // One to three digits are nearly all there are; anything else takes the long way.
    if start &+ 5 <= bytes.count {
        let first = Int(bytes[start]) &- 48
        guard UInt(bitPattern: first) <= 9 else { return anyLengthLine(bytes, &offset) }
        if bytes.endsLine(at: start &+ 1) {
            offset = start &+ 3
            return .length(first)
        }
        let second = Int(bytes[start &+ 1]) &- 48
        let two = first &* 10 &+ second
        guard UInt(bitPattern: second) <= 9, first != 0 else {
            return anyLengthLine(bytes, &offset)
        }
        if bytes.endsLine(at: start &+ 2) {
            offset = start &+ 4
            return .length(two)
        }
        let third = Int(bytes[start &+ 2]) &- 48
        if UInt(bitPattern: third) <= 9, bytes.endsLine(at: start &+ 3) {
            offset = start &+ 5
            return .length(two &* 10 &+ third)
        }
    }
    return anyLengthLine(bytes, &offset)
}

/// The same for lines of any length, cut or not. `-1` and its like are arrays that are not there,
/// which clients may send and servers skip.
@inline(never)
private func anyLengthLine(_ bytes: Window, _ offset: inout Int) -> LengthLine {
    let isNegative = offset < bytes.count && bytes[offset] == UInt8(ascii: "-")
    let first = isNegative ? offset + 1 : offset
    var position = first
    var value = 0
    while position < bytes.count, bytes[position] &- 48 <= 9 {
        guard position - first < lengthDigitsMax else { return .invalid }
        value = value * 10 + Int(bytes[position] &- 48)
        position += 1
    }
    let digits = position - first
    if digits > 0, bytes[first] == 48, digits > 1 || isNegative { return .invalid }
    guard position < bytes.count else { return .incomplete }
    guard digits > 0, bytes[position] == 13 else { return .invalid }
    guard position + 1 < bytes.count else { return .incomplete }
    guard bytes.endsLine(at: position) else { return .invalid }
    offset = position + 2
    return .length(isNegative ? -value : value)
}
