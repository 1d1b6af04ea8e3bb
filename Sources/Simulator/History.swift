import Base
import Causality
import Ring

/// What clients asked, when, and what they were told; beside it every state of a key that any node
/// ever wrote down or sent.
///
/// Values are unique, so a value read names the write that it came from, and the records that pass
/// by name its dot.
struct History {
    enum Kind { case write, delete, read, emptying }

    enum Outcome { case pending, acknowledged, failed, unknown }

    /// One operation on one key.
    struct Operation {
        let kind: Kind
        let keyspace: Int
        /// Index among all keys of the run.
        let key: Int
        /// Replicas that a read asks, or whose acknowledgement a write wants.
        var level: Int
        let invoked: UInt64
        var completed = UInt64.max
        var outcome = Outcome.pending
        /// The values that a write of siblings replaces.
        var replaces: [Int] = []
        /// Where it stands in last-writer-wins order, once known.
        var dot: Dot?
        /// Wall-clock milliseconds, 0 for never.
        var expiry: UInt64 = 0
        /// Nanoseconds before a read within which acknowledged writes may be missing; nil where
        /// its level decides.
        var staleness: UInt64?
        /// Somebody read what it wrote.
        var isSeen = false
        /// What it does to a key of a typed keyspace.
        var change = TypedChange()
    }

    /// A state that some node gave a key.
    struct State {
        let dot: Dot
        /// The operation whose value it holds; nil for a tombstone.
        let value: Int?
        /// Wall-clock milliseconds, 0 for never.
        let expiry: UInt64
    }

    /// One key of the run.
    struct Key {
        let keyspace: Int
        let name: [UInt8]
        var states: [State] = []
        var writes: [Int] = []
        /// A delete whose dot is the next new tombstone's.
        var openDelete: Int?
        /// Somebody asked for an expiry.
        var mayExpire = false
        /// A delete of unknown outcome may mint its tombstone at any time.
        var hasLostDelete = false
        /// In a typed keyspace: the writes that put each element there.
        var adds: [[UInt8]: [Int]] = [:]
        /// In a typed keyspace: the writes that take something away.
        var removals: [Int] = []
        /// In a typed keyspace: the writes that give what they see a time.
        var expiries: [Int] = []
        /// In a typed keyspace: how many powers of two were given to increments.
        var increments = 0
    }

    let plan: Plan
    private(set) var ring: Ring
    var keys: [Key] = []
    var operations: [Operation] = []
    /// When processes stopped, by machine: what was in memory only may be gone then.
    private(set) var stops: [[UInt64]] = []
    /// The keyspaces that the process kept in memory then, by machine and stop.
    private(set) var keptInMemory: [[[String]]] = []
    /// When processes started, by machine.
    private(set) var starts: [[UInt64]] = []
    /// When disks were emptied, never two before the first was refilled.
    var wipes: [UInt64] = []
    /// A disk rotted: what it had acknowledged is gone.
    var isAnythingLost = false
    /// When all disks were put back, and from when on what was acknowledged before is lost.
    var rollBacks: [(from: UInt64, at: UInt64)] = []
    /// Something that was acknowledged may be gone.
    var mayLack: Bool { isAnythingLost || !rollBacks.isEmpty }
    /// When the last hint had reached its node, after everything was healed.
    var handedOffAt = UInt64.max
    /// By keyspace: what it may be.
    var shapes: [[Shape]] = []
    /// By keyspace: the latest stamp that any node emptied it at.
    var emptiedAt: [Stamp] = []
    /// What the operator is emptying, one operation a key.
    var openEmptyings: [Int] = []
    private var keyOfName: [[UInt8]: Int] = [:]
    /// The values that each dot of a sibling names: one, or all that it unites.
    private var valuesOfSibling: [Dot: [Int]] = [:]
    /// The dots of a sibling's write.
    private(set) var siblingDots: [Int: [Dot]] = [:]
    /// Writes of siblings that were the oldest of too many.
    var droppedWrites: Set<Int> = []

    init(_ plan: Plan, members: [Member]) {
        self.plan = plan
        ring = Ring(members: members, epoch: 1)
        stops = Array(repeating: [], count: plan.nodes)
        starts = stops
        keptInMemory = Array(repeating: [], count: plan.nodes)
        emptiedAt = plan.keyspaces.map { _ in Stamp(rawValue: 0) }
        shapes = plan.keyspaces.map { [Shape($0)] }
        for (index, keyspace) in plan.keyspaces.enumerated() {
            for number in 0..<keyspace.keys {
                let name = Array("\(keyspace.name):\(number)".utf8)
                keyOfName[name] = keys.count
                keys.append(Key(keyspace: index, name: name))
            }
        }
    }

