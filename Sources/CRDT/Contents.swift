import Base
import Causality
import Coding

/// The live writes of one key, by type; most keys have one.
struct Contents: Equatable, Sendable {
    var registers = DotMap<Bytes, Bytes>()
    var counter = Accounts()
    var flag = DotMap<Bytes, Presence>()
    var set = DotMap<Bytes, Presence>()
    var hash = CountedMap<FieldPart>()
    var sortedSet = SortedSetStore()
    var list = DotMap<Position, ListElement>()
    var bounded = DotMap<Bytes, Escrow>()
    var expiry = DotMap<Bytes, Lifetime>()

    /// The latest live dot of a type.
    ///
    /// - Complexity: O(entries of the type).
    func newest(_ type: CRDTType) -> Dot? {
        switch type {
        case .string: [registers.newest, counter.newest].compactMap { $0 }.max()
        case .flag: flag.newest
        case .set: set.newest
        case .hash: hash.live.newest
        case .sortedSet: sortedSet.members.live.newest
        case .list: list.newest
        case .boundedCounter: bounded.newest
        }
    }

    /// The types that have live entries.
    var types: TypeMask {
        var mask = TypeMask.none
        if !registers.isEmpty || counter.isLive { mask.formUnion(TypeMask(.string)) }
        if !flag.isEmpty { mask.formUnion(TypeMask(.flag)) }
        if !set.isEmpty { mask.formUnion(TypeMask(.set)) }
        if !hash.isEmpty { mask.formUnion(TypeMask(.hash)) }
        if !sortedSet.members.isEmpty { mask.formUnion(TypeMask(.sortedSet)) }
        if !list.isEmpty { mask.formUnion(TypeMask(.list)) }
        if !bounded.isEmpty { mask.formUnion(TypeMask(.boundedCounter)) }
        return mask
    }

    /// The types that have live entries, and the expiry.
    var live: TypeMask {
        var mask = types
        if !expiry.isEmpty { mask.formUnion(.expiry) }
        return mask
    }

    /// Removes what a context has seen from some of the types; a counter is reset by its accounts.
    mutating func clear(_ mask: TypeMask, seen: VersionVector) {
        if mask.contains(.string) { registers.clear(seen) }
        if mask.contains(.flag) { flag.clear(seen) }
        if mask.contains(.set) { set.clear(seen) }
        if mask.contains(.hash) { hash.clear(seen) }
        if mask.contains(.sortedSet) { sortedSet.clear(seen) }
        if mask.contains(.list) { list.clear(seen) }
        if mask.contains(.boundedCounter) { bounded.clear(seen) }
        if mask.contains(.expiry) { expiry.clear(seen) }
    }

    /// Removes everything of some of the types; a counter is reset by its accounts.
    ///
    /// - Complexity: O(1), but for what it takes to free what nobody else has.
    mutating func removeAll(_ mask: TypeMask) {
        if mask.contains(.string) { registers.removeAll() }
        if mask.contains(.flag) { flag.removeAll() }
        if mask.contains(.set) { set.removeAll() }
        if mask.contains(.hash) { hash.removeAll() }
        if mask.contains(.sortedSet) { sortedSet.removeAll() }
        if mask.contains(.list) { list.removeAll() }
        if mask.contains(.boundedCounter) { bounded.removeAll() }
        if mask.contains(.expiry) { expiry.removeAll() }
    }

    /// Drops what a context has seen, as if it had never been; but for counters.
    mutating func truncate(_ seen: VersionVector) {
        clear(TypeMask(bits: .max), seen: seen)
        hash.truncate(seen)
        sortedSet.truncate(seen)
    }

    mutating func join(_ other: Contents, seen: VersionVector, otherSeen: VersionVector) {
        registers.join(other.registers, seen: seen, otherSeen: otherSeen)
        counter.join(other.counter)
        flag.join(other.flag, seen: seen, otherSeen: otherSeen)
        set.join(other.set, seen: seen, otherSeen: otherSeen)
        hash.join(other.hash, seen: seen, otherSeen: otherSeen)
        sortedSet.join(other.sortedSet, seen: seen, otherSeen: otherSeen)
        list.join(other.list, seen: seen, otherSeen: otherSeen)
        bounded.join(other.bounded, seen: seen, otherSeen: otherSeen)
        expiry.join(other.expiry, seen: seen, otherSeen: otherSeen)
    }

