import Glibc

/// One thread beside the loop that does what blocks: one job at a time, a whole batch a job, because
/// waking a sleeping thread costs more than a request does.
///
/// The loop hands a job over with `start`, watches `wakeupDescriptor`, and takes the outcome when that
/// fires; until then `isBusy`. The value has one owner, on one thread.
///
/// Invariant: the slot belongs to the owner before `handedOver` is posted and after `finished` is, and to
/// the thread in between; the two semaphores order the memory accesses.
public struct DiskThread<Job: Sendable, Outcome: Sendable>: ~Copyable {
    private let slot: Slot<Job, Outcome>
    private let thread: pthread_t
    /// A job is under way, or its outcome has not been taken.
    public private(set) var isBusy = false

    /// - Parameter perform: runs on the thread, one call after the other.
    /// - Throws: when there is no thread or descriptor to be had.
    public init(_ perform: @escaping @Sendable (Job) -> Outcome) throws(SocketError) {
        let slot = try Slot(perform)
        thread = try startThread { slot.serve() }
        self.slot = slot
    }

    /// Watch it with `[.readable, .oncePerSignal]`.
    public var wakeupDescriptor: Int32 { slot.wakeup.descriptor }

    /// Hands a job over.
    ///
    /// - Precondition: not `isBusy`.
    public mutating func start(_ job: Job) {
        precondition(!isBusy, "one job is in flight at a time")
        isBusy = true
        slot.job = job
        sem_post(slot.handedOver)
    }

    /// - Returns: what the job came to, once; nil while it is not done.
    public mutating func takeOutcome() -> Outcome? {
        guard isBusy, sem_trywait(slot.finished) == 0 else { return nil }
        isBusy = false
        return slot.outcome.take()
    }

    /// Blocks until the job under way is done.
    ///
    /// - Returns: what it came to; nil when none was under way.
    public mutating func waitForOutcome() -> Outcome? {
        guard isBusy else { return nil }
        while sem_wait(slot.finished) != 0 {}
        isBusy = false
        return slot.outcome.take()
    }

    /// Waits for the job under way; the thread itself ends.
    deinit {
        sem_post(slot.handedOver)
        pthread_join(thread, nil)
    }
}

/// What the owner and the thread share.
private final class Slot<Job: Sendable, Outcome: Sendable>: @unchecked Sendable {
    let perform: @Sendable (Job) -> Outcome
    let wakeup: Wakeup
    let handedOver = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)
    let finished = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)
    var job: Job?
    var outcome: Outcome?

    init(_ perform: @escaping @Sendable (Job) -> Outcome) throws(SocketError) {
        wakeup = try Wakeup()
        self.perform = perform
        sem_init(handedOver, 0, 0)
        sem_init(finished, 0, 0)
    }

    deinit {
        for semaphore in [handedOver, finished] {
            sem_destroy(semaphore)
            semaphore.deallocate()
        }
    }

    func serve() {
        while true {
            while sem_wait(handedOver) != 0 {}
            // A job that is handed over is done even when the owner has gone meanwhile.
            guard let next = job.take() else { return }
            outcome = perform(next)
            sem_post(finished)
            wakeup.signal()
        }
    }
}
