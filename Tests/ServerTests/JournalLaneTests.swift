import Base
import Glibc
import Reactor
import Storage
import Synchronization
import Testing

@testable import Server

/// Files that are lengths only, on a disk that can refuse.
private final class ScriptedDisk: Disk, Sendable {
    struct Script {
        var refusal: DiskError?
        var writes = 0
        var syncs = 0
    }

    let script = Mutex(Script())

    func refuse(_ error: DiskError?) { script.withLock { $0.refusal = error } }
    private func obey() throws(DiskError) {
        if let refusal = script.withLock({ $0.refusal }) { throw refusal }
    }

    func list() throws(DiskError) -> [String] { [] }
    func size(of name: String) throws(DiskError) -> Int { 0 }
    func read(
        _ name: String, at offset: Int, into: UnsafeMutableRawBufferPointer
    ) throws(DiskError) -> Int { 0 }
    func create(_ name: String, size: Int) throws(DiskError) { try obey() }
    func write(_ name: String, at offset: Int, _ bytes: UnsafeRawBufferPointer) throws(DiskError) {
        script.withLock { $0.writes += 1 }
        try obey()
    }
    func sync(_ name: String) throws(DiskError) {
        script.withLock { $0.syncs += 1 }
        try obey()
    }
    func availableBytes() throws(DiskError) -> Int { .max }
    func truncate(_ name: String, to size: Int) throws(DiskError) { try obey() }
    func rename(_ old: String, to new: String) throws(DiskError) { try obey() }
    func remove(_ name: String) throws(DiskError) {}
    func syncDirectory() throws(DiskError) { try obey() }
}

@Suite struct JournalLaneTests {
    private func lane(on disk: ScriptedDisk) throws -> JournalLane {
        let journal = Journal(
            resuming: RecoveryReport(),
            limits: JournalLimits(segmentBytes: 1 << 20, batchBytesMax: 64 << 10), salt: 1)
        return try JournalLane(journal, on: disk)
    }

    private func append(_ lane: inout JournalLane, isGate: Bool) {
        [UInt8(1), 2, 3].withUnsafeBytes { lane.append($0, isGate: isGate) }
    }

    @Test("a gate is synced at once, all that gathered behind it in one batch")
    func groupCommit() throws {
        let disk = ScriptedDisk()
        var lane = try lane(on: disk)
        while try lane.waitForJob() {}
        for _ in 0..<100 { append(&lane, isGate: true) }
        let before = disk.script.withLock { $0.syncs }
        while try lane.waitForJob() {}
        let positions = (lane.appendedPosition, lane.durablePosition)
        #expect(positions == (100, 100))
        #expect(disk.script.withLock { $0.syncs } - before <= 3)
    }

    @Test("what nothing waits for stays until its interval is over")
    func interval() throws {
        let disk = ScriptedDisk()
        var lane = try lane(on: disk)
        while try lane.waitForJob() {}
        append(&lane, isGate: false)
        lane.sync(by: 500)
        lane.sync(by: 700)
        let writes = disk.script.withLock { $0.writes }
        lane.startJob(now: 499)
        #expect(disk.script.withLock { $0.writes } == writes)
        let waits = lane.syncBy
        #expect(waits == 500)
        lane.startJob(now: 500)
        while try lane.waitForJob() {}
        let after = (lane.durablePosition, lane.syncBy)
        #expect(after == (1, nil))
    }

    @Test("after a failed sync nothing becomes durable, and nothing is tried again")
    func failedSync() throws {
        let disk = ScriptedDisk()
        var lane = try lane(on: disk)
        while try lane.waitForJob() {}
        let error = DiskError.failed("journal", errno: EIO)
        disk.refuse(error)
        append(&lane, isGate: true)
        var thrown: DiskError?
        do throws(DiskError) { _ = try lane.waitForJob() } catch { thrown = error }
        #expect(thrown == error)
        disk.refuse(nil)
        let operations = disk.script.withLock { $0.writes + $0.syncs }
        append(&lane, isGate: true)
        lane.startJob(now: 1)
        let more = try lane.waitForJob()
        let durable = lane.durablePosition
        #expect(!more && durable == 0)
        #expect(disk.script.withLock { $0.writes + $0.syncs } == operations)
    }

    @Test("what is due and cannot start wakes nobody: something else will call")
    func dueWithoutRoom() throws {
        let disk = ScriptedDisk()
        disk.refuse(.full("journal"))
        var lane = try lane(on: disk)
        while try lane.waitForJob() {}
        lane.startJob(now: 10)
        while try lane.waitForJob() {}
        append(&lane, isGate: false)
        lane.sync(by: 500)
        let before = lane.nextDeadline(after: 20)
        #expect(before == 500)
        lane.startJob(now: 500)
        let after = lane.nextDeadline(after: 500)
        #expect(after == lane.retryAt)
    }

    @Test("while the disk is busy no deadline counts: its outcome calls")
    func dueBehindJob() throws {
        let disk = ScriptedDisk()
        var lane = try lane(on: disk)
        while try lane.waitForJob() {}
        append(&lane, isGate: true)
        lane.startJob(now: 1)
        append(&lane, isGate: false)
        lane.sync(by: 500)
        let due = lane.nextDeadline(after: 1)
        #expect(due == nil)
    }

    @Test("a full disk is no failure: it is tried again, once a second, until there is room")
    func fullDisk() throws {
        let disk = ScriptedDisk()
        disk.refuse(.full("journal"))
        var lane = try lane(on: disk)
        while try lane.waitForJob() {}
        let isFull = lane.journal.room == .none
        #expect(isFull)
        lane.startJob(now: 10)
        _ = try lane.waitForJob()
        let retry = lane.retryAt
        #expect(retry == 1_000_000_010)
        disk.refuse(nil)
        lane.startJob(now: 1_000_000_010)
        while try lane.waitForJob() {}
        let stillFull = lane.journal.room != .free
        #expect(!stillFull)
        append(&lane, isGate: true)
        while try lane.waitForJob() {}
        let isIdle = lane.isIdle
        #expect(isIdle)
    }
}
