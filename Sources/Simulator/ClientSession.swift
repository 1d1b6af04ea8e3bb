import Base
import Causality

/// What a client's session has seen, as its promises have it: what the node is held to.
///
/// Source: Terry et al., "Session Guarantees for Weakly Consistent Replicated Data" (1994), §3.
struct ClientSession {
    /// By key, where the newest write wins: no read may show what is older than this.
    var floors = SortedMap<Int, Dot>()
    /// By key of siblings: values that a read shows, unless a write replaced them.
    var values = SortedMap<Int, [Int]>()
    /// By key of siblings: values that the session's own writes replaced.
    var replaced = SortedMap<Int, [Int]>()
    /// The session's next write is stamped later than this.
    var order = Stamp(rawValue: 0)

    mutating func saw(_ key: Int, _ dot: Dot) {
        floors[key] = max(floors[key] ?? dot, dot)
        order = max(order, dot.stamp)
    }

    /// - Parameter replacing: what the session's own write replaced.
    mutating func saw(_ key: Int, values seen: [Int], replacing: [Int] = []) {
        let all = (values[key] ?? []) + seen
        let gone = (replaced[key] ?? []) + replacing
        replaced[key] = gone
        values[key] = all.filter { !gone.contains($0) }
    }

    /// Takes over what another session has seen.
    mutating func join(_ other: ClientSession) {
        for (key, dot) in other.floors { saw(key, dot) }
        for (key, seen) in other.values { saw(key, values: seen) }
        for (key, gone) in other.replaced { saw(key, values: [], replacing: gone) }
        order = max(order, other.order)
    }
}

/// A token that a session gave out, and what it stands for.
struct HandedToken {
    let token: [UInt8]
    let session: ClientSession
}
