import Glibc

/// The one clock of a run: every send, reply and deadline is read from it, so that no two hosts'
/// clocks are subtracted.
public enum MonotonicClock {
    /// Nanoseconds since an arbitrary moment; never runs backwards.
    public static var now: UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    /// Sleeps, or less when a signal arrives.
    public static func sleep(milliseconds: Int) {
        var time = timespec(tv_sec: milliseconds / 1000, tv_nsec: milliseconds % 1000 * 1_000_000)
        nanosleep(&time, nil)
    }
}
