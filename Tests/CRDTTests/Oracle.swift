import Base
import Causality

@testable import CRDT

/// One thing that an operation put into the key.
struct Item {
    enum Content: Equatable {
        case present
        case register(String)
        case increment(Int)
        case value(String)
        case total(Double)
        case score(Double)
        case creation(bound: Int)
    }

    let op: Int
    let type: CRDTType
    let key: String
    let content: Content
}

/// One operation, with what it had seen and what it ended, by name.
struct Op {
    enum Escrowed {
        case mint(Int)
        case use(Int)
        case grant(Int, to: ReplicaIdentity)
    }

    let dot: Dot
    /// The operations that the replica had seen.
    let seen: UInt64
    /// The items that it ended.
    var kills: UInt128
    /// The creation it belongs to, and what it did.
    var escrow: (creation: Int, what: Escrowed)?
}

/// The second implementation: a log of operations. It merges nothing; what a replica should show is
/// worked out anew from the names of the operations that it has seen.
struct Oracle {
    var ops: [Op] = []
    var items: [Item] = []

    /// Items of the seen operations that no seen operation has ended, oldest first.
    func live(_ seen: UInt64) -> [Int] {
        var dead: UInt128 = 0
        for (index, op) in ops.enumerated() where seen & 1 << UInt64(index) != 0 {
            dead |= op.kills
        }
        return items.indices.filter { index in
            seen & 1 << UInt64(items[index].op) != 0 && dead & 1 << UInt128(index) == 0
                && (items[index].type != .list || dead & 1 << UInt128(insertion(index)) == 0)
        }.sorted { dot($0) < dot($1) }
    }

    /// The item that put an element of a list there: an element that is removed is gone, whatever
    /// value it has been given.
    private func insertion(_ item: Int) -> Int {
        items.firstIndex { $0.type == .list && $0.key == items[item].key } ?? item
    }

    func isInsertion(_ item: Int) -> Bool { insertion(item) == item }

    func dot(_ item: Int) -> Dot { ops[items[item].op].dot }

    func view(_ seen: UInt64, now: UInt64) -> View { View(oracle: self, seen: seen, now: now) }
}

/// What a replica should show that has seen certain operations.
struct View {
    let oracle: Oracle
    let seen: UInt64
    let now: UInt64
    let live: [Int]

    init(oracle: Oracle, seen: UInt64, now: UInt64) {
        self.oracle = oracle
        self.seen = seen
        self.now = now
        live = oracle.live(seen)
    }

    func items(_ type: CRDTType, _ key: String? = nil) -> [Int] {
        live.filter { oracle.items[$0].type == type && (key == nil || oracle.items[$0].key == key) }
    }

    func contents(_ type: CRDTType, _ key: String? = nil) -> [Item.Content] {
        items(type, key).map { oracle.items[$0].content }
    }

    /// The type of the newest live item.
    var type: CRDTType? { live.map { oracle.items[$0].type }.last }

    var base: String? {
        for case .register(let value) in contents(.string).reversed() { return value }
        return nil
    }

    func keys(_ type: CRDTType) -> [String] {
        Set(items(type).map { oracle.items[$0].key }).sorted()
    }

    func field(_ key: String) -> String? {
        let contents = contents(.hash, key)
        var base: String?
        var total: Double?
        for content in contents {
            if case .value(let value) = content { base = value }
            if case .total(let amount) = content { total = (total ?? 0) + amount }
        }
        if base == nil && total == nil { return nil }
        guard let total else { return base }
        guard let base else { return "\(Int(total))" }
        return Int(base).map { "\($0 + Int(total))" } ?? base
    }

    func score(_ key: String) -> Double? {
        let contents = contents(.sortedSet, key)
        if contents.isEmpty { return nil }
        var score = 0.0
        for case .score(let base) in contents { score = base }
        for case .total(let amount) in contents { score += amount }
        return score
    }