    mutating func apply(_ changes: Changes, seen: VersionVector) {
        registers.apply(changes.registers, seen: seen)
        counter.join(changes.counter)
        flag.apply(changes.flag, seen: seen)
        set.apply(changes.set, seen: seen)
        hash.apply(changes.hash, seen: seen)
        sortedSet.apply(changes.sortedSet, seen: seen)
        list.apply(changes.list, seen: seen)
        bounded.apply(changes.bounded, seen: seen)
        expiry.apply(changes.expiry, seen: seen)
    }
}

/// What a mutation did to the contents.
struct Changes: Equatable, Sendable {
    var registers = DotMap<Bytes, Bytes>.Changes()
    var counter = Accounts()
    var flag = DotMap<Bytes, Presence>.Changes()
    var set = DotMap<Bytes, Presence>.Changes()
    var hash = CountedChanges<FieldPart>()
    var sortedSet = CountedChanges<ScorePart>()
    var list = DotMap<Position, ListElement>.Changes()
    var bounded = DotMap<Bytes, Escrow>.Changes()
    var expiry = DotMap<Bytes, Lifetime>.Changes()

    var isEmpty: Bool {
        registers.isEmpty && counter.isEmpty && flag.isEmpty && set.isEmpty && hash.live.isEmpty
            && hash.ended.isEmpty && sortedSet.live.isEmpty && sortedSet.ended.isEmpty
            && list.isEmpty && bounded.isEmpty && expiry.isEmpty
    }

    /// Elements of collections that were removed, and those that were added.
    var elementCount: Int {
        self.set.keyCount + hash.live.keyCount + sortedSet.live.keyCount + list.keyCount
    }

    /// Whether nothing comes to the contents by them; what ended totals leave behind is no content.
    var addNothing: Bool {
        registers.added.isEmpty && !counter.isLive && flag.added.isEmpty && set.added.isEmpty
            && hash.live.added.isEmpty && sortedSet.live.added.isEmpty && list.added.isEmpty
            && bounded.added.isEmpty && expiry.added.isEmpty
    }

    /// Whether nothing goes from the contents by them.
    var removeNothing: Bool {
        registers.removed.isEmpty && counter.isEmpty && flag.removed.isEmpty
            && set.removed.isEmpty && hash.live.removed.isEmpty && hash.ended.removed.isEmpty
            && sortedSet.live.removed.isEmpty && sortedSet.ended.removed.isEmpty
            && list.removed.isEmpty && bounded.removed.isEmpty && expiry.removed.isEmpty
    }

    /// Goes on with a later mutation that first cleared some of the types.
    mutating func append(_ next: Changes, clears mask: TypeMask, seen: VersionVector) {
        func cleared(_ type: TypeMask) -> VersionVector {
            mask.contains(type) ? seen : VersionVector()
        }
        registers.append(next.registers, cleared: cleared(TypeMask(.string)))
        counter.join(next.counter)
        flag.append(next.flag, cleared: cleared(TypeMask(.flag)))
        set.append(next.set, cleared: cleared(TypeMask(.set)))
        hash.append(next.hash, cleared: cleared(TypeMask(.hash)))
        sortedSet.append(next.sortedSet, cleared: cleared(TypeMask(.sortedSet)))
        list.append(next.list, cleared: cleared(TypeMask(.list)))
        bounded.append(next.bounded, cleared: cleared(TypeMask(.boundedCounter)))
        expiry.append(next.expiry, cleared: cleared(.expiry))
    }

    /// Whether every dot that the changes name satisfies `isKnown`.
    func allDots(_ isKnown: (Dot) -> Bool) -> Bool {
        registers.allDots(isKnown) && counter.allDots(isKnown) && flag.allDots(isKnown)
            && set.allDots(isKnown) && hash.allDots(isKnown) && sortedSet.allDots(isKnown)
            && list.allDots(isKnown) && bounded.allDots(isKnown) && expiry.allDots(isKnown)
    }
}
