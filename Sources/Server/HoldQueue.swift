import Base
import Coding

/// Effects that wait until what was persisted before them is durable, in order.
///
/// Invariant: positions never fall from front to back, so what is due is always a prefix.
struct HoldQueue: ~Copyable {
    /// What happens once the position is durable. A generation names one life of a connection or
    /// link: an effect for one that has ended is dropped, even when its index or node is back.
    enum Held {
        case reply(ConnectionID, generation: UInt64, byteCount: Int)
        case close(ConnectionID, generation: UInt64)
        case more(ConnectionID, generation: UInt64)
        case send(NodeID, generation: UInt64, byteCount: Int)
        case disconnect(NodeID, generation: UInt64)
        case notify(UInt64)
        case beginLife(above: UInt64)
    }

    private var entries: [(position: UInt64, held: Held)] = []
    private var head = 0
    private var bytes = OutputQueue(retainedBytes: 1 << 20)

    var isEmpty: Bool { head == entries.count }
    /// What the effect at the back waits for.
    var lastPosition: UInt64 { entries.last?.position ?? 0 }
    /// Bytes of replies and messages that wait.
    var byteCount: Int { bytes.count }

    mutating func append(_ held: Held, at position: UInt64, _ carried: UnsafeRawBufferPointer) {
        bytes.append(carried)
        append(held, at: position)
    }

    mutating func append(_ held: Held, at position: UInt64) {
        precondition(lastPosition <= position, "journal positions never fall")
        entries.append((position, held))
    }

    /// The effect at the front if it is due; `removeFirst` before the next.
    func due(at durablePosition: UInt64) -> Held? {
        guard head < entries.count, entries[head].position <= durablePosition else { return nil }
        return entries[head].held
    }

    /// The bytes that the front effect carries.
    func carried(_ byteCount: Int) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: bytes.bytes[..<byteCount])
    }

    mutating func removeFirst(byteCount: Int = 0) {
        bytes.removeFirst(byteCount)
        head += 1
        if head == entries.count {
            entries.removeAll(keepingCapacity: head <= 4096)
            head = 0
        } else if head > entries.count / 2 && head > 4096 {
            entries.removeFirst(head)
            head = 0
        }
    }
}
