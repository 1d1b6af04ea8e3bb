import Base
import Coding

/// How what a node stamped by a wrong clock is brought to the moment at which a majority proved
/// that clock wrong (`ClusterClock.receive`).
///
/// No other node took such a stamp, and here it would win over everything until its time has come.
/// But the node has acknowledged the write, and earlier ones that it covers. So the write stays,
/// under a new name: `limit`, which is later than whatever it covers and earlier than whatever
/// follows. That is decided once, at that moment, and written down before anything else happens:
/// what is looked at later, after a crash or when the wall clock has been set right, goes there all
/// the same.
public struct ClockCorrection: Equatable, Sendable {
    /// Who the node was; former lives of it may have stamped by the wrong clock as well.
    public let retired: ReplicaIdentity
    /// Where writes are brought to.
    public let limit: Stamp
    /// What is stamped later than this by a retired identity is concerned, milliseconds.
    public let bound: UInt64

    public init(retired: ReplicaIdentity, limit: Stamp, bound: UInt64) {
        (self.retired, self.limit, self.bound) = (retired, limit, bound)
    }

    /// Who the node is from then on.
    public var successor: ReplicaIdentity {
        ReplicaIdentity(node: retired.node, epoch: retired.epoch + 1)
    }

    /// Whether a retired identity named this by the wrong clock.
    @inline(__always)
    public func concerns(_ dot: Dot) -> Bool {
        dot.stamp.milliseconds > bound && dot.identity.node == retired.node
            && dot.identity <= retired
    }

    /// - Throws: `truncated` when the bytes are too few.
    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        retired = ReplicaIdentity(rawValue: try reader.integer())
        limit = Stamp(rawValue: try reader.integer())
        bound = try reader.integer()
        guard limit.milliseconds < ClockReading.millisecondsMax,
            bound < ClockReading.millisecondsMax
        else { throw .invalid("a clock correction lies beyond the year 6429") }
        guard limit.rawValue > 0 else { throw .invalid("a clock correction goes to no time") }
        guard retired.epoch < ReplicaIdentity.epochMax else {
            throw .invalid("a clock correction retires the last identity")
        }
    }

    public func encode(into buffer: inout ByteBuffer) {
        buffer.append(integer: retired.rawValue)
        buffer.append(integer: limit.rawValue)
        buffer.append(integer: bound)
    }
}
