import Base

/// What will happen in a world, and where.
enum Event {
    /// A process may have a deadline, a sync or a retry that is due.
    case wake(machine: Int, life: Int)
    /// A process looks after what its last turn left.
    case turn(machine: Int, life: Int)
    /// The journal's job under way ends.
    case diskDone(machine: Int, life: Int)
    case frame(from: Int, to: Int, generation: Int, [UInt8])
    case greeting(from: Int, to: Int, generation: Int, opens: Bool, [UInt8])
    case call(from: Int, to: Int)
    /// One end of a link finds out that it is broken.
    case linkLost(at: Int, from: Int, generation: Int)
    /// A caller's patience with a greeting ends.
    case greetingOver(at: Int, from: Int, generation: Int)
    case toNode(client: Int, generation: Int, [UInt8])
    case toClient(client: Int, generation: Int, [UInt8])
    /// The connection's other end is gone.
    case hungUp(client: Int, generation: Int)
    case clientTurn(client: Int)
    case clientPatience(client: Int, generation: Int, request: Int)
    case fault(FaultKind)
    /// Who lost its disk dies once more.
    case relapse(machine: Int)
    case administer
    case heal(Mend)
    case start(machine: Int)
    /// A process ends so that its node can begin another life.
    case rebirth(machine: Int, life: Int)
    case phase(Phase)
}

/// Events by time, and by the order in which they were put in where times are equal.
struct EventQueue {
    /// An event and its place in the order.
    struct Entry {
        let time: UInt64
        fileprivate let sequence: UInt64
        let event: Event

        fileprivate func precedes(_ other: Entry) -> Bool {
            time == other.time ? sequence < other.sequence : time < other.time
        }
    }

    private var heap: [Entry] = []
    private var nextSequence: UInt64 = 0

    /// When the next thing happens.
    var nextTime: UInt64? { heap.first?.time }

    mutating func insert(_ event: Event, at time: UInt64) {
        insert(Entry(time: time, sequence: nextSequence, event: event))
        nextSequence += 1
    }

    /// Puts an event off; it stays ahead of what was put in after it.
    mutating func postpone(_ entry: Entry, to time: UInt64) {
        insert(Entry(time: time, sequence: entry.sequence, event: entry.event))
    }

    private mutating func insert(_ entry: Entry) {
        heap.append(entry)
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard heap[child].precedes(heap[parent]) else { return }
            heap.swapAt(child, parent)
            child = parent
        }
    }

    mutating func removeFirst() -> Entry? {
        guard let first = heap.first else { return nil }
        let last = heap.removeLast()
        guard !heap.isEmpty else { return first }
        heap[0] = last
        sink()
        return first
    }

    private mutating func sink() {
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2]
            where child < heap.count && heap[child].precedes(heap[least]) { least = child }
            guard least != parent else { return }
            heap.swapAt(parent, least)
            parent = least
        }
    }
}
