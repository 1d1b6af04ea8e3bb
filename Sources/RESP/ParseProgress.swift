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

    /// Stays at `place`, which `remaining` arguments follow, until so many bytes are there.
    mutating func pause(at place: Int, _ remaining: Int, bytesNeeded: Int) {
        self = ParseProgress(offset: place, remaining: remaining, bytesNeeded: bytesNeeded)
    }
}
