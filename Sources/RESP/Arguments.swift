import Coding

/// Where the arguments of one request lie in bytes that somebody else owns.
///
/// The caller keeps one value and passes it to every `RequestParser.parse`; its table of offsets is
/// reused, so a request costs no allocation. The arguments are views into the bytes that were
/// parsed (or, for an inline command, into an own buffer that holds them unquoted) and are valid
/// only until those bytes move or the next request is parsed.
public struct Arguments: ~Copyable {
    @usableFromInline struct Slice {
        @usableFromInline var offset: UInt32
        @usableFromInline var count: UInt32
    }

    /// Entries of the table that stay allocated; what an inline command takes beyond that is given
    /// back when the next request begins, and arrays with more are a `LongRequest`.
    static let retainedMax = 8192

    @usableFromInline var slices: UnsafeMutablePointer<Slice>
    @usableFromInline var base: UnsafeRawPointer
    private(set) var allocatedSlices = 16
    private var unquoted = ByteBuffer(capacity: 64)
    /// The arguments are no bulk strings in what was parsed, but lie in the own buffer.
    private var isUnquoted = false
    /// Where the arguments are, if they are more than the table's.
    private(set) var long: LongRequest?
    /// Owns the bytes that are parsed, if what outlasts the step may keep them as they are.
    public var owner: InputBuffer?
    /// How many arguments the request has, the command's name included.
    public private(set) var count = 0
    /// How many of them the table holds: all, or none of a long request.
    @usableFromInline private(set) var tabledCount = 0
    /// Bytes at the front of what was parsed that are done with, whatever the outcome: the caller
    /// drops them before the next call.
    public internal(set) var consumed = 0

    public init() {
        slices = .allocate(capacity: allocatedSlices)
        base = UnsafeRawPointer(slices)
    }

    deinit { slices.deallocate() }

    /// One argument; valid as long as the bytes that were parsed.
    ///
    /// - Parameter index: 0 is the command's name.
    @inlinable public subscript(index: Int) -> UnsafeRawBufferPointer {
        UInt(bitPattern: index) < UInt(bitPattern: tabledCount) ? tabled(index) : sought(index)
    }

    /// An argument of a request that is not long, in fewer instructions.
    @inlinable public func tabled(_ index: Int) -> UnsafeRawBufferPointer {
        precondition(index >= 0 && index < tabledCount, "an argument's index is below their count")
        let slice = slices[index]
        return UnsafeRawBufferPointer(start: base + Int(slice.offset), count: Int(slice.count))
    }

    @usableFromInline @inline(never)
    func sought(_ index: Int) -> UnsafeRawBufferPointer {
        guard let long, index >= 0, index < count else {
            preconditionFailure("an argument's index is below their count")
        }
        return long.argument(index, from: base)
    }

    /// Starts a request whose arguments will be offsets from `newBase`.
    @inline(__always)
    mutating func begin(at newBase: UnsafeRawPointer) {
        base = newBase
        tabledCount = 0
        count = 0
        isUnquoted = false
        if long != nil { long = nil }
        if allocatedSlices > Arguments.retainedMax { reallocate(Arguments.retainedMax) }
    }

    /// Notes where an argument lies; `end` follows when all are there.
    @inline(__always)
    mutating func store(_ index: Int, offset: Int, count length: Int) {
        if index >= allocatedSlices { reallocate(allocatedSlices * 2) }
        slices[index] = Slice(
            offset: UInt32(truncatingIfNeeded: offset), count: UInt32(truncatingIfNeeded: length))
    }

    /// The request has so many arguments, all of which were stored.
    @inline(__always)
    mutating func end(count: Int) {
        tabledCount = count
        self.count = count
    }

    /// The request is one with many arguments.
    mutating func take(_ long: LongRequest) {
        self.long = long
        count = long.count
    }

    /// Whether no argument is longer, as far as that is known without looking at each.
    public func isKnown(toHaveAtMost bytes: Int) -> Bool {
        long.map { $0.longest <= bytes } ?? false
    }

    /// Starts an inline request of at most `lineBytes`, whose arguments are unquoted into the own
    /// buffer.
    mutating func beginUnquoted(lineBytes: Int) {
        unquoted.removeAll()
        begin(at: UnsafeRawPointer(unquoted.reserve(lineBytes)))
        isUnquoted = true
    }

    /// How many bytes have been unquoted.
    var unquotedBytes: Int { unquoted.count }

    mutating func appendUnquoted(_ byte: UInt8) { unquoted.append(byte) }

    @inline(never)
    private mutating func reallocate(_ newCapacity: Int) {
        let larger = UnsafeMutablePointer<Slice>.allocate(capacity: newCapacity)
        larger.initialize(from: slices, count: min(allocatedSlices, newCapacity))
        slices.deallocate()
        slices = larger
        allocatedSlices = newCapacity
    }
}

extension Arguments {
    /// Whether an argument is there and is this word, in whatever case.
    ///
    /// - Parameter word: upper-case ASCII letters only.
    public func matches(_ index: Int, _ word: StaticString) -> Bool {
        guard index < count else { return false }
        let argument = self[index]
        guard argument.count == word.utf8CodeUnitCount else { return false }
        for offset in 0..<argument.count {
            // Only a letter's two cases give that letter here, because the word has nothing but
            // letters.
            guard argument[offset] & 0xDF == word.utf8Start[offset], argument[offset] >= 0x40 else {
                return false
            }
        }
        return true
    }

    /// Some arguments as bulk strings in RESP, one behind the other.
    ///
    /// - Parameter range: without the command's name.
    /// - Complexity: O(1) where they are most of their owner's bytes; a copy otherwise.
    public func bulks(_ range: Range<Int>) -> KeptArguments {
        guard let first = range.first, let last = range.last else {
            return KeptArguments(copying: [])
        }
        precondition(first > 0, "an argument follows another")
        if isUnquoted {
            var buffer = ByteBuffer(capacity: 256)
            for index in range { buffer.writeBulk(self[index]) }
            return KeptArguments(copying: buffer.bytes)
        }
        // Behind the line end of the one before, and up to that of the last.
        let start = self[first - 1].endOffset(from: base) + 2
        let end = self[last].endOffset(from: base) + 2
        let bytes = UnsafeRawBufferPointer(start: base + start, count: end - start)
        return KeptArguments(bytes, sharing: owner) ?? KeptArguments(copying: bytes)
    }

    /// An argument as a signed decimal number.
    ///
    /// - Throws: `notAnInteger`.
    public func integer(_ index: Int) throws(CommandError) -> Int64 {
        guard let value = Int64(decimal: self[index]) else { throw .notAnInteger }
        return value
    }
}

extension UnsafeRawBufferPointer {
    /// Where these bytes end, in what begins at a base.
    fileprivate func endOffset(from base: UnsafeRawPointer) -> Int {
        guard let start = baseAddress else { return 0 }
        return start - base + count
    }
}
