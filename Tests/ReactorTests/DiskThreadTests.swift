import Base
import Glibc
import Testing

@testable import Reactor

@Suite struct DiskThreadTests {
    @Test("a job runs on the other thread and its outcome wakes the poller")
    func outcome() throws {
        var worker = try DiskThread<[Int], (sum: Int, thread: pthread_t)> {
            ($0.reduce(0, +), pthread_self())
        }
        let poller = try Poller()
        try poller.add(worker.wakeupDescriptor, token: 3, [.readable, .oncePerSignal])
        for round in 1...100 {
            let before = worker.isBusy
            worker.start([round, round])
            let during = worker.isBusy
            #expect((before, during) == (false, true))
            #expect(try poller.wait(until: patience()) == 1)
            let taken = worker.takeOutcome()
            let outcome: (sum: Int, thread: pthread_t) = try #require(taken)
            #expect(outcome.sum == 2 * round)
            #expect(pthread_equal(outcome.thread, pthread_self()) == 0)
            let again = worker.takeOutcome()
            #expect(again?.sum == nil)
        }
    }

    @Test("the owner can wait for the outcome without a poller")
    func waiting() throws {
        var worker = try DiskThread<Int, Int> { $0 * 2 }
        let nothing = worker.waitForOutcome()
        #expect(nothing == nil)
        for round in 1...100 {
            worker.start(round)
            let outcome = worker.waitForOutcome()
            #expect(outcome == 2 * round)
        }
    }

    @Test("a disk thread that goes away finishes the job under way first")
    func finishes() throws {
        let trace = Trace()
        try runAndDrop(trace)
        #expect(trace.jobs == [7])
    }

    private func runAndDrop(_ trace: Trace) throws {
        var worker = try DiskThread<Int, Void> { trace.jobs.append($0) }
        worker.start(7)
    }

    /// Written by the disk thread, read after it was joined.
    private final class Trace: @unchecked Sendable {
        var jobs: [Int] = []
    }

    @Test("signals are blocked on a started thread and come out of the descriptor")
    func signals() throws {
        // A thread of its own, so that the process's other threads keep their signal masks.
        let result = SignalResult()
        let thread = try startThread {
            guard let signals = try? Signals() else { return }
            pthread_kill(pthread_self(), SIGTERM)
            result.taken.append(signals.next())
            pthread_kill(pthread_self(), SIGHUP)
            result.taken.append(signals.next())
            for ignored in [SIGALRM, SIGPIPE, SIGIO, 40] { pthread_kill(pthread_self(), ignored) }
            result.taken.append(signals.next())
        }
        pthread_join(thread, nil)
        #expect(result.taken.map { $0?.number } == [SIGTERM, SIGHUP, nil])
        #expect(result.taken.map { $0?.request } == [.stop, .nothing, nil])
    }

    private final class SignalResult: @unchecked Sendable {
        var taken: [(number: Int32, request: Signals.Request)?] = []
    }
}
