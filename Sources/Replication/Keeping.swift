import Base
import Causality
import Coding

/// How far what keyspaces held in memory is written to the journal, now that they are kept on disk.
///
/// Deltas stand upon states that the journal does not have. So all of it is written whole, some a
/// step, like a checkpoint: records, hints, requests with an id. Until that is over a command
/// writes the whole state that it leaves, not what it did to it: what is acknowledged is on disk
/// whatever the walk has come to. A process that ends before the end has lost what it had not
/// written, as if the keyspace were still in memory.
///
/// Whoever changed the keyspace is answered at the end.
struct Keeping {
    private(set) var keyspaces: [Int] = []
    /// As `Node.exportContents` has it.
    private(set) var cursor: UInt64 = 0
    /// The journal has the definitions that the walk follows from.
    private var isBegun = false
    /// The disk takes nothing more now.
    private var isPaused = false

    /// Keyspaces that came to be kept in memory, maybe before this process began.
    private(set) var doubted: [Int] = []

    var isIdle: Bool { keyspaces.isEmpty }
    var canGoOn: Bool { !isIdle && isBegun && !isPaused }

    func contains(_ keyspace: Int) -> Bool { keyspaces.contains(keyspace) }

    /// A keyspace is to be written, behind definitions that are about to be.
    mutating func add(_ keyspace: Int) {
        if !contains(keyspace) { keyspaces.append(keyspace) }
        (cursor, isBegun) = (0, false)
    }

    /// A keyspace is kept in memory again.
    mutating func remove(_ keyspace: Int) { keyspaces.removeAll { $0 == keyspace } }

    mutating func doubt(_ keyspace: Int) {
        if !doubted.contains(keyspace) { doubted.append(keyspace) }
    }

    mutating func takeDoubted() -> [Int] {
        defer { doubted = [] }
        return doubted
    }

    mutating func begin() { isBegun = true }

    /// - Parameter next: where to go on; nil at the end.
    mutating func advance(to next: UInt64?) {
        cursor = next ?? 0
        if next == nil { keyspaces = [] }
    }

    mutating func pause() { isPaused = true }

    mutating func resume() { isPaused = false }
}

extension Node {
    /// Writes the next piece.
    mutating func keepOnDisk(_ budget: inout WorkBudget, _ effects: inout Effects) {
        guard disk.room == .free else { return background.keeping.pause() }
        let keeping = background.keeping
        var piece = ByteBuffer(capacity: 4_096)
        let next = exportContents(
            from: keeping.cursor, bytesMax: WorkBudget.turnBytes, &budget, into: &piece
        ) {
            keeping.contains($0) && catalog.active[$0].durability != .memory
        }
        guard piece.count <= disk.roomForWrites else { return background.keeping.pause() }
        var rest = ByteReader(piece.bytes)
        do throws(DecodeError) {
            while rest.remaining > 0 {
                let payload = try rest.slice(Int(try rest.integer(UInt32.self)))
                effects.append { $0.append(payload) }
            }
        } catch { preconditionFailure("exported state is length-prefixed payloads") }
        background.keeping.advance(to: next)
        if next == nil { endKeeping(keeping.keyspaces, &effects) }
    }

    /// All of these keyspaces went to the journal.
    private mutating func endKeeping(_ keyspaces: [Int], _ effects: inout Effects) {
        for index in keyspaces {
            catalog.standings[index].noteProven(from: firstIdentity.epoch)
            keepStanding(of: index, &effects)
        }
        let change = notifyOfChange(&effects)
        background.reshaping.settleKept(change)
    }

    /// The whole record that goes to the journal in the place of a delta, as the journal does not
    /// have what that stands upon.
    ///
    /// - Parameter delta: as `DeltaRecord.encode` writes it.
    func wholeRecord(inPlaceOf delta: UnsafeRawBufferPointer) -> Record? {
        guard !background.keeping.isIdle, delta.count >= 2 else { return nil }
        let keyBytes = Int(delta[0]) | Int(delta[1]) << 8
        let key = UnsafeRawBufferPointer(rebasing: delta[2..<2 + keyBytes])
        guard background.keeping.contains(catalog.index(of: key)) else { return nil }
        return store.find(store.address(of: key), key)
    }
}
