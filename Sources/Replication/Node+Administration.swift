import Base
import Coding

// What waits for other nodes.
extension Node {
    mutating func definitionsLearned(
        _ id: OperationID, by node: NodeID, _ effects: inout Effects
    ) {
        guard let index = linkIndex(of: node), case .spreading = administrations[id]?.stage
        else { return }
        strike(id, index, &effects)
    }

    mutating func administrationLost(
        _ id: OperationID, _ index: Int, _ effects: inout Effects
    ) {
        guard administrations[id]?.waiting.isSet(index) == true else { return }
        expireAdministration(id, &effects)
    }

    mutating func strike(_ id: OperationID, _ index: Int, _ effects: inout Effects) {
        guard let operation = administrations[id], operation.waiting.isSet(index) else { return }
        administrations[id]?.waiting &= ~(1 << UInt64(index))
        guard administrations[id]?.waiting == 0, let done = administrations.remove(id) else {
            return
        }
        client = done.head.client
        switch done.stage {
        case .spreading(let change): tellSpread(change, done.head.target, &effects)
        case .timing(let emptying): empty(emptying, done.head.target, &effects)
        case .surveying(let request):
            guard done.keys < Int.max else {
                endSurvey(request.name, &effects)
                return failFenced(done.head.target, &effects)
            }
            guard done.keys == 0 else {
                endSurvey(request.name, &effects)
                return fail(
                    done.head.target,
                    text: "ERR n can only change in an empty keyspace, and conflict to or from "
                        + "crdt likewise; keys in default with its prefix count too. The nodes "
                        + "hold \(done.keys) such records, each replica and each tombstone "
                        + "counted. Delete the keys and wait until INFO collection shows "
                        + "tombstone_oldest_ms:0, or say FLUSHALL, which empties every keyspace",
                    &effects)
            }
            // Who answered and went away since would come back with the old n.
            guard everyNodeIsUp(alsoForgotten: true, done.head.target, &effects) else {
                return endSurvey(request.name, &effects)
            }
            // It may have come, or gone, from elsewhere while the nodes were asked.
            let isThere = request.name.withUnsafeBytes { catalog.index(named: $0) } != nil
            guard isThere == request.exists else {
                endSurvey(request.name, &effects)
                return failExistence(isThere, done.head.target, &effects)
            }
            change(request.name, to: request.settings, done.head.target, &effects)
        }
    }

    /// A keyspace is there already, or is not.
    mutating func failExistence(
        _ exists: Bool, _ target: ReplyTarget, _ effects: inout Effects
    ) {
        exists
            ? fail(target, "ERR keyspace exists; change it with KEYSPACE ALTER", &effects)
            : fail(target, "ERR no such keyspace", &effects)
    }

    private mutating func tellSpread(
        _ change: SpreadChange?, _ target: ReplyTarget, _ effects: inout Effects
    ) {
        guard let change, let index = change.name.withUnsafeBytes({ catalog.index(named: $0) })
        else { return reply(.ok, target, &effects) }
        guard change.isDrop else { return tellChanged(index, target, &effects) }
        counters.unknown += 1
        fail(
            target,
            "UNKNOWN the keyspace is emptied and still there: it was changed elsewhere meanwhile",
            &effects)
    }

    /// Of two changes that did not know of each other at most one is told OK. Say that node A has
    /// made one and node B another. B answers A after it has learned A's change; so if A knows of
    /// no other one by then, B knows of two when A has answered it.
    private mutating func tellChanged(
        _ index: Int, _ target: ReplyTarget, _ effects: inout Effects
    ) {
        guard catalog.definitions[index].rivals > 1 else { return reply(.ok, target, &effects) }
        counters.unknown += 1
        let name = String(decoding: catalog.definitions[index].name, as: UTF8.self)
        fail(
            target,
            text: "CONFLICT \(name) was changed elsewhere at the same time, to other settings; the "
                + "safer of each count. KEYSPACE GET \(name) shows them, KEYSPACE ALTER \(name) "
                + "settles it", &effects)
    }

