import Base
import CLinux
import Glibc

/// The process's two clocks, read once per turn.
public enum SystemClock {
    /// Both clocks, one after the other.
    public static func now() -> Instant {
        var wall = timespec()
        clock_gettime(CLOCK_REALTIME, &wall)
        return Instant(monotonic: monotonic(), wallMilliseconds: milliseconds(since1970: wall))
    }

    /// A clock that was set to before 1970 is as wrong as one that shows 1970.
    static func milliseconds(since1970 wall: timespec) -> UInt64 {
        guard wall.tv_sec >= 0 else { return 0 }
        return UInt64(wall.tv_sec) * 1000 + UInt64(wall.tv_nsec) / 1_000_000
    }

    /// Nanoseconds on the monotonic clock.
    public static func monotonic() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    /// Sleeps for some microseconds, to the microsecond on a thread with sharp timers.
    public static func rest(microseconds: Int) {
        var time = timespec(tv_sec: 0, tv_nsec: microseconds * 1000)
        nanosleep(&time, nil)
    }

    /// Lets the calling thread's timers end on time, where Linux may otherwise be 50 µs late.
    ///
    /// Source: PR_SET_TIMERSLACK in prctl(2).
    public static func sharpenTimers() { _ = quorate_sharpen_timers() }
}