    /// - Returns: the operation's index, which is also the value it writes.
    mutating func begin(_ operation: Operation) -> Int {
        let index = operations.count
        operations.append(operation)
        switch operation.kind {
        case .write:
            keys[operation.key].writes.append(index)
            note(operation.change, of: index)
        case .delete:
            keys[operation.key].writes.append(index)
            if !keys[operation.key].hasLostDelete { keys[operation.key].openDelete = index }
        case .emptying: keys[operation.key].writes.append(index)
        case .read: break
        }
        return index
    }

    /// The bytes of a value: its operation's number, then filling.
    static func value(_ operation: Int, filling: Int) -> [UInt8] {
        Array("v\(operation)|".utf8) + Array(repeating: UInt8(ascii: "x"), count: filling)
    }

    /// The operation that wrote a value; nil for bytes that nobody wrote.
    func operation(of value: some Collection<UInt8>) -> Int? {
        guard value.first == UInt8(ascii: "v") else { return nil }
        var number = 0
        for byte in value.dropFirst() {
            if byte == UInt8(ascii: "|") { return number < operations.count ? number : nil }
            guard 48...57 ~= byte, number < 1 << 40 else { return nil }
            number = number * 10 + Int(byte - 48)
        }
        return nil
    }

    // MARK: What nodes write down and send

    /// - Returns: what is wrong; nil when nothing is.
    mutating func observe(journalPayload payload: UnsafeRawBufferPointer) -> String? {
        guard payload.count > 1 else { return nil }
        if payload[0] == 3 { return observe(definitions: payload) }
        // A record, a hint, a record that was corrected.
        let starts: [UInt8: Int] = [1: 1, 7: 11, 14: 1]
        guard let start = starts[payload[0]] else { return nil }
        return observe(record: UnsafeRawBufferPointer(rebasing: payload[start...]))
    }

    /// - Returns: what is wrong; nil when nothing is.
    mutating func observe(record bytes: UnsafeRawBufferPointer) -> String? {
        guard let base = bytes.baseAddress, bytes.count >= Record.headerBytes else { return nil }
        let record = Record(at: base)
        guard let key = keyOfName[Array(record.key)] else { return nil }
        if plan.keyspaces[keys[key].keyspace].isTyped { return nil }
        if plan.keyspaces[keys[key].keyspace].isSiblings {
            return observe(SiblingSet(valid: record), of: key)
        }
        return record.isSiblingSet ? nil : observe(record, of: key)
    }

    private mutating func observe(_ record: Record, of key: Int) -> String? {
        let dot = record.written
        // What is left of an elapsed value says of it that it had this expiry, which may have been
        // over when it was given; and what was removed because of that keeps its dot.
        if record.isTombstone && (record.expiry > 0 || record.isLayered) {
            for state in keys[key].states.filter({ $0.dot == dot }) {
                noteExpiry(max(record.expiry, 1), of: state, key)
            }
            return nil
        }
        let value = record.isTombstone ? nil : operation(of: record.body)
        if let known = keys[key].states.first(where: { $0.dot == dot }) {
            if known.value == value {
                noteExpiry(record.expiry, of: known, key)
                return nil
            }
            // Where a key has one replica nobody compares dots, and its tombstones leave no trace.
            guard !isOrderedByTime(keys[key].keyspace) else { return nil }
            return "\(dot) names \(describe(known.value)) as well as \(describe(value))"
        }
        keys[key].states.append(State(dot: dot, value: value, expiry: record.expiry))
        bringBack(key, to: dot)
        if let value {
            name(value, dot, expiry: record.expiry)
        } else if let delete = keys[key].openDelete {
            operations[delete].dot = max(operations[delete].dot ?? dot, dot)
        }
        return nil
    }

    /// A write's value was given another expiry.
    private mutating func noteExpiry(_ expiry: UInt64, of state: State, _ key: Int) {
        let isKnown = keys[key].states.contains { $0.dot == state.dot && $0.expiry == expiry }
        if isKnown { return }
        keys[key].states.append(State(dot: state.dot, value: state.value, expiry: expiry))
    }

