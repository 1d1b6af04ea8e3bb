import Base
import Causality
import Coding

// What an operator's commands mean for reads and writes.
//
// To empty a keyspace is one write for each of its keys, by all replicas: a stamp up to which
// everything is gone. A keyspace whose n changes is, at any moment, one of the shapes that it may
// have by then; a promise holds for an operation if it holds under each of them.
extension History {
    /// The level of a request of all replicas, however many these are.
    static let all = 32

    /// What a keyspace may have been for some time.
    struct Shape: Equatable {
        let n: Int
        let r: Int
        let w: Int
        let durability: PlannedKeyspace.Durability
        var from: UInt64 = 0
        var until = UInt64.max
        /// When it surely was in force.
        var isAcknowledgedAt: UInt64?

        init(n: Int, r: Int, w: Int, _ durability: PlannedKeyspace.Durability = .fsync) {
            (self.n, self.r, self.w, self.durability) = (n, r, w, durability)
        }

        init(_ keyspace: PlannedKeyspace) {
            self.init(n: keyspace.n, r: keyspace.r, w: keyspace.w, keyspace.durability)
        }

        fileprivate func overlaps(_ operation: Operation) -> Bool {
            from <= operation.completed && operation.invoked <= until
        }
    }

    /// Whether a keyspace's values follow each other by time rather than by stamp: where a key has
    /// one replica, stamps restart with a clock that goes back.
    func isOrderedByTime(_ keyspace: Int) -> Bool {
        plan.keyspaces[keyspace].n == 1 || plan.keyspaces[keyspace].life == .resized
    }

    /// How many replicas an operation asked at least.
    func leastLevel(of operation: Operation) -> Int {
        guard operation.level == 0 else { return operation.level }
        return shapes[operation.keyspace].lazy.filter { $0.overlaps(operation) }
            .map { operation.kind == .read ? $0.r : $0.w }.min() ?? 0
    }

    /// How many replicas a key had at most when a write or a read happened.
    func mostReplicas(_ write: Operation, _ read: Operation) -> Int {
        shapes[write.keyspace].lazy.filter { $0.overlaps(write) || $0.overlaps(read) }
            .map(\.n).max() ?? 0
    }

    /// How many replicas a key surely has now; disks of some earlier time may bring its shape back.
    func leastReplicas(of keyspace: Int) -> Int {
        shapes[keyspace].lazy.filter { mayLack || $0.until == .max }.map(\.n).min() ?? 0
    }

    mutating func beginShape(_ shape: Shape, of keyspace: Int, at time: UInt64) {
        var shape = shape
        shape.from = time
        shapes[keyspace].append(shape)
    }

    /// The change to the shape that was begun last has its answer, or never will.
    mutating func endShape(of keyspace: Int, _ outcome: Outcome, at time: UInt64) {
        let last = shapes[keyspace].count - 1
        switch outcome {
        case .acknowledged:
            shapes[keyspace][last].isAcknowledgedAt = time
            for index in 0..<last where shapes[keyspace][index].until == .max {
                shapes[keyspace][index].until = time
            }
        case .failed: shapes[keyspace].removeLast()
        case .unknown, .pending: break
        }
    }

    // MARK: Emptying

    mutating func beginEmptying(_ keyspaces: [Int], at time: UInt64) {
        for key in keys.indices where keyspaces.contains(keys[key].keyspace) {
            openEmptyings.append(
                begin(
                    Operation(
                        kind: .emptying, keyspace: keys[key].keyspace, key: key,
                        level: History.all, invoked: time)))
        }
    }

    /// - Returns: what is wrong; nil when nothing is.
    mutating func endEmptying(_ outcome: Outcome, at time: UInt64) -> String? {
        let emptyings = openEmptyings
        openEmptyings = []
        for index in emptyings {
            operations[index].outcome = outcome
            operations[index].completed = outcome == .unknown ? .max : time
            if let problem = checkEmptying(index) { return problem }
        }
        return nil
    }

