import Base
import Quorum
import RESP
import Ring

// What this node has asked others for: so much of each at a time that it comes before the reads'
// time is over (`AnswerWindow`). A request for which fewer replicas have room than it needs waits
// before it begins, and its connection is not read; its time has not begun to run. Requests that
// need none of those replicas go on. Of one with many keys the parts wait that have not begun.
extension Node {
    // MARK: Who waits

    /// Whether the parsed request has enough replicas only with those that owe much already; then
    /// its connection is called when that has changed.
    mutating func waitsForAnswers(_ index: Int, _ effects: inout Effects) -> Bool {
        guard case .called(let link) = sessions[index].wait else {
            return reads.count + forwards.count > 0 && joinsLine(index, isCalled: false)
        }
        sessions[index].wait = nil
        links[link].answers.line.noteArrival()
        let isEarly = joinsLine(index, isCalled: true)
        callWaiting(link, &effects)
        return isEarly
    }

    private mutating func joinsLine(_ index: Int, isCalled: Bool) -> Bool {
        guard let name = CommandName(request[0]) else { return false }
        let description = CommandTable.description(of: name)
        let place = description.keys.first
        guard place > 0, place < request.count else { return false }
        let key = request[place]
        let keyspace = catalog.index(of: key)
        guard !description.flags.contains(.write) || isTyped(keyspace) else { return false }
        let isQuery =
            isTyped(keyspace) && !name.writes(request)
            && !isReplica(of: KeyLocation(keyspace: keyspace, address: store.address(of: key)))
        let link =
            isQuery
            ? fullLink(forQueriesOf: key, keyspace, isCalled)
            : fullLink(of: key, keyspace, askedFor(name, index, keyspace), isCalled)
        guard let link else { return false }
        links[link].answers.line.append(
            .connection(ConnectionID(UInt32(index)), serial: sessions[index].serial))
        counters.requestsHeldBack += 1
        return true
    }

    /// How many replicas the parsed request asks for, as far as its options tell.
    private func askedFor(_ name: CommandName, _ index: Int, _ keyspace: Int) -> Int {
        let active = catalog.active[keyspace]
        var level = sessions[index].hasDefaults ? sessions[index].defaults.r : nil
        if CommandTable.description(of: name).consistency != nil, request.count >= 4 {
            for option in 2..<request.count - 1 where request.matches(option, "R") {
                if let own = try? Level(request, option + 1) { level = own }
            }
        }
        return min(level?.count(of: active.n) ?? active.reads.readQuorum, active.n)
    }

    /// A link whose node has to be waited for before so many replicas of a key can be asked; nil
    /// when there are enough without, or not even with it.
    private func fullLink(
        of key: UnsafeRawBufferPointer, _ keyspace: Int, _ wanted: Int, _ isCalled: Bool
    ) -> Int? {
        let address = store.address(of: key)
        let n = catalog.active[keyspace].n
        var (ready, full) = (0, 0)
        var first: Int?
        for node in ring.primaries(of: address.range, replicationFactor: n) {
            guard node != configuration.node else {
                ready += isWhole(address.range, keyspace) ? 1 : 0
                continue
            }
            guard isHeard(node), let index = linkIndex(of: node) else { continue }
            if isCalled ? links[index].answers.isFull : links[index].answers.isTaken {
                full += 1
                if first == nil { first = index }
            } else {
                ready += 1
            }
        }
        return ready < wanted && ready + full >= wanted ? first : nil
    }

    /// The same for a query that one of a key's replicas answers.
    private func fullLink(
        forQueriesOf key: UnsafeRawBufferPointer, _ keyspace: Int, _ isCalled: Bool
    ) -> Int? {
        let range = store.address(of: key).range
        let n = catalog.active[keyspace].n
        var first: Int?
        for node in ring.primaries(of: range, replicationFactor: n) where isHeard(node) {
            guard let index = linkIndex(of: node) else { continue }
            let answers = links[index].answers
            guard answers.isFullForQueries || !isCalled && answers.isTaken else { return nil }
            first = first ?? index
        }
        return first
    }

