import Glibc
import Testing

@testable import Reactor

@Suite("The wall clock")
struct SystemClockTests {
    private func milliseconds(_ seconds: Int, _ nanoseconds: Int) -> UInt64 {
        SystemClock.milliseconds(since1970: timespec(tv_sec: seconds, tv_nsec: nanoseconds))
    }

    @Test("tells whole milliseconds since 1970")
    func since1970() {
        #expect(milliseconds(0, 0) == 0)
        #expect(milliseconds(0, 999_999_999) == 999)
        #expect(milliseconds(1_700_000_000, 5_999_999) == 1_700_000_000_005)
    }

    @Test("shows 1970 when it was set to before it", arguments: [-1, -86_400, .min])
    func before1970(seconds: Int) {
        #expect(milliseconds(seconds, 999_000_000) == 0)
    }
}
