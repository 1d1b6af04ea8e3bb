import Base
import CRDT
import Causality
import Coding
import Ring

/// The state of one key, taken out of the store to be looked at or changed.
struct HeldState {
    var state: CRDTState
    /// Its place among the expanded states; nil for one that is kept encoded, or not at all.
    let place: Int?
    /// Of its record, at most.
    let bytes: Int

    /// By how much an encoded state of so many bytes can grow at most because it comes to name so
    /// many identities: each dot, of nine bytes or more, takes up to two more by then.
    static func dotGrowth(_ bytes: Int, _ identities: Int) -> Int {
        identities < 127 ? 0 : bytes / 4
    }

    /// Whether the state fits a record, if need be without what it remembers of ended totals: the
    /// room is there as long as every replica keeps to its part of it.
    ///
    /// - Complexity: O(entries).
    mutating func fits(_ recordBytesMax: Int, _ key: UnsafeRawBufferPointer) -> Bool {
        guard state.isWithinLimits else { return false }
        let room = recordBytesMax - Record.headerBytes - key.count
        if state.encodedBytes <= room { return true }
        state.forgetEnded()
        return state.encodedBytes <= room
    }
}

// Where the mergeable states of crdt keyspaces are: encoded in their records, or, when they are
// large, as values (`ExpandedStates`) to which their records point.
//
// What leaves the node (a message, the journal, a checkpoint) is always the whole record: `whole`.
extension Node {
    func isTyped(_ keyspace: Int) -> Bool {
        catalog.active[keyspace].settings.conflict == .crdt
    }

    /// Takes a key's state out; `putBack` or `putState` follows before the key is asked for again.
    mutating func takeState(
        _ location: KeyLocation, _ key: UnsafeRawBufferPointer, _ effects: inout Effects
    ) -> HeldState {
        let stored = believableState(location.address, key, location.keyspace, &effects)
        let isEncoded = stored.map { $0.isMergeable && !$0.isExpanded } ?? false
        let held = takeState(stored)
        guard isEncoded, held.bytes > ExpandedStates.encodedBytesMin, !held.state.isTombstone
        else { return held }
        // A recovery left it encoded: from the first command on it is a value.
        turn.spend(bytesCoded: held.bytes)
        let size = SizeChange(growth: held.bytes, doubt: 0)
        putStub(held.state, at: store.expanded.insert(held.state, size, of: key), location, key)
        return takeState(store.find(location.address, key))
    }

    /// The same without asking the clock.
    mutating func restoredState(
        _ location: KeyLocation, _ key: UnsafeRawBufferPointer
    ) -> HeldState {
        takeState(liveState(location.address, key, location.keyspace))
    }

    mutating func takeState(_ stored: Record?) -> HeldState {
        guard let stored else { return HeldState(state: CRDTState(), place: nil, bytes: 0) }
        guard stored.isExpanded else {
            return HeldState(state: CRDTState(valid: stored), place: nil, bytes: stored.length)
        }
        let place = stored.expandedPlace
        let bytes = store.expanded.bytes(of: place)
        return HeldState(state: store.expanded.take(place), place: place, bytes: bytes)
    }

    /// Up to when every other replica of a key has heard this node, and this node what that had
    /// sent before, by this node's clock; zero while one is away. That it was heard is not enough:
    /// a cut may be of one way.
    func heardByAll(_ location: KeyLocation) -> Stamp {
        let n = catalog.active[location.keyspace].n
        var least = now.monotonic
        for node in ring.primaries(of: location.address.range, replicationFactor: n)
        where node != configuration.node && !isRemoved(node) {
            guard let index = linkIndex(of: node), links[index].isUp, !links[index].isBusy,
                links[index].wentWithoutAt.rawValue
                    <= equalities.last(
                        link: index, replicationFactor: n, range: location.address.range.rawValue)
            else { return Stamp(rawValue: 0) }
            least = min(least, links[index].heardThereAt)
        }
        let silence = (now.monotonic - least) / 1_000_000
        return Stamp(milliseconds: now.wallMilliseconds - min(silence, now.wallMilliseconds))
    }

