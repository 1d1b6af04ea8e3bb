import Base
import Reactor
import Synchronization

/// Real files whose syncs can be held back, and whose operations can be refused.
final class FaultyDisk: Disk, Sendable {
    private struct Faults {
        var holdsSyncs = false
        var syncFailure: DiskError?
        var isFull = false
        /// What all files may take together.
        var capacityBytes = Int.max
    }

    private let files: FileDisk
    private let faults = Mutex(Faults())
    private let released = Semaphore()

    init(path: String) throws(DiskError) { files = try FileDisk(path: path) }

    /// The next syncs do not return before `releaseSyncs`.
    func holdSyncs() { faults.withLock { $0.holdsSyncs = true } }

    func releaseSyncs() {
        faults.withLock { $0.holdsSyncs = false }
        released.signal()
    }

    func failSyncs(_ error: DiskError) { faults.withLock { $0.syncFailure = error } }
    func setFull(_ isFull: Bool) { faults.withLock { $0.isFull = isFull } }

    func setCapacity(_ bytes: Int) { faults.withLock { $0.capacityBytes = bytes } }

    /// What all files take together.
    func usedBytes() throws(DiskError) -> Int {
        var sum = 0
        for name in try files.list() { sum += try files.size(of: name) }
        return sum
    }

    private func needRoom(_ name: String, _ bytes: Int) throws(DiskError) {
        let (isFull, capacity) = faults.withLock { ($0.isFull, $0.capacityBytes) }
        if isFull { throw .full(name) }
        guard capacity < .max else { return }
        if try usedBytes() + bytes > capacity { throw .full(name) }
    }

    func sync(_ name: String) throws(DiskError) {
        while faults.withLock({ $0.holdsSyncs }) { released.wait() }
        if let error = faults.withLock({ $0.syncFailure }) { throw error }
        try files.sync(name)
    }

    func create(_ name: String, size: Int) throws(DiskError) {
        try needRoom(name, size)
        try files.create(name, size: size)
    }

    func write(_ name: String, at offset: Int, _ bytes: UnsafeRawBufferPointer) throws(DiskError) {
        let growth = try offset + bytes.count - files.size(of: name)
        if growth > 0 { try needRoom(name, growth) }
        try files.write(name, at: offset, bytes)
    }

    func list() throws(DiskError) -> [String] { try files.list() }
    func size(of name: String) throws(DiskError) -> Int { try files.size(of: name) }
    func read(
        _ name: String, at offset: Int, into target: UnsafeMutableRawBufferPointer
    ) throws(DiskError) -> Int { try files.read(name, at: offset, into: target) }
    func availableBytes() throws(DiskError) -> Int {
        let (isFull, capacity) = faults.withLock { ($0.isFull, $0.capacityBytes) }
        if isFull { return 0 }
        return capacity < .max ? max(0, capacity - (try usedBytes())) : try files.availableBytes()
    }
    func truncate(_ name: String, to size: Int) throws(DiskError) {
        try files.truncate(name, to: size)
    }
    func rename(_ old: String, to new: String) throws(DiskError) {
        try files.rename(old, to: new)
    }
    func remove(_ name: String) throws(DiskError) { try files.remove(name) }
    func syncDirectory() throws(DiskError) { try files.syncDirectory() }
}