    private func checkEmptying(_ index: Int) -> String? {
        let emptying = operations[index]
        switch emptying.outcome {
        case .unknown, .pending: return nil
        case .failed:
            return emptying.dot.map { "\(describe(index)) failed, and took place at \($0)" }
        case .acknowledged: break
        }
        guard let dot = emptying.dot else {
            return mayLack ? nil : "\(describe(index)) was acknowledged and never made"
        }
        for write in keys[emptying.key].writes where operations[write].kind != .emptying {
            guard operations[write].outcome == .acknowledged, !mayLack,
                operations[write].completed < emptying.invoked,
                let writeDot = operations[write].dot, dot < writeDot
            else { continue }
            return "\(describe(index)) at \(dot) leaves \(describe(write)) at \(writeDot), which "
                + "was acknowledged before"
        }
        return nil
    }

    /// What was written after a keyspace was emptied must not count as written before.
    func checkAgainstEmptyings(_ write: Int) -> String? {
        let operation = operations[write]
        guard let dot = operation.dot, !mayLack else { return nil }
        for index in keys[operation.key].writes where operations[index].kind == .emptying {
            guard operations[index].outcome == .acknowledged,
                operations[index].completed < operation.invoked,
                let emptied = operations[index].dot, dot < emptied
            else { continue }
            return "\(describe(write)) at \(dot) counts as written before \(describe(index)) at "
                + "\(emptied)"
        }
        return nil
    }

    /// Whether a write may be gone with its keyspace.
    func isEmptiedAway(_ write: Operation) -> Bool {
        let emptied = emptiedAt[write.keyspace]
        return emptied.rawValue > 0 && (write.dot.map { $0.stamp <= emptied } ?? true)
    }

    /// A read of siblings shows nothing of what a keyspace held before it was emptied.
    func checkIsNotEmptied(_ value: Int, _ read: Operation) -> String? {
        let write = operations[value]
        for index in keys[read.key].writes where operations[index].kind == .emptying {
            let emptying = operations[index]
            guard emptying.outcome == .acknowledged, emptying.completed < read.invoked,
                write.outcome == .acknowledged, write.completed < emptying.invoked,
                !mayLack, !isCarried(past: emptying)
            else { continue }
            return "a read that began at \(read.invoked / 1_000) µs returned \(describe(value)), "
                + "which \(describe(index)) had emptied away"
        }
        return nil
    }

    /// Whether a write that was under way with an emptying may have brought back what it united.
    private func isCarried(past emptying: Operation) -> Bool {
        mayCarry(emptying.keyspace)
            && keys[emptying.key].writes.contains { index in
                let write = operations[index]
                return write.kind == .write && write.outcome != .failed
                    && write.invoked < emptying.completed && write.completed > emptying.invoked
            }
    }

    /// Reads definitions as the journal has them (`KeyspaceCatalog.encode`), for the stamps up to
    /// which keyspaces were emptied.
    mutating func observe(definitions payload: UnsafeRawBufferPointer) -> String? {
        guard plan.administrationMean != nil else { return nil }
        var reader = ByteReader(UnsafeRawBufferPointer(rebasing: payload[1...]))
        do throws(DecodeError) {
            for _ in 0..<(try reader.integer(UInt16.self)) {
                let name = Array(try reader.slice(Int(try reader.integer(UInt8.self))))
                let length: UInt32 = try reader.integer()
                let changes = try SiblingSet(encoded: try reader.slice(Int(length)))
                for sibling in changes.siblings { observe(change: sibling, of: name) }
            }
            return nil
        } catch { return "definitions that cannot be read: \(error)" }
    }

    private mutating func observe(change: Sibling, of name: [UInt8]) {
        var raw: UInt64 = 0
        // Behind flags, levels, floor, conflict, durability, ttl and limits (`KeyspaceChange`).
        let bytes = change.value.dropFirst(41).prefix(8)
        for byte in bytes.reversed() { raw = raw << 8 | UInt64(byte) }
        let stamp = Stamp(rawValue: raw)
        let isDefault = name == Array("default".utf8)
        for (index, keyspace) in plan.keyspaces.enumerated()
        where Array(keyspace.name.utf8) == name || isDefault {
            noteEmptied(index, stamp, by: change.dot)
        }
    }

    private mutating func noteEmptied(_ keyspace: Int, _ stamp: Stamp, by change: Dot) {
        guard emptiedAt[keyspace] < stamp else { return }
        emptiedAt[keyspace] = stamp
        let dot = Dot(identity: change.identity, stamp: stamp)
        noteEmptied(keyspace, State(dot: dot, value: nil, expiry: 0))
        for index in openEmptyings where operations[index].keyspace == keyspace {
            operations[index].dot = dot
        }
    }
}
