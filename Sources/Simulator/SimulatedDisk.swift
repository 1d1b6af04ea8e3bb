import Base

/// A data directory in memory that loses, tears, rots or refuses as a real one may, decided by a
/// generator alone.
///
/// What was not synced is lost by `crash()` write by write, in any choice of 512-byte sectors; what
/// was synced stays, unless `flip` rots it. Creations, renames and removals that `syncDirectory`
/// has not confirmed are lost in any choice, or from some point on. A sector is never half written.
///
/// Faults come by rate (`faults`) or by switch (`failNextSync`, `operationsUntilPowerCut`).
public final class SimulatedDisk: Disk {
    private enum DirectoryChange {
        case create(String, SimulatedDiskFile)
        case rename(String, String)
        case remove(String)
    }

    public var faults = SimulatedDiskFaults()
    /// The next `sync` throws EIO.
    public var failNextSync = false
    /// The next `write` throws EIO, after it has taken some of the bytes.
    public var failNextWrite = false
    /// After so many more calls that change something every call throws, until `crash()`; nil for
    /// no power cut.
    public var operationsUntilPowerCut: Int?
    /// Calls that change something, since the start.
    public private(set) var operations = 0

    private var prng: PRNG
    private var current = SortedMap<String, SimulatedDiskFile>()
    private var durable = SortedMap<String, SimulatedDiskFile>()
    private var unsynced: [DirectoryChange] = []
    private static let inputOutputError: Int32 = 5
    private static let exists: Int32 = 17

    public init(prng: PRNG) { self.prng = prng }

    // MARK: Faults by hand

    /// Cuts the power: everything not synced is lost, kept or torn at random, and the disk works
    /// again.
    public func crash() {
        let kept = prng.below(unsynced.count + 1)
        let isOrdered = prng.below(2) == 0
        for (index, change) in unsynced.enumerated() {
            let survives = isOrdered ? index < kept : prng.below(2) == 0
            if survives { SimulatedDisk.apply(change, to: &durable) }
        }
        unsynced.removeAll()
        for file in durable.values { file.crash(&prng) }
        current = durable
        operationsUntilPowerCut = nil
        failNextSync = false
        failNextWrite = false
    }

    /// Rots one bit of a durable file.
    ///
    /// - Parameter bit: counted from the file's start, lowest bit of a byte first.
    public func flip(_ name: String, bit: Int) {
        durable[name]?.flip(bit: bit)
    }

    /// Rots a random bit of a random durable file that is not empty, where something is written
    /// rather than where zeros wait for it.
    ///
    /// - Parameter spared: a file that stays as it is.
    /// - Returns: where, or nil when there is no such file.
    @discardableResult public func flipRandomBit(
        sparing spared: String? = nil
    ) -> (name: String, bit: Int)? {
        let names = durable.filter { !$0.1.durable.isEmpty && $0.0 != spared }.map(\.0)
        guard !names.isEmpty else { return nil }
        let name = names[prng.below(names.count)]
        let bytes = durable[name]?.durable ?? [0]
        var place = prng.below(bytes.count)
        for _ in 0..<100 where bytes[place] == 0 { place = prng.below(bytes.count) }
        let bit = place * 8 + prng.below(8)
        flip(name, bit: bit)
        return (name, bit)
    }

    /// A file's bytes as a running program reads them, nil when there is none of that name.
    public func content(of name: String) -> [UInt8]? { current[name]?.current }

    /// Puts a durable file there, as if copied from elsewhere.
    public func place(_ name: String, _ bytes: [UInt8]) {
        let file = SimulatedDiskFile()
        file.current = bytes
        file.durable = bytes
        current[name] = file
        durable[name] = file
    }

    /// Bytes of all files together, as a running program sees them.
    public var usedBytes: Int { current.values.reduce(0) { $0 + $1.current.count } }

    /// A second disk with the same durable bytes, as a backup holds them.
    public func copy(prng: PRNG) -> SimulatedDisk {
        let other = SimulatedDisk(prng: prng)
        for (name, file) in durable { other.place(name, file.durable) }
        return other
    }

    // MARK: Disk

    public func list() throws(DiskError) -> [String] {
        try requirePower("directory")
        return Array(current.keys)
    }

    public func size(of name: String) throws(DiskError) -> Int { try file(name).current.count }

