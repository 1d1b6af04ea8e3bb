/// What `RequestParser.parse` found at the front of a stream.
public enum ParseOutcome: Equatable, Sendable {
    /// The arguments are one request, and `Arguments.consumed` bytes lie behind it.
    case complete
    /// More bytes must come first.
    case incomplete
    /// The stream cannot be followed: answer with the error and close.
    case failed(ProtocolError)
}

/// Finds requests at the front of a byte stream: the server's half of the Redis protocol.
///
/// It understands arrays of bulk strings, which every client library sends, and inline commands,
/// which people type. It copies nothing but inline commands, allocates nothing that a client merely
/// announces, and decides nothing: a command's name is resolved by `CommandName`, options by
/// `SetOptions` and its like, answers are written by the `write…` methods that this module gives
/// `ByteBuffer`.
///
/// A request that arrives in pieces costs O(its bytes + its arguments) in total. `ParseProgress`
/// remembers where to go on; arguments already seen are not kept between calls, so when the last
/// byte has arrived the lengths, which are known to be right by then, are walked once more to fill
/// in `Arguments`. Where they are many that would take long: places of some are kept
/// (`LongRequest`).
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
            let found =
                window[0] == UInt8(ascii: "*")
                ? array(window, &progress, into: &arguments)
                : inline(window, &progress, into: &arguments)
            switch found {
            case .request(let length):
                progress.reset()
                arguments.consumed = front &+ length
                return .complete
            case .nothing(let length):
                progress.reset()
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
            guard case .request = resumed, progress.long == nil else { return resumed }
        }
        switch lengthLine(bytes, 1) {
        case .incomplete:
            progress.pause(at: 0, 0, bytesNeeded: bytes.count &+ 1)
            return .part
        case .invalid: return .failed(.invalidMultibulkLength)
        case .length(let count, let offset):
            guard count > 0 else { return .nothing(offset) }
            guard count <= limits.argumentsMax else { return .failed(.invalidMultibulkLength) }
            if count > Arguments.retainedMax {
                progress.pause(
                    at: offset, count, bytesNeeded: offset, LongRequest(count: count))
                return resume(bytes, &progress, into: &arguments)
            }
            return bulks(bytes, from: offset, count, &progress, into: &arguments)
        }
    }

    /// Goes on in the middle; of a short request only to see whether it is complete.
    @inline(never)
    private func resume(
        _ bytes: Window, _ progress: inout ParseProgress, into arguments: inout Arguments
    ) -> Front {
        if let long = progress.long { return walk(long, bytes, &progress, into: &arguments) }
        let (start, left) = (progress.offset, progress.remaining)
        return bulks(bytes, from: start, left, &progress, into: &arguments)
    }

    /// Walks bulk strings, noting each.
    @inline(__always)
    private func bulks(
        _ bytes: Window, from start: Int, _ count: Int, _ progress: inout ParseProgress,
        into arguments: inout Arguments
    ) -> Front {
        arguments.begin(at: UnsafeRawPointer(bytes.base))
        var place = start
        var index = 0
        while index < count {
            switch bulk(bytes, at: place) {
            case .found(let offset, let length):
                arguments.store(index, offset: offset, count: length)
                place = offset &+ length &+ 2
                index &+= 1
            case .part(let bytesNeeded):
                progress.pause(at: place, count &- index, bytesNeeded: bytesNeeded)
                return .part
            case .failed(let error): return .failed(error)
            }
        }
        arguments.end(count: count)
        return .request(place)
    }

    /// Walks the bulk strings of a long request that have not been looked at.
    private func walk(
        _ long: LongRequest, _ bytes: Window, _ progress: inout ParseProgress,
        into arguments: inout Arguments
    ) -> Front {
        var place = progress.offset
        var index = long.count &- progress.remaining
        while index < long.count {
            switch bulk(bytes, at: place) {
            case .found(let offset, let length):
                long.note(index, at: place, bytes: length)
                place = offset &+ length &+ 2
                index &+= 1
            case .part(let bytesNeeded):
                progress.pause(at: place, long.count &- index, bytesNeeded: bytesNeeded, long)
                return .part
            case .failed(let error): return .failed(error)
            }
        }
        long.length = place
        arguments.begin(at: UnsafeRawPointer(bytes.base))
        arguments.take(long)
        return .request(place)
    }

    /// What stands where a bulk string begins.
    private enum Bulk {
        case found(offset: Int, count: Int)
        case part(bytesNeeded: Int)
        case failed(ProtocolError)
    }

    @inline(__always)
    private func bulk(_ bytes: Window, at place: Int) -> Bulk {
        guard place < bytes.count else { return .part(bytesNeeded: place &+ 1) }
        guard bytes[place] == UInt8(ascii: "$") else {
            return .failed(.expectedBulk(got: bytes[place]))
        }
        switch lengthLine(bytes, place &+ 1) {
        case .incomplete: return .part(bytesNeeded: bytes.count &+ 1)
        case .invalid: return .failed(.invalidBulkLength)
        case .length(let length, let offset):
            guard UInt(bitPattern: length) <= UInt(bitPattern: limits.bulkBytesMax) else {
                return .failed(refusal(ofBulk: length))
            }
            let end = offset &+ length &+ 2
            guard end <= limits.requestBytesMax else {
                return .failed(.tooBigRequest(bytesMax: limits.requestBytesMax))
            }
            guard end <= bytes.count else { return .part(bytesNeeded: end) }
            guard bytes.endsLine(at: end &- 2) else { return .failed(.unterminatedBulk) }
            return .found(offset: offset, count: length)
        }
    }

    private func refusal(ofBulk length: Int) -> ProtocolError {
        length < 0 ? .invalidBulkLength : .tooBigBulk(bytesMax: limits.bulkBytesMax)
    }
}
