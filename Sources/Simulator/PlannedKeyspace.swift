import Base
import Causality

/// A keyspace of a run, and what it promises.
struct PlannedKeyspace {
    enum Durability {
        case fsync, interval, memory

        /// As `KEYSPACE` commands take it.
        var text: String {
            switch self {
            case .fsync: "fsync"
            case .interval: "interval(\(PlannedKeyspace.intervalMilliseconds))"
            case .memory: "memory"
            }
        }
    }

    static let intervalMilliseconds: UInt64 = 50

    /// What the operator does to it besides emptying it with everything else.
    /// What is turned keeps values of another kind when it is made again.
    /// What is shifted is kept in memory and on disk by turns.
    enum Life { case fixed, dropped, resized, turned, shifted }

    let name: String
    let n: Int
    let r: Int
    let w: Int
    var durability: Durability
    let isSiblings: Bool
    let keys: Int
    var readRepairPerMille: Int
    let timeoutMilliseconds: Int
    var life = Life.fixed
    /// No request may ask for less than r and w.
    var hasStrongFloor = false
    var isSloppy = false
    var hedge = "p99"
    /// Of siblings: clients write with SET and DEL, which replace what the node holds.
    var isPlain = false
    /// Values that merge; each key has a role (`TypedRole`).
    var isTyped = false
    /// The number of the key of a typed keyspace to which much happens.
    var hotKey = 0
    /// Concurrent values of a key, and what becomes of a write that would leave more.
    var siblingsMax = 100
    var overflow = OverflowPolicy.refuse

    static let hedges = ["off", "p50", "p99.9", "0ms", "30ms"]

    private var conflict: String { isTyped ? "crdt" : isSiblings ? "siblings" : "lww" }
    var mayBeInMemory: Bool { durability == .memory || life == .shifted }
    /// Whether it is there from the beginning.
    var isConfigured: Bool { life == .fixed || life == .resized || life == .shifted }

    /// Assignments as `KEYSPACE CREATE` takes them.
    var settings: [String] { settings(History.Shape(self)) }

    func settings(_ shape: History.Shape) -> [String] {
        [
            "n=\(shape.n)", "r=\(shape.r)", "w=\(shape.w)",
            "durability=\(shape.durability.text)",
            "conflict=\(conflict)", "timeout=\(timeoutMilliseconds)",
            "readrepair=\(readRepairPerMille)", "sloppy=\(isSloppy ? "on" : "off")",
            "siblings=\(siblingsMax)", "overflow=\(overflow)",
            "hedge=\(hedge)",
        ] + (hasStrongFloor ? ["floor=strong"] : [])
    }

    static func draw(nodes: Int, _ random: inout PRNG) -> [PlannedKeyspace] {
        var drawn: [PlannedKeyspace] = []
        func add(
            _ name: String, _ quorums: (n: Int, r: Int, w: Int), _ durability: Durability,
            siblings: Bool = false
        ) {
            drawn.append(
                PlannedKeyspace(
                    name: name, n: quorums.n, r: quorums.r, w: quorums.w, durability: durability,
                    isSiblings: siblings, keys: 1 + random.below(4),
                    readRepairPerMille: [0, 0, 100, 1_000][random.below(4)],
                    timeoutMilliseconds: 100 + random.below(500)))
        }
        add("strict", (3, 2, 2), .fsync)
        add("sib", (3, 2, 2), .fsync, siblings: true)
        let kinds = 1 + random.below(4)
        for kind in 0..<kinds {
            switch random.below(6) {
            case 0: add("rone\(kind)", (3, 1, 3), .fsync)
            case 1: add("loose\(kind)", (3, 1, 1), .interval)
            case 2: add("ram\(kind)", (3, 2, 2), .memory, siblings: random.below(2) == 0)
            case 3: add("alone\(kind)", (1, 1, 1), .fsync)
            case 4: add("wone\(kind)", (3, 3, 1), .fsync, siblings: random.below(2) == 0)
            default:
                let n = 1 + random.below(nodes)
                add(
                    "any\(kind)", (n, 1 + random.below(n), 1 + random.below(n)),
                    [.fsync, .interval, .memory][random.below(3)], siblings: random.below(3) == 0)
            }
        }
        return drawn
    }
}
