import Base
import Reactor
import Replication
import Storage

/// The way of records to the disk: the journal, the thread that runs its jobs, and when to ask for
/// a batch.
///
/// A batch is asked for at once when an effect waits for it, within the keyspace's interval when
/// none does, and earlier when much has gathered.
struct JournalLane: ~Copyable {
    typealias Thread = DiskThread<DiskJob, JobOutcome>

    /// What a job came to, and how long the disk took for it.
    struct JobOutcome {
        let result: Result<Void, DiskError>
        let nanoseconds: UInt64
    }

    /// Gathered bytes that are written without waiting for the interval.
    private static let batchBytesWanted = 1 << 20
    private static let retryNanoseconds: UInt64 = 1_000_000_000

    var journal: Journal
    private var thread: Thread
    /// An effect waits for what has been gathered.
    private var isGating = false
    /// When what has been gathered must be on its way; nil when nothing waits.
    private(set) var syncBy: Deadline?
    /// When a full disk is tried again.
    private(set) var retryAt: Deadline?
    /// How much had been written when the journal was told how large the state is.
    private var toldAt = 0
    /// How long batches took to be written and synced, on the disk thread.
    private(set) var syncLatency = LatencyHistogram()

    init(_ journal: consuming Journal, on disk: some Disk & Sendable) throws(SocketError) {
        thread = try Thread { job in
            let begin = SystemClock.monotonic()
            let result: Result<Void, DiskError>
            do throws(DiskError) {
                try job.run(on: disk)
                result = .success(())
            } catch { result = .failure(error) }
            return JobOutcome(
                result: result, nanoseconds: SystemClock.monotonic() - begin)
        }
        self.journal = journal
    }

    var wakeupDescriptor: Int32 { thread.wakeupDescriptor }
    var appendedPosition: UInt64 { journal.lastPosition }
    var durablePosition: UInt64 { journal.durablePosition }
    var backlogBytes: Int { journal.gatheredBytes }
    /// Much was written since the journal was told how large the state is.
    var hasGrown: Bool {
        journal.counters.diskBytes + journal.gatheredBytes > toldAt + (256 << 10)
    }
    /// Everything appended is durable.
    var isIdle: Bool { journal.durablePosition == journal.lastPosition }

    mutating func noteExpected() { toldAt = journal.counters.diskBytes + journal.gatheredBytes }

    /// - Parameter isGate: effects wait until the record is durable.
    mutating func append(_ record: UnsafeRawBufferPointer, isGate: Bool) {
        _ = journal.append(record)
        if isGate { isGating = true }
    }

    /// When `startJob` has to be called though nothing else happens; nil while a job is out, whose
    /// outcome will call. What was due before waits for something else, such as room on the disk.
    func nextDeadline(after now: UInt64) -> Deadline? {
        guard !thread.isBusy else { return nil }
        var earliest = Deadline.max
        if let syncBy, syncBy > now { earliest = syncBy }
        if let retryAt, retryAt > now { earliest = min(earliest, retryAt) }
        return earliest == .max ? nil : earliest
    }

    /// What was appended is to be on its way by then.
    mutating func sync(by deadline: Deadline) { syncBy = min(syncBy ?? .max, deadline) }

    /// Hands the next job over if the thread is free and something is due.
    mutating func startJob(now: UInt64) {
        guard !thread.isBusy else { return }
        retryPreparing(now)
        let isDue =
            isGating || syncBy.map { $0 <= now } == true
            || journal.gatheredBytes >= JournalLane.batchBytesWanted
        guard let job = journal.nextJob(flush: isDue) else { return }
        if journal.gatheredBytes == 0 {
            isGating = false
            syncBy = nil
        }
        thread.start(job)
    }

    /// Tries a full disk again once a second, before a write has to be refused if there is time.
    private mutating func retryPreparing(_ now: UInt64) {
        if let retryAt, retryAt > now { return }
        retryAt = journal.wantsRetry ? now + JournalLane.retryNanoseconds : nil
        journal.retryPreparing()
    }

    /// Takes the outcome of the job under way, if it is done.
    ///
    /// - Throws: the disk's error when the journal cannot go on.
    mutating func takeOutcome() throws(DiskError) { try settle(thread.takeOutcome()) }

    /// Blocks until the job under way is done, after starting one if there is none.
    ///
    /// - Returns: false when there is nothing to do.
    mutating func waitForJob() throws(DiskError) -> Bool {
        if !thread.isBusy {
            guard let job = journal.nextJob(flush: true) else { return false }
            thread.start(job)
        }
        try settle(thread.waitForOutcome())
        return true
    }

    private mutating func settle(_ outcome: JobOutcome?) throws(DiskError) {
        guard let outcome else { return }
        let batches = journal.counters.batches
        journal.completed(outcome.result)
        if journal.counters.batches > batches { syncLatency.record(outcome.nanoseconds) }
        if let failure = journal.failure { throw failure }
    }
}
