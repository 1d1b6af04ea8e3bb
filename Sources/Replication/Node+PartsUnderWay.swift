import Base
import RESP

// What reads under way may hold: those of one request with several keys a share of what all
// requests may, and all of them together a quarter of the memory. A request with several keys waits
// with its next part until those that have begun have let go of what they hold; a read whose
// answers find no room ends.
extension Node {
    /// How the next part of a request begins.
    enum PartStart {
        case begins
        /// It gets the answer of an earlier one with the same key, which is being read.
        case shares
        /// Later, when the request is called.
        case waits
    }

    /// What the answers to one request's parts under way may take; one part may take more.
    private var reservedBytesMax: Int { memory.outputMax / 8 }

    mutating func start(
        of part: Int, _ id: OperationID, _ kind: GatherOperation.PartKind, at index: Int,
        isWhole: Bool
    ) -> PartStart {
        if kind == .get || kind == .exists {
            let isAnyShared = gathers[id]?.underWay.isAnyShared == true
            if isAnyShared, shares(part, id, at: index) { return .shares }
            let reserved = gathers[id]?.underWay.reservedBytes ?? 0
            guard isWhole || reserved < reservedBytesMax else {
                gathers[id]?.underWay.waitForRoom()
                return .waits
            }
            if !isWhole, takesTurns(id) { return .waits }
        }
        return isWhole || mayAsk(id, kind, at: index) ? .begins : .waits
    }

    /// Where others wait for answers too, one long value is asked for at a time, then it is theirs.
    private mutating func takesTurns(_ id: OperationID) -> Bool {
        guard gathers[id]?.underWay.hasReserved == true,
            let link = links.firstIndex(where: { $0.answers.line.isTaken })
        else { return false }
        gathers[id]?.isQueued = true
        links[link].answers.line.append(.gather(id))
        counters.requestsHeldBack += 1
        return true
    }

    private mutating func shares(_ part: Int, _ id: OperationID, at index: Int) -> Bool {
        let key = request[index]
        let hash = store.address(of: key).hash
        return gathers[id]?.underWay.join(key, hash, part: part) == true
    }

    /// Tells an answer to the parts that share it.
    mutating func addShared(_ id: OperationID, _ part: Int, _ reply: [UInt8]) {
        guard gathers[id]?.underWay.isAnyShared == true else { return }
        let parts = gathers[id]?.underWay.end(part: part) ?? []
        for other in parts { gathers[id]?.addShared(reply, part: other) }
        turn.spend(arguments: parts.count)
    }

    /// Reserves what the answers to a read may take, if it is one of a request's parts.
    ///
    /// - Parameters:
    ///   - stored: bytes of what is here, where replicas answer with as much.
    ///   - answers: that it waits for.
    mutating func reserve(for id: OperationID, _ stored: Int?, _ answers: Int) {
        guard let read = reads[id], case .gather(let whole, let part) = read.head.target,
            let gather = gathers[whole], gather.onlyReads
        else { return }
        let isHere = isReplica(of: read.range, read.keyspace)
        let bytes = (stored ?? (isHere ? 0 : read.expectedBytes)) * answers
        let reserved = bytes > Node.answerBytesFree && read.typed == nil ? bytes : 0
        reads[id]?.reservedBytes = reserved
        gathers[whole]?.underWay.begin(id, reserving: reserved)
        if gather.underWay.reads.count > 2 * gather.begun + 64 {
            gathers[whole]?.underWay.keep { reads.contains($0) }
        }
        guard reserved > 0, gather.kind == .get || gather.kind == .exists else { return }
        let hash = read.key.withUnsafeBytes { store.address(of: $0).hash }
        gathers[whole]?.underWay.share(read.key, hash, part: part)
    }

    /// A read has ended; the request that it is a part of has room for others.
    @discardableResult
    mutating func remove(read id: OperationID, _ effects: inout Effects) -> ReadOperation? {
        guard let read = reads.remove(id) else { return nil }
        if read.reservedBytes > 0, case .gather(let whole, _) = read.head.target,
            gathers.contains(whole)
        {
            gathers[whole]?.underWay.release(read.reservedBytes)
            progress(whole, &effects)
        }
        return read
    }

    /// Ends a read that waits for more answers when what all of them hold takes the room of others.
    mutating func giveWay(read id: OperationID, _ effects: inout Effects) {
        guard let held = reads[id]?.heldBytes, held > Node.answerBytesFree,
            memory.mustGiveWay(held, of: reads.byteCount)
        else { return }
        endAll(.unwanted, of: id, &effects)
        guard let read = remove(read: id, &effects), !read.purpose.isComparison,
            read.tally.decision == nil || read.isHeldBack
        else { return }
        client = read.head.client
        overload(.read, read.keyspace, read.head.target, &effects)
    }

    /// Ends a request that only reads, whatever of it is under way.
    @discardableResult
    mutating func end(_ id: OperationID, _ effects: inout Effects) -> GatherOperation? {
        letGo(id)
        guard let whole = gathers.remove(id) else { return nil }
        for part in whole.underWay.reads {
            guard let read = reads[part], read.tally.decision == nil || read.isHeldBack else {
                continue
            }
            endAll(.unwanted, of: part, &effects)
            reads.remove(part)
        }
        return whole
    }

    /// Ends a request of which it is known what it answers.
    mutating func endEarly(_ id: OperationID, _ effects: inout Effects) {
        guard let whole = end(id, &effects) else { return }
        if !whole.isAbandoned { tell(whole, &effects) }
    }

    /// Takes a request that goes on over several steps.
    mutating func begin(_ gather: GatherOperation) -> OperationID {
        let id = gathers.insert(gather)
        guard gather.onlyReads, let index = sessionIndex(of: gather.head.target) else { return id }
        sessions[index].reading.append(id)
        if sessions[index].reading.count > 2 * Session.outstandingMax {
            sessions[index].reading.removeAll { !gathers.contains($0) }
        }
        return id
    }

    /// Nobody waits any more for what a connection's requests read: they end in the next step.
    mutating func abandonReads(of index: Int) {
        for id in sessions[index].reading where gathers.contains(id) {
            gathers[id]?.isAbandoned = true
            work.append(id)
        }
    }

    /// Whether a request goes on that reads several keys for a connection.
    public func isReadingSeveral(for connection: ConnectionID) -> Bool {
        let index = Int(connection.rawValue)
        return index < sessions.count && sessions[index].reading.contains { gathers.contains($0) }
    }

    /// Lets go of all that a connection has here, as soon as the driver knows that it has ended: a
    /// step `closed` follows in any case.
    public mutating func letGo(of connection: ConnectionID) {
        closed(connection)
        countMemory()
    }

    /// Traps unless what a request has reserved is what its reads have.
    func checkReserved(_ id: OperationID, _ whole: GatherOperation) {
        var sum = 0
        for part in whole.underWay.reads { sum += reads[part]?.reservedBytes ?? 0 }
        precondition(
            sum == whole.underWay.reservedBytes, "a request reserves what its reads may take")
    }
}
