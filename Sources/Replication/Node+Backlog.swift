import Base
import Causality
import Coding
import RESP
import Ring

// Links that are behind: more waits for a node than its connection takes. A link is never closed
// for that, and nothing piles up behind it:
//
// - a write that has enough other replicas goes on without the one that is behind, which gets it in
//   an exchange later; one that has not waits before it begins, and its connection is not read;
// - an answer to a read, which may be large, is put together only when there is room for it; until
//   then its number and key are kept;
// - the reply to a command that the other node forwarded waits likewise, as long as anybody waits
//   for it. A long one refers to what the value held meanwhile, and counts as if it were a copy.
//
// Small messages go on, so that a node that is behind is not taken for dead.
extension Node {
    /// What a replica still has to answer.
    struct OwedAnswer {
        enum Content {
            /// What is here of a key; in a crdt keyspace beside what the asking node has seen.
            case record([UInt8], seen: VersionVector?)
            /// The reply to a command, with what a session learns, for as long as it is waited for.
            case reply(Reply, SessionNews?, until: Deadline)
        }

        let number: UInt64
        let content: Content

        /// Of a reply, which is counted.
        var replyBytes: Int {
            if case .reply(let reply, _, _) = content { reply.heldBytes } else { 0 }
        }
    }

    /// Answers that one node may be owed; whoever asks for more is told to ask another replica.
    private static let owedAnswersMax = 16_384
    /// Bytes of answers that one step puts together.
    private static let answerBytesAtOnce = 1 << 20

    /// The driver has more for a node than its link takes at once.
    public mutating func noteBacklog(of node: NodeID) {
        guard let index = linkIndex(of: node), links[index].isUp, !links[index].isBusy else {
            return
        }
        links[index].isBusy = true
        busyLinks += 1
        counters.linksBehind += 1
    }

    /// Most of what waited for a node has left, or its link is gone.
    mutating func relieve(_ index: Int, _ effects: inout Effects) {
        guard links[index].isBusy else { return }
        links[index].isBusy = false
        links[index].wentWithoutAt = clock.latest
        busyLinks -= 1
        wakeWaiting(&effects)
    }

    /// Has the connections whose requests wait for links look again.
    mutating func wakeWaiting(_ effects: inout Effects) {
        guard !waitingForLinks.isEmpty else { return }
        let waiting = waitingForLinks
        waitingForLinks = []
        for (connection, serial) in waiting {
            let index = Int(connection.rawValue)
            guard sessions[index].serial == serial, case .links = sessions[index].wait else {
                continue
            }
            sessions[index].wait = nil
            effects.add(.more(connection))
        }
    }

    private func isBusy(_ node: NodeID) -> Bool {
        linkIndex(of: node).map { links[$0].isBusy } ?? false
    }

    /// Whether so many replicas can be reached whose links are not behind.
    private func haveRoom(_ wanted: Int, of range: KeyRange, _ n: Int) -> Bool {
        ring.primaries(of: range, replicationFactor: n).reduce(0) {
            let takes = $1 == configuration.node || isReachable($1) && !isBusy($1)
            return $0 + (takes ? 1 : 0)
        } >= wanted
    }

    /// Whether the parsed request is a write that has enough replicas only with those behind.
    func waitsForLinks() -> Bool {
        guard let name = CommandName(request[0]) else { return false }
        let description = CommandTable.description(of: name)
        guard description.flags.contains(.write), description.keys.first > 0,
            description.keys.first < request.count
        else { return false }
        let key = request[description.keys.first]
        let active = catalog.active[catalog.index(of: key)]
        let range = store.address(of: key).range
        return !haveRoom(active.writes.writeQuorum, of: range, active.n)
            && reachableReplicas(of: range, active.n) >= active.writes.writeQuorum
    }

    /// Whether a write goes on without a replica whose link is behind.
    func goesWithout(_ node: NodeID, _ id: OperationID) -> Bool {
        guard busyLinks > 0, isBusy(node), let write = writes[id] else { return false }
        return haveRoom(write.tally.writeQuorum, of: write.range, write.primaries)
    }

    /// Puts an answer off when the link that it would take is behind.
    ///
    /// - Returns: false when it can be given now.
    mutating func putOff(
        _ number: UInt64, _ key: UnsafeRawBufferPointer, _ seen: VersionVector?, of node: NodeID,
        _ effects: inout Effects
    ) -> Bool {
        guard busyLinks > 0, let index = linkIndex(of: node), links[index].isBusy else {
            return false
        }
        guard links[index].owed.count < Node.owedAnswersMax else {
            decline(number, of: node, &effects)
            return true
        }
        links[index].owed.append(
            OwedAnswer(number: number, content: .record(Array(key), seen: seen)))
        return true
    }

    /// Bytes up to which a reply leaves at once.
    private static let briefReplyBytes = 4 << 10

    /// Answers a command that another node forwarded.
    mutating func answerForwarded(
        _ reply: Reply, to node: NodeID, _ number: UInt64, _ effects: inout Effects
    ) {
        let news = learned.take()
        guard busyLinks > 0, reply.byteCount > Node.briefReplyBytes,
            let index = linkIndex(of: node), links[index].isBusy
        else { return sendReply(reply, news, to: node, number, &effects) }
        let milliseconds = UInt64(client.timeoutMillisecondsMax ?? 0) + Node.graceMilliseconds
        let until = now.monotonic + .nanoseconds(milliseconds: milliseconds)
        memory.replies += reply.heldBytes
        links[index].owed.append(
            OwedAnswer(number: number, content: .reply(reply, news, until: until)))
    }

    private func sendReply(
        _ reply: Reply, _ news: SessionNews?, to node: NodeID, _ number: UInt64,
        _ effects: inout Effects
    ) {
        if let news { return sendLearned(news, reply, to: node, number, &effects) }
        let frame = effects.bytes.appendMessage(kind: 6, number: number) {
            reply.writeAll(into: &$0)
        }
        send(frame, to: node, &effects)
    }

    /// The link is gone: nobody waits any more.
    mutating func forgetOwed(_ index: Int) {
        memory.replies -= links[index].owed.reduce(0) { $0 + $1.replyBytes }
        links[index].owed = []
    }

    /// Whether answers that were put off can be given.
    var hasOwedAnswers: Bool { links.contains { !$0.owed.isEmpty && !$0.isBusy } }

    /// Gives answers that were put off, as many as a step may.
    mutating func giveOwedAnswers(_ effects: inout Effects) {
        for index in links.indices where !links[index].owed.isEmpty && !links[index].isBusy {
            let end = effects.bytes.count + Node.answerBytesAtOnce
            var given = 0
            while given < links[index].owed.count, effects.bytes.count < end {
                let owed = links[index].owed[given]
                given += 1
                memory.replies -= owed.replyBytes
                give(owed, to: links[index].node, &effects)
            }
            links[index].owed.removeFirst(given)
        }
    }

    private mutating func give(
        _ owed: OwedAnswer, to node: NodeID, _ effects: inout Effects
    ) {
        switch owed.content {
        case .reply(let reply, let news, let until):
            guard now.monotonic < until else { return }
            sendReply(reply, news, to: node, owed.number, &effects)
        case .record(let key, let seen?):
            key.withUnsafeBytes { answerState(owed.number, $0, seen, from: node, &effects) }
        case .record(let key, nil):
            key.withUnsafeBytes { answerRead(owed.number, $0, from: node, &effects) }
        }
    }
}
