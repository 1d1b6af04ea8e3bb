import Glibc

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
        guard bytes.count >= progress.bytesNeeded, let base = bytes.baseAddress else {
            return .incomplete
        }
        var front = 0
        while front < bytes.count {
            let request = UnsafeRawBufferPointer(start: base + front, count: bytes.count - front)
            let result = request[0] == UInt8(ascii: "*")
                ? array(request, &progress, into: &arguments)
                : inline(request, &progress, into: &arguments)
            arguments.consumed = front
            switch result {
            case .request(let length):
                progress = ParseProgress()
                arguments.consumed = front + length
                return .complete
            case .nothing(let length):
                progress = ParseProgress()
                front += length
                arguments.consumed = front
            case .pause(let pause):
                progress = pause
                return .incomplete
            case .failed(let error):
                return .failed(error)
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
        case pause(ParseProgress)
        case failed(ProtocolError)
    }
}

extension RequestParser {
    private func array(
        _ request: UnsafeRawBufferPointer, _ progress: inout ParseProgress,
        into arguments: inout Arguments
    ) -> Front {
        let bytes = request.assumingMemoryBound(to: UInt8.self).span
        if progress.offset > 0 {
            let front = bulks(bytes, from: progress, into: &arguments, request)
            guard case .request = front else { return front }
        }
        var offset = 1
        switch lengthLine(bytes, &offset) {
        case .incomplete: return .pause(.next(after: bytes.count))
        case .invalid: return .failed(.invalidMultibulkLength)
        case .length(let count):
            guard count > 0 else { return .nothing(offset) }
            guard count <= limits.argumentsMax else { return .failed(.invalidMultibulkLength) }
            var start = ParseProgress()
            start.offset = offset
            start.remaining = count
            return bulks(bytes, from: start, into: &arguments, request)
        }
    }

    /// Walks bulk strings, noting each; from the middle of a request only to see whether it is
    /// complete.
    @inline(__always)
    private func bulks(
        _ bytes: Span<UInt8>, from start: ParseProgress, into arguments: inout Arguments,
        _ request: UnsafeRawBufferPointer
    ) -> Front {
        guard let base = request.baseAddress else { return .pause(start) }
        arguments.begin(at: base)
        var place = start
        while place.remaining > 0 {
            var offset = place.offset
            guard offset < bytes.count else { return .pause(place.waiting(for: offset + 1)) }
            guard bytes[offset] == UInt8(ascii: "$") else {
                return .failed(.expectedBulk(got: bytes[offset]))
            }
            offset += 1
            switch lengthLine(bytes, &offset) {
            case .incomplete: return .pause(place.waiting(for: bytes.count + 1))
            case .invalid: return .failed(.invalidBulkLength)
            case .length(let length):
                guard length >= 0, length <= limits.bulkBytesMax else {
                    return .failed(.invalidBulkLength)
                }
                let end = offset + length
                guard end + 2 <= limits.requestBytesMax else { return .failed(.tooBigRequest) }
                guard end + 2 <= bytes.count else { return .pause(place.waiting(for: end + 2)) }
                guard bytes[end] == 13, bytes[end + 1] == 10 else {
                    return .failed(.unterminatedBulk)
                }
                arguments.append(offset: offset, count: length)
                place.offset = end + 2
                place.remaining -= 1
            }
        }
        return .request(place.offset)
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
private func lengthLine(_ bytes: Span<UInt8>, _ offset: inout Int) -> LengthLine {
    let start = offset
    var position = start
    var value = 0
    var byte: UInt8 = 0
    while position < bytes.count {
        byte = bytes[position]
        guard byte &- 48 <= 9 else { break }
        value = value &* 10 &+ Int(byte &- 48)
        position += 1
    }
    let digits = position - start
    if digits != 1 {
        if digits == 0 {
            return position < bytes.count ? negativeLine(bytes, &offset) : .incomplete
        }
        guard bytes[start] != 48, digits <= lengthDigitsMax else { return .invalid }
    }
    guard position < bytes.count else { return .incomplete }
    guard byte == 13 else { return .invalid }
    guard position + 1 < bytes.count else { return .incomplete }
    guard bytes[position + 1] == 10 else { return .invalid }
    offset = position + 2
    return .length(value)
}

/// `-1` and its like: an array that is not there, which clients may send and servers skip.
private func negativeLine(_ bytes: Span<UInt8>, _ offset: inout Int) -> LengthLine {
    guard bytes[offset] == UInt8(ascii: "-") else { return .invalid }
    var position = offset + 1
    while position < bytes.count, bytes[position] &- 48 <= 9 {
        position += 1
        guard position - offset <= lengthDigitsMax else { return .invalid }
    }
    guard position < bytes.count else { return .incomplete }
    guard position > offset + 1, bytes[offset + 1] != 48, bytes[position] == 13 else {
        return .invalid
    }
    guard position + 1 < bytes.count else { return .incomplete }
    guard bytes[position + 1] == 10 else { return .invalid }
    offset = position + 2
    return .length(-1)
}

extension ParseProgress {
    static func next(after count: Int) -> ParseProgress { ParseProgress().waiting(for: count + 1) }

    func waiting(for bytes: Int) -> ParseProgress {
        var progress = self
        progress.bytesNeeded = bytes
        return progress
    }
}