    /// Whether the next part of a request may ask for its answer; if not, the request is called
    /// when it may.
    mutating func mayAsk(
        _ id: OperationID, _ kind: GatherOperation.PartKind, at index: Int
    ) -> Bool {
        guard reads.count > 0, !kind.isWrite, kind != .command else { return true }
        let key = request[index]
        let keyspace = catalog.index(of: key)
        let wanted = catalog.active[keyspace].reads.readQuorum
        guard let link = fullLink(of: key, keyspace, wanted, true) else { return true }
        gathers[id]?.isQueued = true
        links[link].answers.line.append(.gather(id))
        counters.requestsHeldBack += 1
        return false
    }

    /// Has those look again that wait for a node which may be asked for more.
    mutating func callWaiting(_ link: Int, _ effects: inout Effects) {
        while let waiter = links[link].answers.next() {
            switch waiter {
            case .connection(let connection, let serial):
                let index = Int(connection.rawValue)
                guard sessions[index].serial == serial, case .answers = sessions[index].wait
                else {
                    links[link].answers.line.noteArrival()
                    continue
                }
                sessions[index].wait = .called(link)
                effects.add(.more(connection))
            case .gather(let id):
                // The next one is called when this one has gone on: what it leaves is theirs.
                guard gathers.contains(id) else {
                    links[link].answers.line.noteArrival()
                    continue
                }
                gathers[id]?.calledBy = link
                work.append(id)
            }
        }
    }

    /// Five times a second: what was lost without a word is not waited for.
    mutating func tendAnswers(_ effects: inout Effects) {
        for link in links.indices {
            links[link].answers.tend(now: now.monotonic)
            links[link].answers.line.forgetCalls()
            callWaiting(link, &effects)
        }
    }

    // MARK: What is under way

    /// How an answer that was asked for ended.
    enum AnswerEnd {
        case came(bytes: Int)
        /// It was declined, or the link broke.
        case lost
        /// Nobody waits for it any more: its time is over.
        case tooLate
        /// Nobody waits for it any more, for another reason.
        case unwanted

        /// - Parameter bytes: what was asked for.
        fileprivate func settle(
            _ bytes: Int, askedAt: Deadline, now: Deadline, in window: inout AnswerWindow
        ) {
            switch self {
            case .came(let size):
                window.settle(bytes)
                window.grow(by: size)
            case .lost: window.settle(bytes)
            case .tooLate: window.giveUp(bytes, askedAt: askedAt, now: now)
            case .unwanted: window.giveUp(bytes, askedAt: nil, now: now)
            }
        }
    }

    /// What a replica's answer will have, as far as this node can tell.
    ///
    /// - Parameter stored: bytes of what is here, where replicas answer with as much.
    func expectedBytes(_ stored: Int?) -> Int {
        64 + (stored ?? links.reduce(0) { max($0, $1.answers.line.typicalBytes) })
    }

    /// Whether a node is asked in this round: at first who owes little, then who was heard lately,
    /// then whoever can be reached.
    func isWorthAsking(_ node: NodeID, round: Int) -> Bool {
        switch round {
        case 0: isHeard(node) && !owesMuch(node)
        case 1: isHeard(node)
        default: isReachable(node)
        }
    }

    /// A replica is asked.
    mutating func noteAsked(_ id: OperationID, _ replica: Int, _ node: NodeID) {
        guard let link = linkIndex(of: node) else { return }
        reads[id]?.asked |= 1 << UInt64(replica)
        reads[id]?.everAsked |= 1 << UInt64(replica)
        links[link].answers.ask(reads[id]?.expectedBytes ?? 0)
    }

    /// A query is forwarded to a node.
    mutating func noteQuery(_ id: OperationID, to node: NodeID) {
        guard let link = linkIndex(of: node) else { return }
        let bytes = expectedBytes(nil)
        forwards[id]?.expectedBytes = bytes
        links[link].answers.ask(bytes)
        links[link].answers.beginQuery(now: now.monotonic)
    }

