import Base
import Causality
import Coding

/// Which requests with an id this node has heard of, and what became of them: the memory that makes
/// a request that is sent again take effect once.
///
/// A request id belongs to one key. Before a coordinator executes such a request it claims the id
/// at a majority of the key's replicas; when it has executed it, the outcome goes to the replicas
/// behind the effect. Of two coordinators that claim one id at majorities, some replica tells the
/// later one of the earlier. `RequestIDs` has the whole protocol.
///
/// Each entry is kept for `lifetimeMilliseconds` after it was first heard of, over restarts, and
/// all together keep to a limit in bytes. How old the entries of former lives are is known once
/// this life's time is confirmed: until then all of them are held (`holdsFormer`), so that a node
/// that starts under a wrong clock forgets none.
///
/// Invariants: `entries` holds exactly the names that are in `queue` from `head` on; `byteCount` is
/// the sum over them.
struct RequestLedger {
    /// For how long a request that is sent again is recognised.
    static let lifetimeMilliseconds: UInt64 = 600_000
    /// What an entry takes beside its name and reply, roughly.
    private static let entryBytes = 160

    /// Who wants to execute a request.
    struct Claim: Equatable {
        let coordinator: ReplicaIdentity
        /// Of the coordinator's operation.
        let number: UInt64
    }

    /// How a request that was executed ended.
    struct Outcome: Equatable {
        /// Of its effect: whoever has seen it has the effect or what replaced it. Nil for a request
        /// that answered without one: nothing has to be seen of that.
        let dot: Dot?
        /// In RESP; what the client is told whenever it asks again.
        let reply: [UInt8]
        /// Of the command: an id is for one.
        let checksum: UInt32
    }

    enum Entry: Equatable {
        case claimed(Claim)
        case done(Outcome)
    }

    /// What a replica says to a claim.
    enum Answer: Equatable {
        case granted
        /// Somebody else was here before.
        case rival(Claim)
        case done(Outcome)
        /// There is no room for more.
        case full
        /// This node is being refilled: it does not know which ids are taken.
        case notWhole
    }

    private struct Kept {
        var entry: Entry
        /// Wall-clock milliseconds since 1970.
        var since: UInt64
        /// From the journal.
        var isFormer = false
    }

    let bytesMax: Int
    /// Whether no entry of a former life is over yet.
    private(set) var holdsFormer = true
    private var entries = Table<RequestName, Kept>()
    private var queue: [RequestName] = []
    private var head = 0
    /// Entries that were forgotten so far.
    private var forgotten = 0
    private(set) var byteCount = 0

    init(bytesMax: Int) { self.bytesMax = bytesMax }

    var count: Int { entries.count }

    /// - Parameter now: wall-clock milliseconds since 1970.
    func entry(of name: RequestName, now: UInt64) -> Entry? {
        entries[name].flatMap { isOver($0, now) ? nil : $0.entry }
    }

    /// Notes a claim unless somebody else was here before.
    ///
    /// - Parameters:
    ///   - over: a claim of which nothing will come, and which gives way.
    ///   - mayGrow: whether there is memory for an id that was not known before.
    mutating func claim(
        _ name: RequestName, _ claim: Claim, over: Claim?, now: UInt64, mayGrow: Bool = true
    ) -> Answer {
        forgetOld(now: now, atMost: 2)
        if let kept = entries[name], !isOver(kept, now) {
            switch kept.entry {
            case .done(let outcome): return .done(outcome)
            case .claimed(let other) where other != claim && other != over: return .rival(other)
            case .claimed: break
            }
        }
        guard mayGrow || entries[name] != nil else { return .full }
        return put(name, .claimed(claim), since: now) ? .granted : .full
    }

    /// Notes how a request ended. An outcome takes the place of its claim whether or not there is
    /// room: the claim was counted.
    mutating func finish(_ name: RequestName, _ outcome: Outcome, since: UInt64) {
        _ = put(name, .done(outcome), since: since, isForced: true)
    }

    /// Notes how a request ended that another node coordinated. Where no claim of it was granted,
    /// for want of room, a majority of others knows it, and none is made now.
    ///
    /// - Returns: whether it was noted.
    mutating func learn(_ name: RequestName, _ outcome: Outcome, since: UInt64) -> Bool {
        put(name, .done(outcome), since: since, isForced: entries[name] != nil)
    }

    /// Takes a granted claim back from the journal, or from a replica that remembers it.
    mutating func restore(
        _ name: RequestName, _ claim: Claim, since: UInt64, isFormer: Bool = true
    ) {
        if case .done = entries[name]?.entry { return }
        _ = put(name, .claimed(claim), since: since, isForced: true, isFormer: isFormer)
    }

    /// Takes an outcome back from the journal.
    mutating func restore(_ name: RequestName, _ outcome: Outcome, since: UInt64) {
        _ = put(name, .done(outcome), since: since, isForced: true, isFormer: true)
    }

    /// The time is known, or every entry of a former life is too old by any clock.
    ///
    /// - Parameter milliseconds: how far ahead of what this life's entries were noted by it is.
    mutating func release(correctingBy milliseconds: Int64) {
        holdsFormer = false
        guard milliseconds != 0 else { return }
        for name in queue[head...] {
            guard var kept = entries[name], !kept.isFormer else { continue }
            kept.since = kept.since.shifted(by: milliseconds)
            entries[name] = kept
        }
    }