    /// Bytes of a state's record without its header and key. What is known of an expanded one is
    /// at most what its commands may have added, so it is measured, once until it changes again.
    ///
    /// - Complexity: O(entries), where it has changed since it was measured.
    mutating func measuredBytes(_ held: HeldState) -> Int {
        held.place.map { store.expanded.measure($0, held.state) } ?? held.bytes
    }

    /// Lets go of what nobody has to remember, as part of a change that nobody has heard of yet.
    mutating func tidy(
        _ held: inout HeldState, _ delta: inout Delta, _ command: TypedCommand, keyBytes: Int
    ) {
        let location = command.location
        held.state.sweep(&delta, through: stable(location.address.range, location.keyspace))
        if configuration.plantedBug == .incrementsComeBack {
            held.state.forgetEnded()
            delta.forgetEnded()
        }
        guard command.name.isRemoval, held.state.remembersEnded else { return }
        // A removal is never refused, so what it has to remember makes room for itself.
        let room = configuration.recordBytesMax - Record.headerBytes - keyBytes
        let growth = growthMax(command.name)
        guard 2 * held.bytes + growth > room else { return }
        var encoded = ByteBuffer(capacity: 1_024)
        delta.encode(into: &encoded)
        if encoded.count > room { delta.forgetEnded() }
        if held.state.encodedBytes + growth > room { held.state.forgetEnded() }
    }

    /// Gives back what was only looked at.
    mutating func putBack(_ held: HeldState) {
        if let place = held.place { store.expanded.put(held.state, at: place, .none) }
    }

    /// Stores what a record of so many bytes has changed.
    mutating func store(
        _ held: HeldState, _ change: SizeChange, by bytes: Int, _ location: KeyLocation,
        _ key: UnsafeRawBufferPointer
    ) {
        let durability = catalog.active[location.keyspace].durability
        if disk.isLimited, durability != .memory { disk.noteExcess(change, in: bytes) }
        putState(held, change, location, key)
    }

    /// Stores what was changed.
    ///
    /// - Parameter change: what was done to the size of the encoding.
    mutating func putState(
        _ held: HeldState, _ change: SizeChange, _ location: KeyLocation,
        _ key: UnsafeRawBufferPointer
    ) {
        merged.removeAll()
        let next = held.state.nextExpiry
        // What ends as a whole is noted with its record.
        if next > 0, held.state.effectiveExpiry != next {
            expiries.note(next, location.address.hash, location.address.range)
        }
        if let place = held.place, !held.state.isTombstone {
            store.expanded.put(held.state, at: place, change, isTight: disk.isLimited)
            return putStub(held.state, at: place, location, key)
        }
        // What has grown by so much that it will be kept as a value is not encoded to find out.
        if change.growth > ExpandedStates.remainsBytesMin, !held.state.isTombstone,
            held.state.elementCount * 4 > ExpandedStates.encodedBytesMin
        {
            let bytes = held.bytes + change.growth
            let size = SizeChange(growth: bytes, doubt: min(change.doubt, bytes))
            let place = store.expanded.insert(held.state, size, of: key)
            return putStub(held.state, at: place, location, key)
        }
        let range = held.state.encodeRecord(key: key, into: &merged)
        guard range.count > ExpandedStates.encodedBytesMin, !held.state.isTombstone else {
            return replaceStored(merged[range], location.keyspace, location.address)
        }
        let size = SizeChange(growth: range.count, doubt: 0)
        let place = store.expanded.insert(held.state, size, of: key)
        putStub(held.state, at: place, location, key)
    }

