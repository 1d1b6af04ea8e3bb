import Base
import Storage
import Testing

/// A store of keys on a volume that it fills, driven as a server drives it.
private struct Volume: ~Copyable {
    /// A sixteenth of a server's.
    static let limits = JournalLimits(segmentBytes: 4 << 20, batchBytesMax: 576 << 10)

    let name: String
    var world: World
    /// The size of each key's value.
    var state: [UInt16: Int] = [:]
    private var salt: UInt64 = 1

    init(_ capacity: Int, _ name: String) {
        self.name = name
        world = World(limits: Volume.limits, capacity: capacity)
        tend()
    }

    /// - Returns: false when the volume has no room for it.
    mutating func set(_ key: UInt16, _ size: Int) -> Bool {
        let needed = size + 16
        return wait(
            until: { $0.room == .free && $0.allowance.writes >= needed },
            then: { $0.put(key, size) })
    }

    /// Adds to a key's value what takes more room in it than in its record.
    mutating func grow(_ key: UInt16, by size: Int, tenths: Int) -> Bool {
        let grown = size * tenths / 10
        let needed = size + 16 + 2 * (grown - size)
        return wait(
            until: { $0.room == .free && $0.allowance.writes >= needed },
            then: {
                $0.state[key, default: 0] += grown
                $0.world.append(Volume.record(2, key, [UInt8(tenths)], size))
                $0.tend()
            })
    }

    /// Takes a part of a key's value away, with a record as large as that, which needs no more room
    /// than what it takes away gives back.
    mutating func shrink(_ key: UInt16, by size: Int) -> Bool {
        wait(
            until: {
                ($0.room == .free || $0.room == .deletions)
                    && $0.allowance.deletions >= min(size, 512) + 16
            },
            then: {
                $0.state[key, default: 0] -= size
                $0.world.append(Volume.record(3, key, [], size))
                $0.tend()
                let journal = $0.world.journal.durablePosition == $0.world.journal.lastPosition
                #expect(journal, "\($0.name): a deletion is written")
            })
    }

    mutating func delete(_ key: UInt16) -> Bool {
        wait(
            until: {
                ($0.room == .free || $0.room == .deletions) && $0.allowance.deletions >= 16
            },
            then: { $0.remove(key) })
    }

    private mutating func put(_ key: UInt16, _ size: Int) {
        state[key] = size
        world.append(Volume.record(1, key, [], size))
        tend()
    }

    private mutating func remove(_ key: UInt16) {
        state[key] = nil
        world.append([0, UInt8(key & 0xFF), UInt8(key >> 8)])
        tend()
    }

    /// What is refused is tried again some seconds later.
    private mutating func wait(
        until isTaken: (borrowing Journal) -> Bool, then body: (inout Volume) -> Void
    ) -> Bool {
        for _ in 0..<4 {
            if isTaken(world.journal) {
                body(&self)
                return true
            }
            world.journal.isWanted = true
            world.journal.retryPreparing()
            tend()
        }
        return false
    }

    /// What a server's turn does behind its effects.
    private mutating func tend() {
        world.settle()
        expect()
        guard world.journal.checkpointIsDue(after: 16 << 20), world.journal.beginCheckpoint() else {
            return world.settle()
        }
        // Somebody else's record comes while it begins.
        if world.journal.counters.checkpointsFinished % 2 == 1 { world.append([0, 255, 255]) }
        for (key, size) in state {
            Volume.record(1, key, [], size).withUnsafeBytes {
                world.journal.appendToCheckpoint($0)
            }
        }
        world.journal.finishCheckpoint()
        world.settle()
    }

    private mutating func expect() {
        world.journal.checkpointBytesExpected = 4_096 + state.values.reduce(0) { $0 + $1 + 8 }
    }

    /// Kills the process and starts it again.
    mutating func restart() throws {
        salt += 1
        world.disk.crash()
        let recovered = try world.restart(salt: salt)
        #expect(Volume.state(recovered.payloads) == state, "\(name)")
        expect()
        tend()
    }

    private static func record(
        _ kind: UInt8, _ key: UInt16, _ more: [UInt8], _ size: Int
    ) -> [UInt8] {
        [kind, UInt8(key & 0xFF), UInt8(key >> 8)] + more + [UInt8](repeating: 7, count: size)
    }

    private static func state(_ payloads: [[UInt8]]) -> [UInt16: Int] {
        var state: [UInt16: Int] = [:]
        for payload in payloads {
            let key = UInt16(payload[1]) | UInt16(payload[2]) << 8
            switch payload[0] {
            case 1: state[key] = payload.count - 3
            case 2: state[key, default: 0] += (payload.count - 4) * Int(payload[3]) / 10
            case 3: state[key, default: 0] -= payload.count - 3
            default: state[key] = nil
            }
        }
        return state
    }
}

/// A volume that is full of state: whoever deletes arrives at one that takes writes.
@Suite struct FullDiskTests {
    private func fill(
        _ volume: inout Volume, from first: UInt16, _ size: (UInt16) -> Int
    ) -> UInt16 {
        var key = first
        while key < 60_000, volume.set(key, size(key)) { key += 1 }
        return key
    }

