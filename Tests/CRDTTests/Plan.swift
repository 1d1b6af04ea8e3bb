import Base
import Causality

@testable import CRDT

/// What an action means at a replica with a given view: what it adds and what it ends. Nil means
/// that it is refused or does nothing.
struct Plan {
    var kills: UInt128 = 0
    var items: [(CRDTType, String, Item.Content)] = []
    var escrow: (creation: Int, what: Op.Escrowed)?

    private let view: View
    private let identity: ReplicaIdentity

    init?(
        _ action: Action, _ view: View, _ identity: ReplicaIdentity, shown: [String], number: Int
    ) {
        self.view = view
        self.identity = identity
        let isDone =
            switch action {
            case .delete, .set, .increment, .enable, .disable: single(action)
            case .add, .remove: set(action)
            case .hashSet, .hashIncrement, .hashRemove: hash(action)
            case .score, .scoreIncrement, .scoreRemove: sortedSet(action)
            case .insert, .listSet, .listRemove: list(action, shown, number)
            case .create, .mint, .use, .grant: bounded(action)
            }
        guard isDone else { return nil }
    }

    private mutating func end(_ items: [Int]) { for item in items { kills |= 1 << UInt128(item) } }

    /// Ends everything of a type that was seen; of increments, those of identities that have live
    /// ones.
    private mutating func clear(_ type: CRDTType) {
        guard !view.items(type).isEmpty else { return }
        let counting = Set(view.items(.string).filter { isIncrement($0) }.map { owner($0) })
        end(
            view.oracle.items.indices.filter { index in
                let item = view.oracle.items[index]
                guard item.type == type, view.seen & 1 << UInt64(item.op) != 0 else { return false }
                return !isIncrement(index) || counting.contains(owner(index))
            })
    }

    private func isIncrement(_ item: Int) -> Bool {
        if case .increment = view.oracle.items[item].content { return true }
        return false
    }

    private func owner(_ item: Int) -> ReplicaIdentity { view.oracle.dot(item).identity }

    private mutating func clearAll() {
        for type in CRDTType.allCases { clear(type) }
    }

    /// A mutation of one type ends what is hidden; after expiry, everything.
    private mutating func begin(_ type: CRDTType) -> Bool {
        guard let shown = view.type else {
            clearAll()
            return true
        }
        for other in CRDTType.allCases where other != type { clear(other) }
        return shown == type
    }

    private mutating func single(_ action: Action) -> Bool {
        switch action {
        case .delete:
            clearAll()
            return !view.live.isEmpty
        case .set(let value):
            for type in CRDTType.allCases where type != .string { clear(type) }
            clear(.string)
            // A register write names the registers it replaces; only the increments go by account.
            let registers = view.oracle.items.indices.filter {
                view.oracle.items[$0].type == .string && !isIncrement($0)
            }
            for item in registers { kills &= ~(1 << UInt128(item)) }
            end(view.items(.string).filter { !isIncrement($0) })
            items = [(.string, "", .register(value))]
            return true
        case .increment(let amount):
            guard begin(.string) else { return false }
            if view.type != nil, let base = view.base, Int(base) == nil { return false }
            // An increment takes along what it knows to be deleted of its own account.
            let seen = view.oracle.items.indices.filter { item in
                isIncrement(item) && view.seen & 1 << UInt64(view.oracle.items[item].op) != 0
            }
            end(seen.filter { owner($0) == identity && !view.live.contains($0) })
            items = [(.string, "", .increment(amount))]
            return true
        case .enable:
            guard begin(.flag) else { return false }
            end(view.items(.flag))
            items = [(.flag, "", .present)]
            return true
        case .disable:
            clearAll()
            return view.type == .flag
        default: return false
        }
    }

    private mutating func set(_ action: Action) -> Bool {
        guard begin(.set) else { return false }
        switch action {
        case .add(let elements):
            for element in Set(elements).sorted() {
                end(view.items(.set, element))
                items.append((.set, element, .present))
            }
            return true
        case .remove(let elements): return remove(.set, elements)
        default: return false
        }
    }

    private mutating func remove(_ type: CRDTType, _ keys: [String]) -> Bool {
        let found = keys.flatMap { view.items(type, $0) }
        end(found)
        return view.type != nil && !found.isEmpty
    }

    /// An increment stands beside those before it until somebody ends it that has seen it.
    private mutating func add(_ type: CRDTType, _ key: String, _ amount: Double) {
        items = [(type, key, .total(amount))]
    }

    private mutating func hash(_ action: Action) -> Bool {
        guard begin(.hash) else { return false }
        switch action {
        case .hashSet(let fields):
            for (index, (field, value)) in fields.enumerated()
            where !fields[(index + 1)...].contains(where: { $0.0 == field }) {
                end(view.items(.hash, field))
                items.append((.hash, field, .value(value)))
            }
            return true
        case .hashIncrement(let field, let amount):
            if view.type != nil, let value = view.field(field), Int(value) == nil { return false }
            add(.hash, field, Double(amount))
            return true
        case .hashRemove(let fields): return remove(.hash, fields)
        default: return false
        }
    }

    private mutating func sortedSet(_ action: Action) -> Bool {
        guard begin(.sortedSet) else { return false }
        switch action {
        case .score(let member, let score):
            end(view.items(.sortedSet, member))
            items = [(.sortedSet, member, .score(score))]
            return true
        case .scoreIncrement(let member, let amount):
            add(.sortedSet, member, amount)
            return true
        case .scoreRemove(let members): return remove(.sortedSet, members)
        default: return false
        }
    }

    private mutating func list(_ action: Action, _ shown: [String], _ number: Int) -> Bool {
        guard begin(.list) else { return false }
        switch action {
        case .insert(let place, let count):
            guard place <= shown.count else { return false }
            items = (0..<count).map { (.list, "s\(number).\($0)", .value("s\(number).\($0)v")) }
            return true
        case .listSet(let place):
            guard place < shown.count else { return false }
            let key = slot(shown[place])
            // The insertion stays what it was: whoever removes it removes every value of it.
            end(view.items(.list, key).filter { !view.oracle.isInsertion($0) })
            items = [(.list, key, .value("\(key)v\(number)"))]
            return true
        case .listRemove(let places):
            let places = places.filter { $0 < shown.count }
            for place in places { end(view.items(.list, slot(shown[place]))) }
            return !places.isEmpty
        default: return false
        }
    }

    private mutating func bounded(_ action: Action) -> Bool {
        guard begin(.boundedCounter) else { return false }
        if case .create(let value, let bound) = action {
            guard value >= bound else { return false }
            end(view.items(.boundedCounter))
            items = [(.boundedCounter, "", .creation(bound: bound))]
            escrow = (view.oracle.items.count, .mint(value - bound))
            return true
        }
        guard view.type != nil, let creation = view.creation else { return false }
        switch action {
        case .mint(let amount): escrow = (creation, .mint(amount))
        case .use(let amount):
            escrow = (creation, .use(amount))
            return amount <= view.rights(identity)
        case .grant(let amount, let receiver):
            escrow = (creation, .grant(amount, to: receiver))
            return amount <= view.rights(identity)
        default: return false
        }
        return true
    }
}