    /// Measures some of the states of which a full disk has to know how large they are.
    mutating func measureStates() {
        var looks = Node.looksAtOnce
        var bytes = 0
        while bytes < WorkBudget.turnBytes, let next = store.expanded.measureNext(&looks) {
            bytes += next.bytes
            turn.spend(bytesCoded: next.bytes)
            next.key.withUnsafeBytes { key in
                let location = place(of: key)
                let stored = liveState(location.address, key, location.keyspace)
                guard isTyped(location.keyspace), let stored, stored.isExpanded,
                    stored.expandedPlace == next.place
                else { return }
                putStub(store.expanded[next.place], at: next.place, location, key)
            }
        }
    }

    /// Whether `measureStates` has something to do.
    var isToMeasure: Bool { disk.isLimited && store.expanded.isDoubtful }

    private static let looksAtOnce = 4_096

    private mutating func putStub(
        _ state: CRDTState, at place: Int, _ location: KeyLocation, _ key: UnsafeRawBufferPointer
    ) {
        var body = ByteBuffer(capacity: Record.stubBytes)
        body.append(integer: UInt64(place))
        body.append(integer: Record.contextDigest(key, state.context))
        body.append(integer: UInt64(store.expanded.bytes(of: place)))
        merged.removeAll()
        let range = state.appendRecord(.expanded, key, body.bytes, into: &merged)
        replaceStored(merged[range], location.keyspace, location.address)
    }

    /// The record as others may see it; valid until the next call.
    mutating func whole(_ record: Record) -> Record {
        guard record.isExpanded else { return record }
        exported.removeAll()
        let range = store.expanded[record.expandedPlace]
            .encodeRecord(key: record.key, into: &exported)
        guard let base = exported[range].baseAddress else { return record }
        return Record(at: base)
    }

    /// Appends the record as others may see it.
    func appendWhole(_ record: Record, into buffer: inout ByteBuffer) {
        guard record.isExpanded else { return buffer.append(record.bytes) }
        _ = store.expanded[record.expandedPlace].encodeRecord(key: record.key, into: &buffer)
    }

    /// Whether a record holds the type that an argument names.
    func hasType(_ record: Record, at index: Int) -> Bool {
        let state =
            record.isExpanded
            ? store.expanded[record.expandedPlace] : CRDTState(valid: record)
        guard let name = state.type?.text else { return false }
        let text = UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount)
        return request[index].elementsEqual(text) { $0 | 0x20 == $1 }
    }

    /// What a stored record's state has seen.
    func context(of record: Record) -> VersionVector {
        if record.isExpanded { return store.expanded[record.expandedPlace].context }
        guard record.isMergeable else { return SiblingSet(valid: record).seen }
        var context = VersionVector()
        let bytes = CRDTState.contextBytes(in: record.body)
        for offset in stride(from: 0, to: bytes.count, by: 16) {
            let identity = bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
            let stamp = bytes.loadUnaligned(fromByteOffset: offset + 8, as: UInt64.self)
            context.insert(
                Dot(identity: ReplicaIdentity(rawValue: identity), stamp: Stamp(rawValue: stamp)))
        }
        return context
    }
}

// Merging
extension Node {
    /// Merges a state from elsewhere into this node's.
    mutating func mergeState(
        _ incoming: Record, _ keyspace: Int, _ effects: inout Effects
    ) -> ReplicaStatus {
        guard isTyped(keyspace) else { return refuseDropped() }
        let key = incoming.key
        let location = KeyLocation(keyspace: keyspace, address: store.address(of: key))
        let held = takeState(location, key, &effects)
        if let newest = held.state.context.newest, isAhead(newest.stamp) {
            putBack(held)
            return .clockAhead
        }
        // What this node has seen all of is no news, and is not built to find out.
        if incoming.isMergeable, held.state.context.dominates(context(of: incoming)) {
            putBack(held)
            return .acknowledged
        }
        turn.spend(bytesCoded: incoming.length)
        let isJudged = configuration.plantedBug != .behindJudgesWhole
        let settled = isJudged ? settled(location.address.range, keyspace) : Stamp(rawValue: 0)
        return join(incoming, held, location, settled)
    }

