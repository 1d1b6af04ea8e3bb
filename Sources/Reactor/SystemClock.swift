import Base
import Glibc

/// The process's two clocks, read once per turn.
public enum SystemClock {
    /// Both clocks, one after the other.
    public static func now() -> Instant {
        var wall = timespec()
        clock_gettime(CLOCK_REALTIME, &wall)
        let milliseconds = UInt64(wall.tv_sec) * 1000 + UInt64(wall.tv_nsec) / 1_000_000
        return Instant(monotonic: monotonic(), wallMilliseconds: milliseconds)
    }

    /// Nanoseconds on the monotonic clock.
    public static func monotonic() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}
