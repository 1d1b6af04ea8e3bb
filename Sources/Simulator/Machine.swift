import Base
import Replication
import Storage

/// One computer of a world: a disk, a clock, and at times a process.
final class Machine {
    let index: Int
    let node: NodeID
    var random: PRNG
    var disk: SimulatedDisk
    var process: Process?
    /// Counts processes; what belongs to an earlier one finds that out.
    var life = 0
    var pausedUntil: UInt64 = 0
    var diskFactor: UInt64 = 1
    /// Milliseconds that its clock is off, within the plan's bound.
    let skewMilliseconds: Int
    let driftPartsPerMillion: Int
    /// Milliseconds that its clock has jumped by.
    var jumpMilliseconds = 0
    /// A bit of its disk has flipped.
    var isRotten = false
    /// Rot was found here: the next start leaves out what is damaged.
    var quarantines = false
    /// Its disk was emptied, and what it held may not all be back.
    var isWiped = false
    /// The list of members has changed since it started last.
    var takesOtherMembers = false
    /// It stays dead until everything is healed; another one takes its place then.
    var isReplaced = false
    /// What its disk held at some earlier time.
    var backup: SimulatedDisk?
    /// The next process takes an epoch above this one.
    var epochAbove: UInt64 = 0
    /// Who the last process was.
    var lastIdentity: ReplicaIdentity?

    /// 2025-01-01T00:00Z in milliseconds.
    static let wallBase: UInt64 = 1_735_689_600_000

    init(index: Int, skewMax: Int, random: inout PRNG) {
        self.index = index
        node = NodeID(UInt16(index + 1))
        self.random = random.split()
        disk = SimulatedDisk(prng: random.split())
        skewMilliseconds = random.below(skewMax + 1)
        driftPartsPerMillion = skewMax == 0 ? 0 : random.below(200)
    }

    func now(_ time: UInt64) -> Instant {
        let elapsed = Int(time / 1_000_000)
        let drift = elapsed * driftPartsPerMillion / 1_000_000
        return Instant(
            monotonic: time,
            wallMilliseconds: UInt64(
                Int(Machine.wallBase) + elapsed + drift + skewMilliseconds + jumpMilliseconds))
    }
}

/// One life of a node: from a start to a stop or a crash. Interprets what `Server` interprets.
final class Process {
    /// What waits for the disk.
    enum Held {
        case reply(connection: Int, generation: Int, [UInt8])
        case close(connection: Int, generation: Int)
        case more(connection: Int, generation: Int)
        case send(to: Int, generation: Int, [UInt8])
        case disconnect(from: Int, generation: Int)
        case notify(UInt64)
        case beginLife(above: UInt64)
    }

    /// What the next turn starts with.
    enum Settlement {
        case reached(UInt64)
        case linkGone(Int)
        case diskRoom
        case replied(connection: Int, generation: Int)
        case more(connection: Int, generation: Int)
        case clientGone(Int)
    }

    struct Connection {
        let client: Int
        let generation: Int
        var unread: [UInt8] = []
        var heldCount = 0
        var isStalled = false
        var isGone = false
    }

    var node: Node
    var journal: Journal
    var effects = Effects()
    var holds: [(position: UInt64, held: Held)] = []
    var connections: [Connection?] = []
    var settlements: [Settlement] = []
    var isTurnDue = false
    var isGating = false
    var syncBy: UInt64?
    var retryAt: UInt64?
    var diskRoom = DiskRoom.free
    /// When the next wake event comes.
    var wakeAt = UInt64.max
    var job: DiskJob?
    var checkpointStage = CheckpointStage.idle
    var steps = 0

    enum CheckpointStage {
        case idle, begun
        case feeding(UInt64)
    }

    init(_ node: consuming Node, _ journal: consuming Journal) {
        self.node = node
        self.journal = journal
    }
}
