import Base
import Causality
import Coding
import RESP

/// What is to be emptied.
enum Emptying {
    case everything
    /// The keyspace of this name is emptied and dropped.
    case keyspace([UInt8])
}

// Emptying keyspaces.
//
// What was written up to a stamp is gone, so the stamp has to be later than that of every write
// that was acknowledged before. This node's clock alone does not vouch for that: another node's may
// be a little ahead, and so is what it wrote. Every node is therefore asked for the latest stamp
// that it knows of; a node whose clock is off by more than the bound has nothing emptied. Where a
// keyspace is to be dropped, nodes begin no write of it from then on (`Fence`): that would be one
// of a keyspace that is gone.
extension Node {
    mutating func dropKeyspace(_ target: ReplyTarget, _ effects: inout Effects) {
        guard let index = catalog.index(named: request[2]) else {
            return fail(target, "ERR no such keyspace", &effects)
        }
        guard index != 0 else {
            return fail(target, "ERR the default keyspace is always there", &effects)
        }
        let name = Array(request[2])
        guard !isBeingChanged(name) else { return failFenced(target, &effects) }
        askTime(.keyspace(name), target, &effects)
    }

    /// Empties every keyspace: whatever was written up to now is gone, on every node that learns
    /// it.
    mutating func flush(_ target: ReplyTarget, _ effects: inout Effects) throws(CommandError) {
        let isWaited = request.matches(1, "ASYNC") || request.matches(1, "SYNC")
        guard request.count == 1 || request.count == 2 && isWaited else { throw .syntax }
        askTime(.everything, target, &effects)
    }

    private mutating func askTime(
        _ emptying: Emptying, _ target: ReplyTarget, _ effects: inout Effects
    ) {
        guard everyNodeIsUp(target, &effects),
            let id = administer(.timing(emptying), target, &effects)
        else { return }
        let frame = effects.bytes.appendMessage(kind: 10, flag: 2, number: id.rawValue) {
            if case .keyspace(let name) = emptying { $0.append(name) }
        }
        for link in links where link.isUp { send(frame, to: link.node, &effects) }
        if case .keyspace(let name) = emptying { fenceDrop(name, by: configuration.node) }
        guard let latest = latestStamp() else { return background.audit.note(.own(id)) }
        toldTime(id, latest, by: configuration.node, &effects)
    }

    /// Another node asks for the time, to drop the keyspace of a name or, without one, to empty
    /// all.
    mutating func tellTime(
        _ number: UInt64, dropping name: [UInt8], to node: NodeID, _ effects: inout Effects
    ) {
        if !name.isEmpty { fenceDrop(name, by: node) }
        guard let latest = latestStamp() else {
            return background.audit.note(.other(node, number: number))
        }
        tellTime(latest, number, to: node, &effects)
    }

    func tellTime(
        _ latest: Stamp, _ number: UInt64, to node: NodeID, _ effects: inout Effects
    ) {
        withUnsafeBytes(of: latest.rawValue.littleEndian) {
            send(to: node, kind: 11, flag: 1, number: number, $0, &effects)
        }
    }

    mutating func toldTime(
        _ id: OperationID, _ stamp: Stamp, by node: NodeID, _ effects: inout Effects
    ) {
        guard let index = linkIndex(of: node), let operation = administrations[id],
            case .timing = operation.stage, operation.waiting.isSet(index)
        else { return }
        let wait =
            .nanoseconds(milliseconds: Node.administrationMilliseconds)
            - (operation.head.deadline - min(now.monotonic, operation.head.deadline))
        let isBehind =
            stamp.milliseconds + configuration.clockDriftMax + wait / 1_000_000
            < clock.reach
        if configuration.plantedBug == .emptiedByOwnClock { return strike(id, index, &effects) }
        guard !isBehind, clock.observe(stamp) else {
            administrations.remove(id)
            client = operation.head.client
            if case .timing(let emptying) = operation.stage { giveUp(emptying, &effects) }
            return fail(
                operation.head.target,
                text: "CLOCK the clock of \(node) does not agree with this node's; nothing was "
                    + "changed", &effects)
        }
        strike(id, index, &effects)
    }

    mutating func empty(
        _ emptying: Emptying, _ target: ReplyTarget, _ effects: inout Effects
    ) {
        defer { giveUp(emptying, &effects) }
        // Who told the time and went away since would come back with what is emptied.
        guard everyNodeIsUp(target, &effects) else { return }
        switch emptying {
        case .everything:
            guard fences.allSatisfy({ $0.until <= now.monotonic }) else {
                return failFenced(target, &effects)
            }
            emptyEverything(target, &effects)
        case .keyspace(let name):
            guard !isBeingChanged(name, countingDrops: false) else {
                return failFenced(target, &effects)
            }
            guard name.withUnsafeBytes({ catalog.index(named: $0) }) != nil else {
                return fail(target, "ERR no such keyspace", &effects)
            }
            change(name, to: nil, target, &effects)
        }
    }

    /// Whether it came to a drop or not, whoever has heard of it begins writes again.
    mutating func giveUp(_ emptying: Emptying, _ effects: inout Effects) {
        if case .keyspace(let name) = emptying { endSurvey(name, &effects) }
    }

    /// What empties `default` empties every keyspace.
    private mutating func emptyEverything(_ target: ReplyTarget, _ effects: inout Effects) {
        guard let dot = nextChange(target, &effects) else { return }
        var changed = catalog
        do throws(DecodeError) {
            let settings = catalog.active[0].settings
            // Whoever's word the settings were, it still is.
            try changed.change(
                0, to: settings, dot: dot, emptied: clock.tick(),
                by: catalog.definitions[0].origin)
        } catch {
            return fail(
                target, text: "ERR the keyspaces cannot be changed any more: \(error)", &effects)
        }
        noteOrder("FLUSHALL or FLUSHDB, which empty every keyspace", of: target)
        adopt(changed, &effects)
        spread([Node.defaultName], nil, target, &effects)
    }
}
