import Base

/// Since when this node asks others for nothing, because what they sent last found no room on its
/// disk: again after a second, then after twice the pause each time that it is refused once more.
///
/// What differs between replicas stays different while one of them is full. To exchange it again
/// and again costs all of them time and helps nobody.
struct RoomPause {
    private static let millisecondsMin: UInt64 = 1_000
    private static let millisecondsMax: UInt64 = 64_000
    /// Longer than exchanges that find nothing leave between each other.
    private static let soonMilliseconds: UInt64 = 30_000

    private var until: Deadline = 0
    private var milliseconds: UInt64 = 0

    func holds(at now: UInt64) -> Bool { now < until }

    /// Something that another node sent found no room.
    mutating func refused(at now: UInt64) {
        guard !holds(at: now) else { return }
        let isAgain = now < until + .nanoseconds(milliseconds: RoomPause.soonMilliseconds)
        milliseconds = isAgain ? min(2 * milliseconds, RoomPause.millisecondsMax) : 0
        milliseconds = max(milliseconds, RoomPause.millisecondsMin)
        until = now + .nanoseconds(milliseconds: milliseconds)
    }

    /// There is room again: the pause is over, and the next one is longer if it comes soon.
    mutating func end(at now: UInt64) { until = min(until, now) }
}
