import Base

/// One file's bytes twice: as a running program reads them, and as they would be found after a
/// power cut.
final class SimulatedDiskFile {
    /// A change that no sync has confirmed.
    enum Change {
        case write(offset: Int, bytes: [UInt8])
        case resize(Int)
    }

    static let sectorBytes = 512

    var current: [UInt8] = []
    var durable: [UInt8] = []
    private(set) var unsynced: [Change] = []

    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) {
        let change = Change.write(offset: offset, bytes: Array(bytes))
        SimulatedDiskFile.apply(change, to: &current)
        unsynced.append(change)
    }

    func resize(to size: Int) {
        SimulatedDiskFile.apply(.resize(size), to: &current)
        unsynced.append(.resize(size))
    }

    func sync() {
        for change in unsynced { SimulatedDiskFile.apply(change, to: &durable) }
        unsynced.removeAll()
    }

    /// What a failed sync does: an unknown part reaches the disk, and the rest counts as clean, so
    /// no later sync writes it, while it can still be read from memory.
    func failSync(_ prng: inout PRNG) {
        settle(&prng)
        unsynced.removeAll()
    }

    /// What a power cut does: an unknown part of what was not synced is on the disk, and memory is
    /// gone.
    func crash(_ prng: inout PRNG) {
        settle(&prng)
        unsynced.removeAll()
        current = durable
    }

    func flip(bit: Int) {
        durable[bit / 8] ^= 1 << UInt8(bit % 8)
        if bit / 8 < current.count { current[bit / 8] ^= 1 << UInt8(bit % 8) }
    }

    /// Each change is lost, kept, or kept in a random choice of its sectors.
    private func settle(_ prng: inout PRNG) {
        for change in unsynced {
            let fate = prng.below(3)
            if fate == 0 { continue }
            if fate == 1 {
                SimulatedDiskFile.apply(change, to: &durable)
                continue
            }
            switch change {
            case .resize: SimulatedDiskFile.apply(change, to: &durable)
            case .write(let offset, let bytes): tear(bytes, at: offset, &prng)
            }
        }
    }

    private func tear(_ bytes: [UInt8], at offset: Int, _ prng: inout PRNG) {
        let keptPerMille = prng.below(1001)
        var start = offset
        while start < offset + bytes.count {
            let sector = SimulatedDiskFile.sectorBytes
            let boundary = (start / sector + 1) * sector
            let end = min(boundary, offset + bytes.count)
            if prng.chance(perMille: keptPerMille) {
                let piece = Array(bytes[start - offset..<end - offset])
                SimulatedDiskFile.apply(.write(offset: start, bytes: piece), to: &durable)
            }
            start = end
        }
    }

    private static func apply(_ change: Change, to content: inout [UInt8]) {
        switch change {
        case .resize(let size): resize(&content, to: size)
        case .write(let offset, let bytes):
            if content.count < offset + bytes.count { resize(&content, to: offset + bytes.count) }
            content.withUnsafeMutableBytes { target in
                UnsafeMutableRawBufferPointer(rebasing: target[offset..<offset + bytes.count])
                    .copyBytes(from: bytes)
            }
        }
    }

    private static func resize(_ content: inout [UInt8], to size: Int) {
        if size < content.count {
            content.removeLast(content.count - size)
        } else {
            content += [UInt8](repeating: 0, count: size - content.count)
        }
    }
}