    var creation: Int? { items(.boundedCounter).last }

    func escrowed(_ body: (ReplicaIdentity, Op.Escrowed) -> Void) {
        guard let creation else { return }
        for (index, op) in oracle.ops.enumerated() where seen & 1 << UInt64(index) != 0 {
            if let escrow = op.escrow, escrow.creation == creation {
                body(op.dot.identity, escrow.what)
            }
        }
    }

    var boundedValue: Int {
        guard let creation, case .creation(var value) = oracle.items[creation].content else {
            return 0
        }
        escrowed { _, what in
            switch what {
            case .mint(let amount): value += amount
            case .use(let amount): value -= amount
            case .grant: break
            }
        }
        return value
    }

    func rights(_ identity: ReplicaIdentity) -> Int {
        var rights = 0
        escrowed { owner, what in
            switch what {
            case .mint(let amount): rights += owner == identity ? amount : 0
            case .use(let amount): rights -= owner == identity ? amount : 0
            case .grant(let amount, let receiver):
                rights -= owner == identity ? amount : 0
                rights += receiver == identity ? amount : 0
            }
        }
        return rights
    }

    /// Everything that a client can read, in words; a list's elements in ascending order.
    var words: [String] {
        guard let type else { return ["nothing"] }
        switch type {
        case .string:
            var increments: Int?
            for case .increment(let amount) in contents(.string) {
                increments = (increments ?? 0) + amount
            }
            guard let base else { return ["string", "\(increments ?? 0)"] }
            guard let increments, let number = Int(base) else { return ["string", base] }
            return ["string", "\(number + increments)"]
        case .flag: return ["flag"]
        case .set: return ["set"] + keys(.set)
        case .hash: return ["hash"] + keys(.hash).map { "\($0)=\(field($0) ?? "")" }
        case .sortedSet:
            let members = keys(.sortedSet).map { (score($0) ?? 0, $0) }
            return ["zset"] + members.sorted { $0 < $1 }.map { "\($0.1)=\($0.0)" }
        case .list:
            let values = keys(.list).map { key -> String in
                if case .value(let value)? = contents(.list, key).last { return value }
                return ""
            }
            return ["list"] + values.sorted()
        case .boundedCounter: return ["bounded", "\(boundedValue)"]
        }
    }
}

extension CRDTState {
    /// The same as `View.words`, from the state.
    func words(now: UInt64) -> [String] {
        guard let type = type(now: now) else { return ["nothing"] }
        switch type {
        case .string: return ["string", string(now: now).map(text) ?? "none"]
        case .flag: return isEnabled(now: now) ? ["flag"] : ["none"]
        case .set:
            let elements = setElements(now: now).map(text)
            return elements.count == setCount(now: now) ? ["set"] + elements : ["wrong count"]
        case .hash:
            return ["hash"] + hashFields(now: now).map { "\(text($0.field))=\(text($0.value))" }
        case .sortedSet:
            let all = members(0..<sortedSetCount(now: now), now: now)
            for (index, (member, score)) in all.enumerated() {
                guard rank(member, now: now) == index, self.score(member, now: now) == score
                else { return ["wrong rank"] }
            }
            return ["zset"] + all.map { "\(text($0.member))=\($0.score)" }
        case .list: return ["list"] + listTexts(now: now).sorted()
        case .boundedCounter: return ["bounded", "\(boundedValue(now: now) ?? -1)"]
        }
    }

    func listTexts(now: UInt64) -> [String] {
        listElements(0..<listCount(now: now), now: now).map(text)
    }
}

func text(_ bytes: Bytes) -> String { String(decoding: bytes.array, as: UTF8.self) }

func text(_ value: StringValue) -> String {
    switch value {
    case .bytes(let bytes): text(bytes)
    case .number(let number): String(decoding: number.text, as: UTF8.self)
    }
}

func bytes(_ text: String) -> Bytes { Bytes(Array(text.utf8)) }
