import Glibc
import Synchronization

/// One thread beside the loop that does what blocks: one job at a time, a whole batch a job,
/// because waking a sleeping thread costs more than a request does.
///
/// The loop hands a job over with `start`, watches `wakeupDescriptor`, and takes the outcome when
/// that fires; until then `isBusy`. All of these are called by one thread, the owner.
///
/// Invariant: the slot belongs to the owner while the stage is idle or done, and to the thread
/// while it is busy.
public final class DiskThread<Job: Sendable, Outcome: Sendable>: Sendable {
    private let slot: Slot<Job, Outcome>
    private let thread: pthread_t

    /// - Parameter perform: runs on the thread, one call after the other.
    /// - Throws: when there is no thread or descriptor to be had.
    public init(_ perform: @escaping @Sendable (Job) -> Outcome) throws(SocketError) {
        let slot = try Slot(perform)
        self.slot = slot
        thread = try startThread { slot.serve() }
    }

    /// Watch it with `[.readable, .oncePerSignal]`.
    public var wakeupDescriptor: Int32 { slot.wakeup.descriptor }

    /// A job is under way or its outcome has not been taken.
    public var isBusy: Bool { slot.stage.load(ordering: .acquiring) != .idle }

    /// Hands a job over.
    ///
    /// - Precondition: not `isBusy`.
    public func start(_ job: Job) {
        precondition(!isBusy, "one job is in flight at a time")
        slot.job = job
        slot.stage.store(.busy, ordering: .releasing)
        sem_post(slot.handedOver)
    }

    /// - Returns: what the job came to, once; nil before it is done.
    public func takeOutcome() -> Outcome? {
        guard slot.stage.load(ordering: .acquiring) == .done else { return nil }
        let outcome = slot.outcome
        slot.outcome = nil
        slot.stage.store(.idle, ordering: .relaxed)
        return outcome
    }

    /// Waits for the job under way; the thread itself ends.
    deinit {
        slot.ends.store(true, ordering: .releasing)
        sem_post(slot.handedOver)
        pthread_join(thread, nil)
    }
}

/// What the owner and the thread share.
private final class Slot<Job: Sendable, Outcome: Sendable>: @unchecked Sendable {
    enum Stage: UInt8, AtomicRepresentable { case idle, busy, done }

    let perform: @Sendable (Job) -> Outcome
    let wakeup: Wakeup
    let handedOver: UnsafeMutablePointer<sem_t>
    let stage = Atomic<Stage>(.idle)
    let ends = Atomic<Bool>(false)
    var job: Job?
    var outcome: Outcome?

    init(_ perform: @escaping @Sendable (Job) -> Outcome) throws(SocketError) {
        self.perform = perform
        wakeup = try Wakeup()
        handedOver = .allocate(capacity: 1)
        sem_init(handedOver, 0, 0)
    }

    deinit {
        sem_destroy(handedOver)
        handedOver.deallocate()
    }

    func serve() {
        while true {
            while sem_wait(handedOver) != 0 {}
            if let next = job {
                job = nil
                outcome = perform(next)
                stage.store(.done, ordering: .releasing)
                wakeup.signal()
            }
            if ends.load(ordering: .acquiring) { return }
        }
    }
}
