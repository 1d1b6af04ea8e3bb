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
            let found =
                window[0] == UInt8(ascii: "*")
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
        switch lengthLine(bytes, 1) {
        case .incomplete:
            progress.bytesNeeded = bytes.count &+ 1
            return .part
        case .invalid: return .failed(.invalidMultibulkLength)
        case .length(let count, let offset):
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
            switch lengthLine(bytes, place &+ 1) {
            case .incomplete:
                progress.pause(at: place, count &- index, bytesNeeded: bytes.count &+ 1)
                return .part
            case .invalid: return .failed(.invalidBulkLength)
            case .length(let length, let offset):
                guard UInt(bitPattern: length) <= UInt(bitPattern: limits.bulkBytesMax) else {
                    return .failed(refusal(ofBulk: length))
                }
                let terminator = offset &+ length
                guard terminator &+ 2 <= end else {
                    guard terminator &+ 2 <= limits.requestBytesMax else {
                        return .failed(.tooBigRequest(bytesMax: limits.requestBytesMax))
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

extension RequestParser {
    /// Why a bulk string of such a length is not taken.
    @inline(never)
    private func refusal(ofBulk length: Int) -> ProtocolError {
        length < 0 ? .invalidBulkLength : .tooBigBulk(bytesMax: limits.bulkBytesMax)
    }
}
