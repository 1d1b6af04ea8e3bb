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
//   then its number and key are kept.
//
// Small messages go on, so that a node that is behind is not taken for dead.
extension Node {
    /// What a replica still has to answer.
    struct OwedAnswer {
        let number: UInt64
        let key: [UInt8]
        /// In a crdt keyspace: what the asking node has seen.
        let seen: VersionVector?
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
        links[index].owed.append(OwedAnswer(number: number, key: Array(key), seen: seen))
        return true
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
                let node = links[index].node
                owed.key.withUnsafeBytes { key in
                    if let seen = owed.seen {
                        answerState(owed.number, key, seen, from: node, &effects)
                    } else {
                        answerRead(owed.number, key, from: node, &effects)
                    }
                }
            }
            links[index].owed.removeFirst(given)
        }
    }
}
