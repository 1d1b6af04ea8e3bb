import Base
import Causality
import Coding
import Ring

// Hinted handoff: hints go to their nodes once these are back.
//
// One chunk is on its way to a node at a time. A hint is forgotten when its node has acknowledged
// it, durably unless the keyspace is kept in memory; what was refused, lost, or not answered in
// time is sent again, after a pause that doubles with each failure. Bytes a second are limited for
// each link. A node takes a hint only for keys that the ring gives it.
extension Node {
    private static let chunkHintsMax = 64
    private static let chunkBytes = 64 << 10
    /// Hints that one chunk looks at.
    private static let chunkLookedAtMax = 512
    private static let answerMilliseconds: UInt64 = 2_000
    private static let pauseMax: UInt64 = 6_400

    /// At a heartbeat: gives up old hints for a node, and goes on with the others.
    mutating func tendHints(_ index: Int, _ effects: inout Effects) {
        guard !hints[index].isEmpty else { return }
        dropHints(index, &effects)
        guard links[index].isUp else { return }
        let rate = configuration.hintBytesPerSecond
        let refill = rate / 1_000 * Int(Node.heartbeatMilliseconds)
        links[index].handOff.budget = min(links[index].handOff.budget + refill, rate)
        guard links[index].handOff.at <= now.monotonic else { return }
        guard links[index].handOff.open.isEmpty else { return failHandOff(index) }
        handOff(index, &effects)
    }

    /// The link is down.
    mutating func breakHandOff(_ index: Int) {
        if !links[index].handOff.open.isEmpty { failHandOff(index) }
    }

    private mutating func failHandOff(_ index: Int) {
        counters.handOffsFailed += 1
        links[index].handOff.open = []
        let pause = min(
            max(2 * links[index].handOff.pause, Node.heartbeatMilliseconds), Node.pauseMax)
        links[index].handOff.pause = pause
        links[index].handOff.at = now.monotonic + .nanoseconds(milliseconds: pause)
    }

    /// Sends the next chunk of hints to their node.
    private mutating func handOff(_ index: Int, _ effects: inout Effects) {
        guard isPresent(links[index].node) else { return }
        links[index].handOff.isRefused = false
        var left = min(Node.chunkBytes, links[index].handOff.budget)
        var next = links[index].handOff.next
        if hints[index].first(from: next) == nil { next = 0 }
        for _ in 0..<Node.chunkLookedAtMax {
            guard left > 0, links[index].handOff.open.count < Node.chunkHintsMax,
                let (number, _) = hints[index].first(from: next)
            else { break }
            next = number + 1
            left -= send(believeHint(number, index, &effects), index, &effects)
        }
        links[index].handOff.next = next
        let patience = Node.answerMilliseconds + links[index].handOff.pause
        links[index].handOff.at =
            links[index].handOff.open.isEmpty
            ? now.monotonic : now.monotonic + .nanoseconds(milliseconds: patience)
    }

    /// - Returns: the bytes sent; 0 when the hint is not for now.
    private mutating func send(
        _ number: UInt64, _ index: Int, _ effects: inout Effects
    ) -> Int {
        guard let hint = hints[index][number], mayHandOff(hint, to: links[index].node) else {
            return 0
        }
        let id = OperationID(
            kind: .hint, index: Int(number & 0xFFF_FFFF),
            generation: UInt32(truncatingIfNeeded: number >> 28))
        let frame = hint.withRecord {
            effects.bytes.appendMessage(kind: Message.handOffKind, number: id.rawValue, $0.bytes)
        }
        links[index].handOff.budget -= frame.count
        counters.handOffBytes += frame.count
        noteSent(id.rawValue, to: links[index].node)
        send(frame, to: links[index].node, &effects)
        if configuration.plantedBug == .hintForgottenWhenSent {
            removeHint(number, index, &effects)
        } else {
            links[index].handOff.open.append(number)
        }
        return frame.count
    }

    /// Whether a node still is to have a hint.
    private func mayHandOff(_ hint: Hint, to node: NodeID) -> Bool {
        hint.withRecord { record in
            let range = store.address(of: record.key).range
            return counts(record) && !isPast(hint)
                && owns(node, range, catalog.index(of: record.key))
        }
    }

    /// Another node kept a record for this one.
    mutating func takeHandOff(
        _ number: UInt64, _ record: Record, from node: NodeID, _ effects: inout Effects
    ) {
        let range = store.address(of: record.key).range
        guard owns(configuration.node, range, catalog.index(of: record.key)) else {
            return acknowledge(number, .noReplica, nil, to: node, &effects)
        }
        let isSurplus = OperationID(rawValue: number).kind == .surplus
        guard !isSurplus || takesSurplus(range, catalog.index(of: record.key)) else {
            return acknowledge(number, .overloaded, nil, to: node, &effects)
        }
        replicate(number, record, .synced, from: node, &effects)
    }

    /// A node says what became of a hint.
    mutating func handedOff(
        _ id: OperationID, _ status: ReplicaStatus, by node: NodeID, _ effects: inout Effects
    ) {
        let number = UInt64(id.generation) << 28 | UInt64(id.index)
        guard let index = linkIndex(of: node),
            let place = links[index].handOff.open.firstIndex(of: number)
        else {
            counters.lateAnswers += 1
            return
        }
        links[index].handOff.open.remove(at: place)
        switch status {
        case .acknowledged, .durable, .superseded:
            if hints[index][number] != nil { counters.hintsHandedOff += 1 }
            removeHint(number, index, &effects)
        case .diskFull, .clockAhead, .overloaded, .tooManySiblings, .found, .absent, .noReplica,
            .covered, .contextTold, .needsState, .wrongEpoch, .refilling:
            links[index].handOff.isRefused = true
        }
        guard links[index].handOff.open.isEmpty else { return }
        guard !links[index].handOff.isRefused else { return failHandOff(index) }
        links[index].handOff.pause = 0
        handOff(index, &effects)
    }
}