    mutating func expireAdministration(_ id: OperationID, _ effects: inout Effects) {
        guard let operation = administrations.remove(id) else { return }
        client = operation.head.client
        switch operation.stage {
        case .spreading:
            counters.unknown += 1
            fail(
                operation.head.target,
                "UNKNOWN the change is made here and spreads to the nodes that did not answer",
                &effects)
        case .surveying(let request):
            endSurvey(request.name, &effects)
            failUnanswered(operation.head.target, &effects)
        case .timing(let emptying):
            giveUp(emptying, &effects)
            failUnanswered(operation.head.target, &effects)
        }
    }

    private mutating func failUnanswered(_ target: ReplyTarget, _ effects: inout Effects) {
        counters.unavailable += 1
        fail(target, "UNAVAILABLE a node did not answer; nothing was changed", &effects)
    }

    /// Asks every node how many keys it holds before a change that would lose sight of some.
    mutating func survey(
        _ change: KeyspaceChangeRequest, _ target: ReplyTarget, _ effects: inout Effects
    ) {
        guard everyNodeIsUp(alsoForgotten: true, target, &effects) else { return }
        guard let id = administer(.surveying(change), target, &effects) else { return }
        let frame = change.name.withUnsafeBytes {
            effects.bytes.appendMessage(kind: 10, number: id.rawValue, $0)
        }
        for link in links where link.isUp { send(frame, to: link.node, &effects) }
        guard !beginSurvey(change.name, for: configuration.node, .own(id)) else {
            return workInBackground(&effects)
        }
        surveyed(id, .max, by: configuration.node, &effects)
    }

    /// - Parameter alsoForgotten: whether nodes that CLUSTER FORGET took out are needed as well:
    ///   one that is let in again drops what was emptied meanwhile, but not a value that was
    ///   written as another type than its keyspace has by then.
    mutating func everyNodeIsUp(
        alsoForgotten: Bool = false, _ target: ReplyTarget, _ effects: inout Effects
    ) -> Bool {
        let away = links.first {
            !$0.isUp && $0.node != configuration.node && (alsoForgotten || !isRemoved($0.node))
        }
        guard let away else { return true }
        counters.unavailable += 1
        let number = away.node.rawValue
        var reason = "is not reachable"
        if isRemoved(away.node) {
            reason = "was taken out by CLUSTER FORGET; CLUSTER READMIT \(number) lets it in again"
        } else if !alsoForgotten {
            reason += "; if it never returns, CLUSTER FORGET \(number) goes on without it"
        }
        fail(
            target, text: "UNAVAILABLE this needs every node, and \(away.node) \(reason)", &effects)
        return false
    }

    /// Nothing more is changed: the keyspace takes writes again.
    mutating func endSurvey(_ name: [UInt8], _ effects: inout Effects) {
        liftFence(name, of: configuration.node)
        let frame = name.withUnsafeBytes {
            effects.bytes.appendMessage(kind: 10, flag: 1, number: 0, $0)
        }
        for link in links where link.isUp { send(frame, to: link.node, &effects) }
    }

    mutating func survey(
        _ number: UInt64, _ name: UnsafeRawBufferPointer, from node: NodeID,
        _ effects: inout Effects
    ) {
        guard !beginSurvey(Array(name), for: node, .other(number: number)) else {
            return workInBackground(&effects)
        }
        tellHeld(.max, number, to: node, &effects)
    }

    mutating func surveyed(
        _ id: OperationID, _ keys: UInt64, by node: NodeID, _ effects: inout Effects
    ) {
        guard let index = linkIndex(of: node), let survey = administrations[id],
            case .surveying = survey.stage, survey.waiting.isSet(index)
        else { return }
        let (sum, isTooMuch) = survey.keys.addingReportingOverflow(Int(clamping: keys))
        administrations[id]?.keys = isTooMuch ? .max : sum
        strike(id, index, &effects)
    }
}

extension UInt64 {
    func isSet(_ index: Int) -> Bool { self & 1 << UInt64(index) != 0 }
}