    /// The node to which a query was forwarded is no longer waited for.
    mutating func noteEnd(
        _ end: AnswerEnd, of forward: ForwardOperation, _ effects: inout Effects
    ) {
        guard !forward.isWrite, let link = linkIndex(of: forward.node) else { return }
        if case .came = end {
            links[link].answers.endQuery(inTime: true)
        } else {
            links[link].answers.endQuery(inTime: false)
        }
        end.settle(
            forward.expectedBytes, askedAt: forward.head.begunAt, now: now.monotonic,
            in: &links[link].answers)
        callWaiting(link, &effects)
    }

    /// A replica is no longer waited for.
    mutating func noteEnd(
        _ end: AnswerEnd, from replica: Int, of id: OperationID, _ effects: inout Effects
    ) {
        guard let asked = reads[id]?.asked, asked & 1 << UInt64(replica) != 0,
            let range = reads[id]?.range, let count = reads[id]?.tally.replicaCount,
            let bytes = reads[id]?.expectedBytes, let begunAt = reads[id]?.head.begunAt
        else { return }
        reads[id]?.asked = asked & ~(1 << UInt64(replica))
        let replicas = ring.primaries(of: range, replicationFactor: count)
        guard let link = linkIndex(of: replicas[replicas.startIndex + replica]) else { return }
        end.settle(bytes, askedAt: begunAt, now: now.monotonic, in: &links[link].answers)
        callWaiting(link, &effects)
    }

    /// Waits for no replica of a read any more.
    mutating func endAll(_ end: AnswerEnd, of id: OperationID, _ effects: inout Effects) {
        for replica in 0..<(reads[id]?.tally.replicaCount ?? 0) {
            noteEnd(end, from: replica, of: id, &effects)
        }
    }

    /// An answer came that nobody waits for.
    mutating func noteLate(from node: NodeID, _ effects: inout Effects) {
        counters.lateAnswers += 1
        guard let link = linkIndex(of: node) else { return }
        links[link].answers.cameLate(now: now.monotonic)
        callWaiting(link, &effects)
    }

    /// Whether a node owes as many answers as it may.
    func owesMuch(_ node: NodeID) -> Bool {
        linkIndex(of: node).map { links[$0].answers.isFull } ?? true
    }

    /// Whether a query may be forwarded to a node without waiting.
    func takesQueries(_ node: NodeID) -> Bool {
        linkIndex(of: node).map { !links[$0].answers.isFullForQueries } ?? false
    }

    /// Whether any node owes much, or requests wait for it: what no client needs is not asked for.
    var isAnswerWaitedFor: Bool {
        reads.count + forwards.count > 0 && links.contains { $0.answers.isTaken }
    }
}

extension Node {
    /// Traps unless what is under way is what reads wait for.
    func checkAnswerWindows() {
        var sums = links.map { _ in 0 }
        for slot in 0..<reads.indexEnd {
            guard let id = reads.id(at: slot), let read = reads[id] else { continue }
            let replicas = ring.primaries(
                of: read.range, replicationFactor: read.tally.replicaCount)
            for (rank, node) in replicas.enumerated() where read.asked & 1 << UInt64(rank) != 0 {
                if let link = linkIndex(of: node) { sums[link] += read.expectedBytes }
            }
        }
        var queries = links.map { _ in 0 }
        for slot in 0..<forwards.indexEnd {
            guard let id = forwards.id(at: slot), let forward = forwards[id], !forward.isWrite,
                let link = linkIndex(of: forward.node)
            else { continue }
            sums[link] += forward.expectedBytes
            queries[link] += 1
        }
        precondition(
            sums == links.map(\.answers.underWay), "what is under way is what reads wait for")
        precondition(
            queries == links.map(\.answers.queries.count), "forwarded queries are counted")
    }
}
