import Base
import Causality
import Quorum

/// One keyspace as this node sees it.
public struct KeyspaceFigures: Sendable {
    public let name: String
    /// What its records are kept by from now on; the definition that says so is on disk.
    public let durability: Durability
    /// Live keys, expired ones included.
    public let keys: Int
    public let contents: KeyspaceContents
    /// Keys with half as many concurrent values as they may have, or more, and two at least.
    public let crowdedKeys: Int
    /// By `OperationClass`.
    let operations: [OperationFigures]
    /// How stale its sampled reads were.
    public let staleness: StalenessFigures
    /// Nanoseconds after which a read asks one more replica; nil where none does.
    public let hedgeDelay: UInt64?

    /// What became of one class of its operations.
    public subscript(operation: OperationClass) -> OperationFigures {
        operations[operation.rawValue]
    }
}

/// Another node as this one sees it.
public struct LinkFigures: Equatable, Sendable {
    public let node: NodeID
    public let isUp: Bool
    /// Whether it is up and something came over it in the last 0.8 s.
    public let isHeard: Bool
    /// Whether the members believe the node to be alive, or suspect it at most.
    public let isBelievedAlive: Bool
    /// Milliseconds that its wall clock is ahead of this node's, as last heard; nil while nothing
    /// has been heard.
    public let clockAheadMilliseconds: Int64?
    /// Hints that this node keeps for it.
    public let hints: Int
    /// What they take, bytes.
    public let hintBytes: Int
    /// How old the oldest is, milliseconds; 0 without any.
    public let oldestHintMilliseconds: UInt64
}

// What an operator watches. Plain integers; the driver renders them.
extension Node {
    /// Every keyspace that exists, and dropped ones that still have records or had operations.
    ///
    /// - Complexity: O(keyspaces).
    public var keyspaceFigures: [KeyspaceFigures] {
        catalog.definitions.indices.filter { !catalog.active[$0].isVacant }.compactMap { index in
            let operations = OperationClass.allCases.map { ledger[index, $0] }
            let sums = holdings.keyspaces[index]
            let isIdle = sums.contents.records == 0 && operations.allSatisfy { $0.count == 0 }
            guard !catalog.active[index].isDropped || !isIdle else { return nil }
            return KeyspaceFigures(
                name: String(decoding: catalog.definitions[index].name, as: UTF8.self),
                durability: catalog.active[index].durability,
                keys: sums.keys, contents: sums.contents, crowdedKeys: crowdedKeys(index),
                operations: operations,
                staleness: index < staleness.count ? staleness[index] : StalenessFigures(),
                hedgeDelay: hedgeDelay(index))
        }
    }

    private func crowdedKeys(_ keyspace: Int) -> Int {
        let siblingsMax = Int(catalog.active[keyspace].settings.siblingsMax)
        return holdings.keyspaces[keyspace].contents.keys(
            withSiblings: max(2, (siblingsMax + 1) / 2))
    }

    /// Every other node, ascending.
    public var linkFigures: [LinkFigures] {
        return links.indices.filter { links[$0].node != configuration.node }.map { index in
            let link = links[index]
            return LinkFigures(
                node: link.node, isUp: link.isUp, isHeard: isHeard(index),
                isBelievedAlive: membership.isReachable(link.node),
                clockAheadMilliseconds: clock.aheadMilliseconds(of: index),
                hints: hints[index].count, hintBytes: hints[index].byteCount,
                oldestHintMilliseconds: oldestHintMilliseconds(index))
        }
    }

    /// Client connections.
    public var sessionCount: Int { openSessions }
    /// Bytes that tables and records take.
    public var allocatedBytes: Int { store.allocatedBytes }
    /// Bytes that they may take.
    public var memoryBytesMax: Int { configuration.memoryBytesMax }
    /// Bytes that hints may take.
    public var hintBytesMax: Int { configuration.hintBytesMax }
    /// Reads, writes and forwarded commands under way.
    public var operationsUnderWay: Int { writes.count + reads.count + forwards.count }

    /// Whether `endTurn` is owed.
    public var hasEndings: Bool { ledger.hasEndings }

    /// Ends the latencies of what this turn answered: the driver calls it when the replies have
    /// been written.
    ///
    /// - Parameter monotonic: the clock now, nanoseconds; not before the last step's.
    public mutating func endTurn(at monotonic: UInt64) {
        ledger.endTurn(beganAt: now.monotonic, endedAt: monotonic)
    }
}

// Accounting for one operation each.
extension Node {
    mutating func answered(_ operation: OperationClass, _ keyspace: Int, _ head: OperationHead) {
        ledger.answered(
            keyspace, operation, begunAt: head.begunAt, now: now.monotonic)
    }

    mutating func countUnavailable(_ operation: OperationClass, _ keyspace: Int) {
        counters.unavailable += 1
        ledger.failed(keyspace, operation, .unavailable)
    }

    mutating func overload(
        _ operation: OperationClass, _ keyspace: Int, _ target: ReplyTarget,
        _ effects: inout Effects
    ) {
        ledger.failed(keyspace, operation, .overloaded)
        overload(target, &effects)
    }

    /// A read that a client waits for has been decided; the node's own do not count.
    mutating func count(_ read: ReadOperation, _ outcome: OperationOutcome) {
        guard !read.purpose.isComparison else { return }
        guard outcome != .ok else { return answered(.read, read.keyspace, read.head) }
        ledger.failed(read.keyspace, .read, outcome)
    }
}

extension OperationOutcome {
    /// What another node's error reply says; nil when it is no error.
    init?(failedReply reply: UnsafeRawBufferPointer) {
        guard reply.first == UInt8(ascii: "-") else { return nil }
        let word = reply.dropFirst().prefix { $0 != UInt8(ascii: " ") }
        if word.elementsEqual("UNAVAILABLE".utf8) {
            self = .unavailable
        } else if word.elementsEqual("UNKNOWN".utf8) {
            self = .unknown
        } else {
            self = word.elementsEqual("OVERLOADED".utf8) ? .overloaded : .refused
        }
    }
}

extension Refusal {
    /// How a write ends that every replica refused for this reason.
    var outcome: OperationOutcome {
        switch self {
        case .unreachable, .wrongEpoch: .unavailable
        case .overloaded: .overloaded
        case .diskFull, .tooLarge, .clockAhead: .refused
        }
    }
}
