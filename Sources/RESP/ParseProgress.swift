/// How far an incomplete request has been looked at; one small value a connection, and beside it,
/// for a request with many arguments, a small part of what has arrived of it.
public struct ParseProgress {
    /// Bytes of the request that need not be looked at again.
    private(set) var offset = 0
    /// Arguments from `offset` on.
    private(set) var remaining = 0
    /// Bytes of the request without which looking again finds nothing new.
    ///
    /// It may rest on a length that a client merely announced: never allocate by it.
    public private(set) var bytesNeeded = 0
    private(set) var long: LongRequest?

    public init() {}

    /// Stays at `place`, which `remaining` arguments follow, until so many bytes are there.
    mutating func pause(
        at place: Int, _ remaining: Int, bytesNeeded: Int, _ long: LongRequest? = nil
    ) {
        offset = place
        self.remaining = remaining
        self.bytesNeeded = bytesNeeded
        self.long = long
    }

    @inline(__always)
    mutating func reset() {
        if bytesNeeded > 0 { self = ParseProgress() }
    }

    /// The request that was parsed last is not taken yet: the arguments of one with many are not
    /// looked at again.
    public mutating func keep(_ arguments: borrowing Arguments) {
        // Bytes in front of it would be skipped anew.
        guard let long = arguments.long, arguments.consumed == long.length else { return }
        pause(at: long.length, 0, bytesNeeded: long.length, long)
    }
}
