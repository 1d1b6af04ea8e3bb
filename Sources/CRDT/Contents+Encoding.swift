import Causality
import Coding

/// One bit a store: what is empty takes no bytes.
private struct StoreMask {
    static let known: UInt16 = 2_047
    var bits: UInt16 = 0
    private var next: UInt16 = 1

    init(bits: UInt16 = 0) { self.bits = bits }

    mutating func note(_ isEmpty: Bool) {
        if !isEmpty { bits |= next }
        next <<= 1
    }

    mutating func take() -> Bool {
        defer { next <<= 1 }
        return bits & next != 0
    }
}

extension DotDecoder {
    fileprivate mutating func mask() throws(DecodeError) -> StoreMask {
        let bits = try varint(UInt16.self)
        guard bits & ~StoreMask.known == 0 else { throw .invalid("unknown type") }
        return StoreMask(bits: bits)
    }

    fileprivate mutating func listed<Key, Payload>() throws(DecodeError) -> DotMap<Key, Payload> {
        let store: DotMap<Key, Payload> = try store()
        guard !store.isEmpty else { throw .invalid("an empty store is not written") }
        return store
    }

    fileprivate mutating func listed<Key, Payload>() throws(DecodeError)
        -> DotMapChanges<Key, Payload>
    {
        let changes: DotMapChanges<Key, Payload> = try changes()
        guard !changes.isEmpty else { throw .invalid("an empty change is not written") }
        return changes
    }

    fileprivate mutating func accounts() throws(DecodeError) -> Accounts {
        let accounts = try Accounts(decoding: &self)
        guard !accounts.isEmpty else { throw .invalid("an empty counter is not written") }
        return accounts
    }
}

extension Contents {
    func encode(into encoder: inout DotEncoder) {
        var mask = StoreMask()
        mask.note(registers.isEmpty)
        mask.note(counter.isEmpty)
        mask.note(flag.isEmpty)
        mask.note(set.isEmpty)
        mask.note(hash.live.isEmpty)
        mask.note(sortedSet.members.live.isEmpty)
        mask.note(list.isEmpty)
        mask.note(bounded.isEmpty)
        mask.note(expiry.isEmpty)
        mask.note(hash.ended.isEmpty)
        mask.note(sortedSet.members.ended.isEmpty)
        encoder.append(varint: mask.bits)
        if !registers.isEmpty { encoder.append(registers) }
        if !counter.isEmpty { counter.encode(into: &encoder) }
        if !flag.isEmpty { encoder.append(flag) }
        if !set.isEmpty { encoder.append(set) }
        if !hash.live.isEmpty { encoder.append(hash.live) }
        if !sortedSet.members.live.isEmpty { encoder.append(sortedSet.members.live) }
        if !list.isEmpty { encoder.append(list) }
        if !bounded.isEmpty { encoder.append(bounded) }
        if !expiry.isEmpty { encoder.append(expiry) }
        if !hash.ended.isEmpty { encoder.append(hash.ended) }
        if !sortedSet.members.ended.isEmpty { encoder.append(sortedSet.members.ended) }
    }

    init(decoding decoder: inout DotDecoder) throws(DecodeError) {
        var mask = try decoder.mask()
        var fields = DotMap<Bytes, FieldPart>()
        var members = DotMap<Bytes, ScorePart>()
        var endedFields = DotMap<Bytes, EndedTotals<FieldPart>>()
        var endedMembers = DotMap<Bytes, EndedTotals<ScorePart>>()
        if mask.take() { registers = try decoder.listed() }
        if mask.take() { counter = try decoder.accounts() }
        if mask.take() { flag = try decoder.listed() }
        if mask.take() { set = try decoder.listed() }
        if mask.take() { fields = try decoder.listed() }
        if mask.take() { members = try decoder.listed() }
        if mask.take() { list = try decoder.listed() }
        if mask.take() { bounded = try decoder.listed() }
        if mask.take() { expiry = try decoder.listed() }
        if mask.take() { endedFields = try decoder.listed() }
        if mask.take() { endedMembers = try decoder.listed() }
        hash = CountedMap(live: fields, ended: endedFields)
        sortedSet = SortedSetStore(CountedMap(live: members, ended: endedMembers))
    }

    /// Whether every dot satisfies `isKnown`.
    func allDots(_ isKnown: (Dot) -> Bool) -> Bool {
        registers.allDots(isKnown) && counter.allDots(isKnown) && flag.allDots(isKnown)
            && set.allDots(isKnown) && hash.allDots(isKnown)
            && sortedSet.members.allDots(isKnown) && list.allDots(isKnown)
            && bounded.allDots(isKnown) && expiry.allDots(isKnown)
    }
}

extension Changes {
    func encode(into encoder: inout DotEncoder) {
        var mask = StoreMask()
        mask.note(registers.isEmpty)
        mask.note(counter.isEmpty)
        mask.note(flag.isEmpty)
        mask.note(set.isEmpty)
        mask.note(hash.live.isEmpty)
        mask.note(sortedSet.live.isEmpty)
        mask.note(list.isEmpty)
        mask.note(bounded.isEmpty)
        mask.note(expiry.isEmpty)
        mask.note(hash.ended.isEmpty)
        mask.note(sortedSet.ended.isEmpty)
        encoder.append(varint: mask.bits)
        if !registers.isEmpty { encoder.append(registers) }
        if !counter.isEmpty { counter.encode(into: &encoder) }
        if !flag.isEmpty { encoder.append(flag) }
        if !set.isEmpty { encoder.append(set) }
        if !hash.live.isEmpty { encoder.append(hash.live) }
        if !sortedSet.live.isEmpty { encoder.append(sortedSet.live) }
        if !list.isEmpty { encoder.append(list) }
        if !bounded.isEmpty { encoder.append(bounded) }
        if !expiry.isEmpty { encoder.append(expiry) }
        if !hash.ended.isEmpty { encoder.append(hash.ended) }
        if !sortedSet.ended.isEmpty { encoder.append(sortedSet.ended) }
    }

    init(decoding decoder: inout DotDecoder) throws(DecodeError) {
        var mask = try decoder.mask()
        if mask.take() { registers = try decoder.listed() }
        if mask.take() { counter = try decoder.accounts() }
        if mask.take() { flag = try decoder.listed() }
        if mask.take() { set = try decoder.listed() }
        if mask.take() { hash.live = try decoder.listed() }
        if mask.take() { sortedSet.live = try decoder.listed() }
        if mask.take() { list = try decoder.listed() }
        if mask.take() { bounded = try decoder.listed() }
        if mask.take() { expiry = try decoder.listed() }
        if mask.take() { hash.ended = try decoder.listed() }
        if mask.take() { sortedSet.ended = try decoder.listed() }
    }
}
