import Base
import Coding

/// What a node tells another one of its clocks, in every heartbeat.
public struct ClockReading: Equatable, Sendable {
    /// No clock shows this, so that stamps never come to their end: milliseconds, the year 6429.
    public static let millisecondsMax: UInt64 = 1 << 47

    /// What the sender's wall clock shows, milliseconds since 1970.
    public var wall: UInt64
    /// What the sender takes for the time, milliseconds since 1970.
    public var time: UInt64
    /// The latest time by which the sender stamps, milliseconds since 1970.
    public var reach: UInt64
    /// A majority has confirmed the sender's time, and has been as far as its reach.
    public var isProven: Bool
    public var timing: Timing

    /// What tells the receiver how long the message was on its way: milliseconds by monotonic
    /// clocks.
    public struct Timing: Equatable, Sendable {
        /// When it was sent, by the sender's clock.
        public var sentAt: UInt64
        /// The last `sentAt` that came from the receiver over this link; 0 for none.
        public var echo: UInt64
        /// How long ago that was.
        public var held: UInt64

        public init(sentAt: UInt64, echo: UInt64, held: UInt64) {
            (self.sentAt, self.echo, self.held) = (sentAt, echo, held)
        }
    }

    public init(wall: UInt64, time: UInt64, reach: UInt64, isProven: Bool, timing: Timing) {
        (self.wall, self.time, self.reach) = (wall, time, reach)
        (self.isProven, self.timing) = (isProven, timing)
    }

    /// - Throws: `truncated`, or `invalid` for times that no clock shows.
    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        wall = try ClockReading.milliseconds(&reader)
        time = try ClockReading.milliseconds(&reader)
        reach = try ClockReading.milliseconds(&reader)
        timing = Timing(
            sentAt: try ClockReading.milliseconds(&reader),
            echo: try ClockReading.milliseconds(&reader),
            held: try ClockReading.milliseconds(&reader))
        let flag: UInt8 = try reader.integer()
        guard flag < 2 else { throw .invalid("clock reading has an unknown flag") }
        isProven = flag == 1
    }

    private static func milliseconds(_ reader: inout ByteReader) throws(DecodeError) -> UInt64 {
        let value: UInt64 = try reader.integer()
        guard value < millisecondsMax else { throw .invalid("clock reading beyond the year 6429") }
        return value
    }

    public func encode(into buffer: inout ByteBuffer) {
        for value in [wall, time, reach, timing.sentAt, timing.echo, timing.held] {
            buffer.append(integer: min(value, ClockReading.millisecondsMax - 1))
        }
        buffer.append(isProven ? 1 : 0)
    }
}

extension Stamp {
    /// Whether some clock can have shown it, and stamps behind it are left.
    public var isShownByClocks: Bool { milliseconds < ClockReading.millisecondsMax }
}