    /// Forgets entries whose time is over, the oldest first.
    mutating func forgetOld(now: UInt64, atMost count: Int) {
        var left = count
        while left > 0, head < queue.count, let kept = entries[queue[head]] {
            guard isOver(kept, now) else {
                // A clock was ahead when it came: it is as old as can be proved.
                if kept.since > now, !isHeld(kept) { entries[queue[head]]?.since = now }
                break
            }
            byteCount -= bytes(of: queue[head], kept)
            entries[queue[head]] = nil
            head += 1
            forgotten += 1
            left -= 1
        }
        if entries.isEmpty {
            // The memory of many goes too.
            (entries, queue, head) = (Table(), [], 0)
        } else if head > queue.count / 2 {
            queue.removeFirst(head)
            head = 0
        }
    }

    /// Forgets entries by their names and when they were first heard of.
    ///
    /// - Complexity: O(entries).
    mutating func forget(where isOver: (RequestName, UInt64) -> Bool) {
        guard !entries.isEmpty else { return }
        let before = queue.count - head
        queue = queue[head...].filter { name in
            guard let kept = entries[name], isOver(name, kept.since) else { return true }
            byteCount -= bytes(of: name, kept)
            entries[name] = nil
            return false
        }
        head = 0
        // What is left has places no earlier than before.
        forgotten += before - queue.count
    }

    /// The first entry from a place on, and its place; nil behind the last. Places stay what they
    /// are while entries come and go.
    func entry(
        from place: Int
    ) -> (place: Int, name: RequestName, entry: Entry, since: UInt64)? {
        let place = max(place, forgotten)
        let index = head + place - forgotten
        guard index < queue.count, let kept = entries[queue[index]] else { return nil }
        return (place, queue[index], kept.entry, kept.since)
    }

    private func isHeld(_ kept: Kept) -> Bool { holdsFormer && kept.isFormer }

    private func isOver(_ kept: Kept, _ now: UInt64) -> Bool {
        !isHeld(kept)
            && kept.since.saturatingAdding(RequestLedger.lifetimeMilliseconds) < now
    }

    private mutating func put(
        _ name: RequestName, _ entry: Entry, since: UInt64, isForced: Bool = false,
        isFormer: Bool = false
    ) -> Bool {
        let before = entries[name]
        let kept = Kept(
            entry: entry, since: before?.since ?? since, isFormer: before?.isFormer ?? isFormer)
        let growth = bytes(of: name, kept) - (before.map { bytes(of: name, $0) } ?? 0)
        guard isForced || byteCount + growth <= bytesMax else { return false }
        byteCount += growth
        entries[name] = kept
        if before == nil { queue.append(name) }
        return true
    }

    private func bytes(of name: RequestName, _ kept: Kept) -> Int {
        var bytes = RequestLedger.entryBytes + 2 * name.bytes.count
        if case .done(let outcome) = kept.entry { bytes += outcome.reply.count }
        return bytes
    }

    /// Traps unless the type's invariants hold.
    func checkInvariants() {
        precondition(entries.count == queue.count - head, "every entry is in the queue once")
        let sum = queue[head...].reduce(0) { sum, name in
            sum + (entries[name].map { bytes(of: name, $0) } ?? 0)
        }
        precondition(sum == byteCount, "entries are summed up")
    }
}

/// A key and a request id.
struct RequestName: Hashable {
    /// How many bytes an id may have.
    static let idBytesMax = 64

    /// `keyBytes (2) | key | id`.
    let bytes: [UInt8]

    /// - Parameters:
    ///   - key: 1…65,535 bytes.
    ///   - id: 1…64 bytes.
    init(key: UnsafeRawBufferPointer, id: UnsafeRawBufferPointer) {
        let count = UInt16(key.count)
        bytes = [UInt8(truncatingIfNeeded: count), UInt8(count >> 8)] + Array(key) + Array(id)
    }

    /// - Throws: `truncated` or `invalid`.
    init(decoding reader: inout ByteReader) throws(DecodeError) {
        let length = Int(try reader.integer(UInt32.self))
        bytes = Array(try reader.slice(length))
        guard bytes.count > 2 else { throw .truncated }
        let idBytes = bytes.count - 2 - keyBytes
        guard 1...RequestName.idBytesMax ~= idBytes else {
            throw .invalid("a request id has 1 to 64 bytes, behind its key")
        }
    }

    func encode(into buffer: inout ByteBuffer) {
        buffer.append(integer: UInt32(bytes.count))
        buffer.append(bytes)
    }

    private var keyBytes: Int { Int(bytes[0]) | Int(bytes[1]) << 8 }

    func withID(_ body: (UnsafeRawBufferPointer) -> Void) {
        bytes.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[(2 + keyBytes)...])) }
    }

    func withKey<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R {
        bytes.withUnsafeBytes {
            body(UnsafeRawBufferPointer(rebasing: $0[2..<2 + keyBytes]))
        }
    }
}

extension UInt64 {
    fileprivate func saturatingAdding(_ other: UInt64) -> UInt64 {
        let (sum, isTooLarge) = addingReportingOverflow(other)
        return isTooLarge ? .max : sum
    }

    fileprivate func shifted(by difference: Int64) -> UInt64 {
        difference < 0
            ? self - Swift.min(self, difference.magnitude)
            : saturatingAdding(difference.magnitude)
    }
}