    /// - Parameter restarts: after the volume has been filled, with a deletion before each.
    private func tryOut(
        _ capacity: Int, _ restarts: UInt16, _ name: String, _ size: (UInt16) -> Int
    ) throws {
        var volume = Volume(capacity, name)
        let end = fill(&volume, from: 0, size)
        let stored = volume.state.values.reduce(0, +)
        #expect(end > 0, "\(name): a write finds room")
        // Smaller values take whole sectors, and larger ones leave room that they do not fit into.
        if size(0) > 1_000, size(0) < capacity / 400 {
            #expect(stored * 4 >= capacity, "\(name): a quarter of the volume is state")
        }
        for number in 0..<restarts {
            let isTaken = number >= end || volume.delete(number)
            #expect(isTaken, "\(name), life \(number)")
            try volume.restart()
        }
        for key in 0..<end / 2 {
            guard volume.delete(key) else {
                Issue.record("\(name): deletion \(key) of \(end) finds no room")
                return
            }
        }
        let isHalfEnough = volume.set(0, min(size(0), capacity / 32))
        #expect(isHalfEnough, "\(name): half was deleted")
        let further = fill(&volume, from: end, size)
        try volume.restart()
        for key in 0..<further {
            guard volume.delete(key) else {
                Issue.record("\(name): deletion \(key) of \(further) finds no room")
                return
            }
        }
        let isAllEnough = volume.set(0, size(0))
        #expect(isAllEnough, "\(name): all was deleted")
        try volume.restart()
        let failure = volume.world.journal.failure
        #expect(failure == nil)
    }

    @Test("deletions find room on a full volume of any size, after any number of restarts")
    func deletions() throws {
        for (capacity, sizes) in [
            (320 << 10, [100, 1_300]), (512 << 10, [100, 1_300]), (1 << 20, [100, 1_300]),
            (2 << 20, [1_300, 64_000]), (6 << 20, [1_300, 64_000]), (19 << 20, [64_000]),
        ] {
            for size in sizes {
                for restarts: UInt16 in [0, 1, 3] {
                    try tryOut(
                        capacity, restarts, "\(size) bytes on \(capacity), \(restarts) restarts"
                    ) { _ in size }
                }
            }
        }
    }

    /// - Parameters:
    ///   - size: of records that add and that remove.
    ///   - tenths: how much state ten bytes of a record become.
    private func tryOutGrowing(_ capacity: Int, _ size: Int, tenths: Int) throws {
        let name = "\(size) bytes become \(size * tenths / 10) on \(capacity)"
        var volume = Volume(capacity, name)
        var random = PRNG(seed: UInt64(capacity + size))
        for round in 0..<6 {
            var added = 0
            while volume.grow(UInt16(random.below(20)), by: size, tenths: tenths) { added += 1 }
            #expect(added > 0, "\(name), round \(round): a write finds room")
            if round == 0 {
                let stored = volume.state.values.reduce(0, +)
                #expect(stored * 6 >= capacity, "\(name): a sixth of the volume is state")
            }
            if round % 2 == 1 { try volume.restart() }
            // A third goes, or all of it.
            let left = volume.state.values.reduce(0, +) * (round % 3 == 2 ? 0 : 2) / 3
            while let (key, held) = volume.state.first(where: { $0.value >= size }),
                volume.state.values.reduce(0, +) > left
            {
                guard volume.shrink(key, by: min(size, held)) else {
                    Issue.record("\(name), round \(round): a deletion finds no room")
                    return
                }
            }
            if round % 2 == 0 { try volume.restart() }
        }
        let failure = volume.world.journal.failure
        #expect(failure == nil)
    }

    @Test("states that grow by more than their records do not take the room of deletions")
    func growing() throws {
        for (capacity, size, tenths) in [
            (512 << 10, 100, 30), (512 << 10, 1_000, 22), (512 << 10, 5_000, 17),
            (512 << 10, 5_000, 35), (1 << 20, 400, 35), (1 << 20, 9_000, 11),
            (3 << 20, 3_000, 22), (3 << 20, 30_000, 17), (3 << 20, 30_000, 35),
        ] {
            try tryOutGrowing(capacity, size, tenths: tenths)
        }
    }

    @Test("values of all sizes beside each other")
    func mixture() throws {
        for capacity in [512 << 10, 3 << 20, 6 << 20] {
            for restarts: UInt16 in [0, 2] {
                try tryOut(capacity, restarts, "all sizes on \(capacity), \(restarts) restarts") {
                    [40, 900, 5_000, 17, 30_000][Int($0) % 5]
                }
            }
        }
    }

    @Test("a value of half the size that finds room is taken again whenever it was deleted")
    func large() throws {
        for capacity in [1 << 20, 2 << 20, 3 << 20] {
            var volume = Volume(capacity, "\(capacity)")
            var size = 16 << 10
            while size < 500 << 10, volume.set(1, size), volume.delete(1) { size += 16 << 10 }
            for _ in 0..<30 {
                let isTaken = volume.set(1, size / 2)
                let isDeleted = volume.delete(1)
                #expect(isTaken && isDeleted, "\(size) bytes on \(capacity)")
            }
        }
    }

    @Test("one key that is written over needs no deletion: the journal is freed by checkpoints")
    func overwritten() throws {
        for capacity in [320 << 10, 1 << 20, 6 << 20] {
            var volume = Volume(capacity, "\(capacity)")
            for _ in 0..<3_000 {
                guard volume.set(1, 2_000) else {
                    Issue.record("no room on \(capacity)")
                    return
                }
            }
            // Each frees a good part of what it makes room for.
            let journal = volume.world.journal.counters
            #expect(journal.checkpointsFinished > 0)
            #expect(journal.checkpointsFinished * capacity / 16 < journal.diskBytes)
            try volume.restart()
        }
    }
}
