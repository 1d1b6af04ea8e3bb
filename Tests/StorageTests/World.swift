import Base
import Coding
import Simulator
import Storage

/// A journal on a simulated disk, and what was put into it.
struct World: ~Copyable {
    let disk: SimulatedDisk
    let limits: JournalLimits
    var journal: Journal
    /// The payload at each position, counted from 1.
    var accepted: [[UInt8]] = []

    static let small = JournalLimits(segmentBytes: 32 * 1024, batchBytesMax: 8 * 1024)

    init(seed: UInt64 = 1, limits: JournalLimits = small, capacity: Int? = nil) {
        let disk = SimulatedDisk(prng: PRNG(seed: seed))
        disk.faults.capacityBytes = capacity
        self.init(on: disk, RecoveryReport(), seed, limits)
    }

    /// As a node starts: with an identity, on an empty directory.
    init(owned seed: UInt64) throws {
        let disk = SimulatedDisk(prng: PRNG(seed: seed))
        try World.claim(disk)
        self.init(on: disk, try Recovered(disk).report, seed, World.small)
    }

    private init(
        on disk: SimulatedDisk, _ report: RecoveryReport, _ seed: UInt64, _ limits: JournalLimits
    ) {
        self.disk = disk
        self.limits = limits
        journal = Journal(resuming: report, limits: limits, salt: seed)
        settle()
    }

    static func claim(_ disk: SimulatedDisk) throws(IdentityError) {
        _ = try IdentityFile.claim(
            on: disk, for: .init(node: NodeID(1), clusterID: 7, memberDigest: 0),
            wallMilliseconds: 1)
    }

    @discardableResult mutating func append(_ payload: [UInt8]) -> JournalPosition {
        accepted.append(payload)
        return payload.withUnsafeBytes { journal.append($0) }
    }

    /// Runs jobs until there is nothing to do.
    mutating func settle() {
        while let job = journal.nextJob() { run(job) }
    }

    mutating func run(_ job: DiskJob) {
        do throws(DiskError) {
            try job.run(on: disk)
            journal.completed(.success(()))
        } catch { journal.completed(.failure(error)) }
    }

    /// Appends and syncs each payload as a batch of its own.
    mutating func sync(_ payloads: [[UInt8]]) {
        for payload in payloads {
            append(payload)
            settle()
        }
    }

    mutating func checkpoint() {
        _ = journal.beginCheckpoint()
        feedCheckpoint()
        journal.finishCheckpoint()
        settle()
    }

    mutating func feedCheckpoint() {
        for payload in accepted { payload.withUnsafeBytes { journal.appendToCheckpoint($0) } }
    }

    /// Starts again on what the disk holds; what was lost is no longer accepted.
    mutating func restart(
        salt: UInt64, _ policy: RecoveryPolicy = .refuse
    ) throws(RecoveryError) -> Recovered {
        let recovered = try Recovered(disk, policy)
        accepted.removeLast(max(0, accepted.count - Int(recovered.report.lastPosition)))
        journal = Journal(resuming: recovered.report, limits: limits, salt: salt)
        return recovered
    }
}

/// What a recovery delivered.
struct Recovered {
    var payloads: [[UInt8]] = []
    /// Behind how many payloads it said that something was left out.
    var distrusts: [Int] = []
    var report = RecoveryReport()
    var error: RecoveryError?

    init(trying disk: SimulatedDisk, _ policy: RecoveryPolicy = .refuse) {
        var payloads: [[UInt8]] = []
        var distrusts: [Int] = []
        do throws(RecoveryError) {
            report = try Recovery.run(
                on: disk, policy: policy, distrust: { distrusts.append(payloads.count) },
                deliver: { payloads.append(Array($0)) })
        } catch { self.error = error }
        (self.payloads, self.distrusts) = (payloads, distrusts)
    }

    init(_ disk: SimulatedDisk, _ policy: RecoveryPolicy = .refuse) throws(RecoveryError) {
        self.init(trying: disk, policy)
        if let error { throw error }
    }

    var fromCheckpoint: [[UInt8]] { Array(payloads[..<report.checkpointRecords]) }
    var fromJournal: [[UInt8]] { Array(payloads[report.checkpointRecords...]) }

    var finding: Finding? {
        if case .damaged(let damage) = error { return damage.finding }
        return nil
    }
}

/// A payload that names its number, so that a wrong one is told from any other.
func payload(_ number: Int, count: Int) -> [UInt8] {
    var prng = PRNG(seed: UInt64(number))
    var bytes = [UInt8](repeating: UInt8(truncatingIfNeeded: prng.next() | 3), count: count)
    for index in stride(from: 0, to: count, by: 97) {
        bytes[index] = UInt8(truncatingIfNeeded: prng.next())
    }
    return bytes
}