    private mutating func observe(_ set: SiblingSet, of key: Int) -> String? {
        for sibling in set.siblings {
            guard let values = operations(of: sibling.value, in: keys[key].keyspace),
                let value = values.first
            else { continue }
            if let known = valuesOfSibling[sibling.dot] {
                guard known != values, operations[known[0]].key == operations[value].key else {
                    continue
                }
                return "\(sibling.dot) names \(known.map { describe($0) }) as well as "
                    + "\(values.map { describe($0) })"
            }
            valuesOfSibling[sibling.dot] = values
            guard values.count == 1 else { continue }
            siblingDots[value, default: []].append(sibling.dot)
            // Of too many values these make one, under the dot of the write that was one too many;
            // the only replica of a key gives a value another expiry under a new dot.
            let keyspace = plan.keyspaces[keys[key].keyspace]
            let isMade = keyspace.overflow == .union || keyspace.overflow == .max || keyspace.n == 1
            let equals = set.siblings.filter { $0.value == sibling.value }
            if !isMade, equals.count > 1 { return "\(describe(value)) stands beside itself" }
            // What a wrong clock stamped gets another name.
            let mayBeRenamed = plan.mayJumpClocks || plan.mayStepClocks
            if !isMade, !mayBeRenamed, let first = siblingDots[value]?.first,
                first != sibling.dot
            {
                return "\(describe(value)) stands as \(first) and as \(sibling.dot)"
            }
        }
        noteDropped(set, of: key)
        return nil
    }

    /// A write's dot is its last one: a coordinator stamps it anew when a replica has a later one.
    private mutating func name(_ write: Int, _ dot: Dot, expiry: UInt64) {
        if operations[write].dot == nil { operations[write].expiry = expiry }
        if let first = operations[write].dot, dot < first {
            operations[write].dot = dot
            return
        }
        guard operations[write].expiry == expiry, operations[write].outcome == .pending else {
            return
        }
        operations[write].dot = max(operations[write].dot ?? dot, dot)
    }

    /// A later life of a node stamps a key earlier: what its former lives wrote by a wrong clock
    /// has been brought to where it met the others.
    private mutating func bringBack(_ key: Int, to dot: Dot) {
        for write in keys[key].writes {
            guard let former = operations[write].dot, brings(former, back: dot) else { continue }
            operations[write].dot = dot
        }
    }

    private func brings(_ former: Dot, back dot: Dot) -> Bool {
        dot.stamp < former.stamp && former.identity.node == dot.identity.node
            && former.identity < dot.identity
    }

    /// Where in the order of a key's writes a dot stands that was brought back.
    func place(of dot: Dot, _ key: Int) -> Dot {
        keys[key].states.map(\.dot).filter { brings(dot, back: $0) }.max() ?? dot
    }

    /// - Parameter delete: has its answer, or never will.
    mutating func closeDelete(_ delete: Int, isLost: Bool) {
        let key = operations[delete].key
        if keys[key].openDelete == delete { keys[key].openDelete = nil }
        if isLost { keys[key].hasLostDelete = true }
    }

    mutating func noteStop(of machine: Int, at time: UInt64, inMemory: [String] = []) {
        stops[machine].append(time)
        keptInMemory[machine].append(inMemory)
    }

    mutating func noteStart(of machine: Int, at time: UInt64) { starts[machine].append(time) }

    /// A state that every key of a keyspace was given at once.
    mutating func noteEmptied(_ keyspace: Int, _ state: State) {
        for key in keys.indices where keys[key].keyspace == keyspace {
            keys[key].states.append(state)
        }
    }

    mutating func noteExpiry(of key: Int) { keys[key].mayExpire = true }

    /// Another list of members is in force: every process has stopped.
    mutating func changeMembers(to members: [Member], at time: UInt64) {
        ring = Ring(members: members, epoch: 1)
        for machine in stops.indices { noteStop(of: machine, at: time) }
    }

    /// The nodes, by index, that keep a key.
    func replicas(of key: Int) -> [Int] {
        let range = keys[key].name.withUnsafeBytes { KeyRange(Slot(key: $0)) }
        let n = leastReplicas(of: keys[key].keyspace)
        return ring.primaries(of: range, replicationFactor: n).map { Int($0.rawValue) - 1 }
    }
}