    public func read(
        _ name: String, at offset: Int, into target: UnsafeMutableRawBufferPointer
    ) throws(DiskError) -> Int {
        let content = try file(name).current
        try fail(name, perMille: faults.readFailurePerMille)
        let count = max(0, min(target.count, content.count - offset))
        content.withUnsafeBytes { bytes in
            guard count > 0 else { return }
            let source = UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + count])
            target.copyMemory(from: source)
        }
        return count
    }

    public func create(_ name: String, size: Int) throws(DiskError) {
        try beginChange(name)
        guard current[name] == nil else { throw .failed(name, errno: SimulatedDisk.exists) }
        try requireRoom(size, name)
        let file = SimulatedDiskFile()
        if size > 0 { file.resize(to: size) }
        change(.create(name, file))
    }

    public func write(
        _ name: String, at offset: Int, _ bytes: UnsafeRawBufferPointer
    ) throws(DiskError) {
        try beginChange(name)
        let file = try file(name)
        try requireRoom(max(0, offset + bytes.count - file.current.count), name)
        if failNextWrite || prng.chance(perMille: faults.writeFailurePerMille) {
            failNextWrite = false
            let taken = prng.below(bytes.count + 1)
            file.write(UnsafeRawBufferPointer(rebasing: bytes[..<taken]), at: offset)
            throw .failed(name, errno: SimulatedDisk.inputOutputError)
        }
        file.write(bytes, at: offset)
    }

    public func sync(_ name: String) throws(DiskError) {
        try beginChange(name)
        let file = try file(name)
        if failNextSync || prng.chance(perMille: faults.syncFailurePerMille) {
            failNextSync = false
            file.failSync(&prng)
            throw .failed(name, errno: SimulatedDisk.inputOutputError)
        }
        file.sync()
    }

    public func availableBytes() throws(DiskError) -> Int {
        try requirePower("directory")
        guard let capacity = faults.capacityBytes else { return .max }
        return max(0, capacity - usedBytes)
    }

    public func truncate(_ name: String, to size: Int) throws(DiskError) {
        try beginChange(name)
        let file = try file(name)
        try requireRoom(max(0, size - file.current.count), name)
        file.resize(to: size)
    }

    public func rename(_ old: String, to new: String) throws(DiskError) {
        try beginChange(old)
        _ = try file(old)
        change(.rename(old, new))
    }

    public func remove(_ name: String) throws(DiskError) {
        try beginChange(name)
        _ = try file(name)
        change(.remove(name))
    }

    public func syncDirectory() throws(DiskError) {
        try beginChange("directory")
        for change in unsynced { SimulatedDisk.apply(change, to: &durable) }
        unsynced.removeAll()
    }

    // MARK: Leaves

    private func change(_ change: DirectoryChange) {
        SimulatedDisk.apply(change, to: &current)
        unsynced.append(change)
    }

    private static func apply(
        _ change: DirectoryChange, to names: inout SortedMap<String, SimulatedDiskFile>
    ) {
        switch change {
        case .create(let name, let file): names[name] = file
        case .rename(let old, let new):
            guard let file = names[old] else { return }
            names[old] = nil
            names[new] = file
        case .remove(let name): names[name] = nil
        }
    }

    private func file(_ name: String) throws(DiskError) -> SimulatedDiskFile {
        try requirePower(name)
        guard let file = current[name] else { throw .notFound(name) }
        return file
    }

    private func requirePower(_ name: String) throws(DiskError) {
        if operationsUntilPowerCut == 0 {
            throw .failed(name, errno: SimulatedDisk.inputOutputError)
        }
    }

    private func beginChange(_ name: String) throws(DiskError) {
        try requirePower(name)
        if let left = operationsUntilPowerCut { operationsUntilPowerCut = left - 1 }
        operations += 1
    }

    private func fail(_ name: String, perMille: Int) throws(DiskError) {
        if perMille > 0, prng.chance(perMille: perMille) {
            throw .failed(name, errno: SimulatedDisk.inputOutputError)
        }
    }

    private func requireRoom(_ extra: Int, _ name: String) throws(DiskError) {
        guard extra > 0, let capacity = faults.capacityBytes else { return }
        if usedBytes + extra > capacity { throw .full(name) }
    }
}
