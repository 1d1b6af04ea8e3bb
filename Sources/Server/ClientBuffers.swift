import Base

/// Bytes that wait for clients, or of clients, all together: the driver's part of the node's
/// `MemoryAccount`.
///
/// Invariant: each sum is that of the connections' shares.
struct ClientBuffers: Equatable {
    /// What one connection has of them.
    struct Share: Equatable {
        var requests = 0
        var output = 0
    }

    /// A connection may have so much of a request that has not arrived whole, whatever the others
    /// have: small requests always find room.
    static let requestBytesFree = 64 << 10
    /// From so much on the node waits with the rest of a long reply.
    static let pieceBytes = 256 << 10
    /// Under pressure a request may pause for so long, nanoseconds.
    static let pauseMax: UInt64 = 2_000_000_000

    /// Requests that have arrived in part.
    private(set) var requests = 0
    /// Replies that clients have not taken.
    private(set) var output = 0
    /// Bytes of replies that were left waiting although they are more than their share: those of
    /// one long reply.
    var outputTolerated = 0

    /// Counts a connection anew.
    mutating func count(_ share: inout Share, requests: Int, output: Int) {
        self.requests += requests - share.requests
        self.output += output - share.output
        share = Share(requests: requests, output: output)
    }

    /// Bytes of one connection's replies from which on its requests wait: a quarter of what is left
    /// for all, so that one that reads slowly hardly notices and a thousand leave room for others.
    func outputMaxOfOne(sharedMax: Int, limit: Int) -> Int {
        max(ClientBuffers.pieceBytes, min(limit, (sharedMax - output) / 4))
    }

    /// Until when a request must have arrived: so long after its first byte, and a second more for
    /// each 64 KiB that are here.
    ///
    /// - Parameters:
    ///   - since: its first byte.
    ///   - milliseconds: that any request may take.
    static func deadline(since: Deadline, bytes: Int, milliseconds: UInt64) -> Deadline {
        since + .nanoseconds(milliseconds: milliseconds + UInt64(bytes) * 1_000 / (64 << 10))
    }
}