    /// Merges without asking the clock.
    mutating func restoreState(_ record: Record, _ keyspace: Int) {
        let location = KeyLocation(keyspace: keyspace, address: store.address(of: record.key))
        _ = join(record, restoredState(location, record.key), location, Stamp(rawValue: 0))
    }

    private mutating func join(
        _ incoming: Record, _ held: HeldState, _ location: KeyLocation, _ settled: Stamp
    ) -> ReplicaStatus {
        var added = CRDTState(valid: incoming)
        let truncatedAt = catalog.active[location.keyspace].truncatedAt
        if truncatedAt.rawValue > 0, configuration.plantedBug != .statesNotTruncated {
            added.truncate(through: truncatedAt)
        }
        if settled.rawValue > 0 { _ = added.removeRefuted(through: settled, by: held.state) }
        var joined = held
        if held.bytes > 0 { joined.state.join(added) } else { joined.state = added }
        let isNews = joined.state.context != held.state.context
        guard isNews, configuration.plantedBug != .mergeKeepsStored else {
            putBack(held)
            return .acknowledged
        }
        let sum = held.bytes + incoming.length
        let dotGrowth = HeldState.dotGrowth(sum, joined.state.context.entries.count)
        if !joined.state.isWithinLimits
            || sum + dotGrowth > configuration.recordBytesMax
                && !joined.fits(configuration.recordBytesMax, incoming.key)
        {
            putBack(held)
            return .tooManySiblings
        }
        let change = SizeChange(growth: incoming.length + dotGrowth, doubt: sum + dotGrowth)
        putState(joined, change, location, incoming.key)
        return .acknowledged
    }
}

extension CRDTState {
    /// The state of a record that was validated or encoded here.
    init(valid record: Record) {
        do throws(DecodeError) {
            try self.init(record)
        } catch {
            preconditionFailure("a record is validated before it is merged")
        }
    }

    /// The state that a record stands for; one that is not mergeable is a string's.
    ///
    /// - Throws: `truncated` or `invalid` when the body is malformed or not what the header says.
    init(_ record: Record) throws(DecodeError) {
        guard record.isMergeable else {
            let set = try SiblingSet(record: record)
            let values = set.siblings.filter { !$0.isSpent }.map {
                PlainValue(
                    dot: $0.dot, value: Bytes($0.value), expiry: $0.expiry, expiryDot: $0.expiryDot)
            }
            self.init(plain: values, context: set.seen)
            return
        }
        try self.init(decoding: record.body)
        guard context.newest == record.dot, isTombstone == record.isTombstone,
            effectiveExpiry == record.expiry
        else { throw .invalid("record header differs from its state") }
    }

    /// Appends the record that stands for the state.
    ///
    /// - Returns: where it stands in the buffer.
    func encodeRecord(key: UnsafeRawBufferPointer, into buffer: inout ByteBuffer) -> Range<Int> {
        let start = buffer.count
        let empty = UnsafeRawBufferPointer(start: nil, count: 0)
        let kind = isTombstone ? RecordKind.mergeableTombstone : .mergeable
        _ = appendRecord(kind, key, empty, into: &buffer)
        encode(into: &buffer)
        buffer.store(UInt32(buffer.count - start), at: start)
        return start..<buffer.count
    }

    fileprivate func appendRecord(
        _ kind: RecordKind, _ key: UnsafeRawBufferPointer, _ body: UnsafeRawBufferPointer,
        into buffer: inout ByteBuffer
    ) -> Range<Int> {
        guard let newest = context.newest else { preconditionFailure("a record has a dot") }
        let start = buffer.count
        let length = Record.length(keyBytes: key.count, bodyBytes: body.count)
        Record.write(
            to: buffer.reserve(length), kind: kind, dot: newest, expiry: effectiveExpiry, key: key,
            body: body)
        buffer.advance(length)
        return start..<buffer.count
    }
}
