import Base
import CRDT
import Coding
import RESP

// Requests with several keys: each key is a part, read or written where it is.
//
// So that nobody else waits for a long one, its first parts begin at once, as many as a step may
// take, and the others some at a time in steps of their own; what follows on the same connection
// waits until all have begun, and behind a write until it is done. A write of up to `partsAtOnce`
// keys begins in one step.
extension Node {
    /// Parts that begin in one step.
    static let partsAtOnce = 1_024
    /// Bytes of answers, or of messages, from which on a step begins no further part.
    private static let bytesAtOnce = 1 << 20
    /// Answers that a request may have gathered, or a read be waiting with, whatever others have.
    static let answerBytesFree = 16 << 10
    /// Parts that may have begun and not answered.
    private static let partsUnderWay = 1_024
    /// Members that one step looks at, of sets that are put together.
    private static let membersAtOnce = 16_384

    /// What a step has done so far of one request.
    private struct GatherStep {
        var begun = 0
        /// Of the answers that were there before.
        let answerBytes: Int
        /// Of the effects before it.
        let effectBytes: Int
        let isWhole: Bool
    }

    /// Starts a request that is answered when all its parts are; an error reply when there is no
    /// room for it.
    ///
    /// - Parameter arguments: the parts', one behind the other.
    mutating func gather(
        _ combination: GatherOperation.Combination, _ kind: GatherOperation.PartKind,
        _ arguments: Range<Int>, _ target: ReplyTarget, _ effects: inout Effects
    ) {
        guard !gathers.isFull, !isCrowded else { return overload(target, &effects) }
        let isUnchecked = configuration.plantedBug == .partialChange
        let parts = arguments.count / kind.words
        let isWhole = kind.isWrite && parts <= Node.partsAtOnce || isInTransaction(target)
        if kind.isWrite, isWhole, !isUnchecked {
            guard mayChangeAll(kind, arguments, bytes: request.consumed, target, &effects) else {
                return
            }
        }
        let head = OperationHead(
            target: outlasting(target), client: client, deadline: .max, begunAt: now.monotonic)
        let id = begin(GatherOperation(head: head, combination, kind, parts: parts))
        gathers[id]?.hidesProgress = isUnchecked
        if kind.isWrite { holdBack(id) }
        guard isWhole || !kind.isWrite else {
            keepRest(id, arguments, from: 0)
            let rest = gathers[id]?.rest
            if !isUnchecked { gathers[id]?.unchecked = rest }
            return goOn(id, &effects)
        }
        beginParts(id, arguments, isWhole: isWhole, &effects)
    }

    /// Begins as many parts as a step may, of a request that nobody has begun.
    private mutating func beginParts(
        _ id: OperationID, _ arguments: Range<Int>, isWhole: Bool, _ effects: inout Effects
    ) {
        guard let kind = gathers[id]?.kind, let parts = gathers[id]?.parts else { return }
        var step = GatherStep(
            answerBytes: 0, effectBytes: effects.bytes.count, isWhole: isWhole)
        var repeated = RepeatedKeys()
        if kind.isWrite, parts > 1 {
            for index in stride(
                from: arguments.lowerBound, to: arguments.upperBound, by: kind.words)
            {
                repeated.note(store.address(of: request[index]).hash, at: index)
            }
        }
        while step.begun < parts, mayBegin(id, step, effects) {
            let index = arguments.lowerBound + step.begun * kind.words
            let part = step.begun
            let start = start(of: part, id, kind, at: index, isWhole: isWhole)
            guard start != .waits else { break }
            step.begun += 1
            if start == .shares { continue }
            if repeated.hasSome, isRepeated(index, repeated) {
                gathers[id]?.skipPart()
                continue
            }
            gathers[id]?.beginPart()
            beginPart(kind, at: index, .gather(id, part), &effects)
            turn.spend(1)
        }
        guard gathers.contains(id), step.begun < parts else { return }
        holdBack(id)
        keepRest(id, arguments.dropFirst(step.begun * kind.words), from: step.begun)
        progress(id, &effects)
    }

    /// Whether a later argument is the same key.
    private func isRepeated(_ index: Int, _ repeated: borrowing RepeatedKeys) -> Bool {
        let key = request[index]
        return repeated.isRepeated(store.address(of: key).hash, at: index) { other in
            bytesEqual(request[other], key)
        }
    }

    /// Keeps the parts that have not begun.
    private mutating func keepRest(
        _ id: OperationID, _ arguments: Range<Int>, from part: Int
    ) {
        guard let kind = gathers[id]?.kind else { return }
        gathers[id]?.rest = GatherRest(
            request.bulks(arguments), from: part, parts: arguments.count / kind.words,
            words: kind.words)
    }

    /// Has what follows on the client's connection wait.
    mutating func holdBack(_ id: OperationID) {
        guard gathers[id]?.holdsBack == false, let target = gathers[id]?.head.target,
            let index = sessionIndex(of: target)
        else {
            return
        }
        gathers[id]?.holdsBack = true
        sessions[index].heldBack += 1
    }

    mutating func letGo(_ id: OperationID) {
        guard gathers[id]?.holdsBack == true, let target = gathers[id]?.head.target else { return }
        gathers[id]?.holdsBack = false
        if let index = sessionIndex(of: target) { sessions[index].heldBack -= 1 }
    }

    /// Whether a reply is that of one of a transaction's commands, which all happen in one step.
    func isInTransaction(_ target: ReplyTarget) -> Bool {
        guard case .gather(let id, _) = target else { return false }
        return gathers[id]?.kind == .command
    }

    /// Starts a transaction, whose commands the caller begins; nil, and an error reply, when there
    /// is no room.
    mutating func gatherCommands(
        _ count: Int, _ target: ReplyTarget, _ effects: inout Effects
    ) -> OperationID? {
        guard !gathers.isFull, !isCrowded else {
            overload(target, &effects)
            return nil
        }
        let head = OperationHead(
            target: outlasting(target), client: client, deadline: .max, begunAt: now.monotonic)
        return begin(
            GatherOperation(head: head, .transaction, .command, parts: count))
    }

    private func mayBegin(
        _ id: OperationID, _ step: GatherStep, _ effects: borrowing Effects
    ) -> Bool {
        guard let gather = gathers[id] else { return false }
        if step.isWhole { return true }
        if turn.isSpent, step.begun > 0 { return false }
        return !gather.isDecided && step.begun < Node.partsAtOnce
            && gather.begun < Node.partsUnderWay
            && gather.byteCount - step.answerBytes < Node.bytesAtOnce
            && effects.bytes.count - step.effectBytes < Node.bytesAtOnce
    }

    private mutating func beginPart(
        _ kind: GatherOperation.PartKind, at index: Int, _ place: ReplyTarget,
        _ effects: inout Effects
    ) {
        client.evidence = ReadEvidence()
        switch kind {
        case .get: readPart(.get, at: index, place, &effects)
        case .exists: readPart(.exists, at: index, place, &effects)
        case .set: setPart(at: index, place, &effects)
        case .delete: deletePart(at: index, place, &effects)
        case .members: readMembers(at: index, place, &effects)
        case .command, .piece: preconditionFailure("others begin these parts")
        }
    }

    /// Goes on with a request for one step.
    mutating func goOn(_ id: OperationID, _ effects: inout Effects) {
        guard gathers.contains(id) else { return }
        if gathers[id]?.isAbandoned == true { return endEarly(id, &effects) }
        let link = gathers[id]?.calledBy
        gathers[id]?.calledBy = nil
        if let link { links[link].answers.line.noteArrival() }
        takeStep(id, &effects)
        if let link { callWaiting(link, &effects) }
    }

    private mutating func takeStep(_ id: OperationID, _ effects: inout Effects) {
        gathers[id]?.isQueued = false
        gathers[id]?.underWay.noteStep()
        if gathers[id]?.walk != nil { return walkOn(id, &effects) }
        if gathers[id]?.combining != nil { return combine(id, &effects) }
        if gathers[id]?.pieces != nil { return goOnInPieces(id, &effects) }
        if gathers[id]?.unchecked != nil { return checkSome(id, &effects) }
        guard let kind = gathers[id]?.kind, let head = gathers[id]?.head,
            let (words, _) = gathers[id]?.rest?.request(
                kind.command, partsMax: Node.partsAtOnce, bytesMax: Node.bytesAtOnce)
        else { return progress(id, &effects) }
        client = head.client
        let step = GatherStep(
            answerBytes: gathers[id]?.byteCount ?? 0, effectBytes: effects.bytes.count,
            isWhole: false)
        _ = withRequest(words) { node in node.beginSome(id, step, &effects) }
        progress(id, &effects)
    }

    /// Begins some more parts, which the request holds.
    private mutating func beginSome(
        _ id: OperationID, _ step: GatherStep, _ effects: inout Effects
    ) {
        guard let kind = gathers[id]?.kind else { return }
        let hasRepeated = gathers[id]?.repeated.hasSome == true
        var step = step
        while 1 + step.begun * kind.words < request.count, mayBegin(id, step, effects) {
            let index = 1 + step.begun * kind.words
            guard let rest = gathers[id]?.rest else { break }
            let start = start(of: rest.part, id, kind, at: index, isWhole: false)
            guard start != .waits else { break }
            let isRepeated = hasRepeated && isRepeated(rest, id, at: index)
            step.begun += 1
            gathers[id]?.rest?.removeFirst()
            if rest.parts == 1 { forgetRest(id) }
            if isRepeated { gathers[id]?.skipPart() }
            if isRepeated || start == .shares { continue }
            gathers[id]?.beginPart()
            beginPart(kind, at: index, .gather(id, rest.part), &effects)
            turn.spend(1)
        }
    }

    /// Whether the first part that has not begun names a key that a later one names.
    private func isRepeated(_ rest: GatherRest, _ id: OperationID, at index: Int) -> Bool {
        let hash = store.address(of: request[index]).hash
        return gathers[id]?.repeated.isRepeated(hash, at: rest.offset) { other in
            bytesEqual(rest.word(at: other), rest.word(at: rest.offset))
        } == true
    }

    /// Checks some more parts of a change before any of them begins; refuses the whole if one of
    /// them is known not to work.
    private mutating func checkSome(_ id: OperationID, _ effects: inout Effects) {
        guard let kind = gathers[id]?.kind, let head = gathers[id]?.head else { return }
        client = head.client
        while let unchecked = gathers[id]?.unchecked {
            let (words, parts) = unchecked.request(
                kind.command, partsMax: Node.partsAtOnce, bytesMax: Node.bytesAtOnce)
            var mayGoOn = false
            _ = withRequest(words) { node in
                mayGoOn = node.mayChangeAll(
                    kind, 1..<node.request.count, bytes: unchecked.byteCount, head.target,
                    &effects)
                node.noteKeys(id, parts, kind)
            }
            guard mayGoOn else {
                letGo(id)
                gathers.remove(id)
                return
            }
            turn.spend(arguments: 2 * parts)
            if turn.isSpent { break }
        }
        queue(id)
    }

    /// Notes the keys of some parts that have been checked, which the request holds.
    private mutating func noteKeys(
        _ id: OperationID, _ parts: Int, _ kind: GatherOperation.PartKind
    ) {
        guard var unchecked = gathers[id]?.unchecked else { return }
        var repeated = RepeatedKeys()
        gathers[id]?.exchangeRepeated(&repeated)
        if repeated.count == 0 { repeated = RepeatedKeys(parts: unchecked.parts) }
        for part in 0..<parts {
            let hash = store.address(of: request[1 + part * kind.words]).hash
            repeated.note(hash, at: unchecked.offset)
            unchecked.removeFirst()
        }
        // Where no key is named again, nothing has to be looked up.
        if unchecked.parts == 0, !repeated.hasSome { repeated = RepeatedKeys() }
        gathers[id]?.exchangeRepeated(&repeated)
        gathers[id]?.unchecked = unchecked.parts > 0 ? unchecked : nil
    }

    /// All parts have begun, or those that have not need not any more.
    private mutating func forgetRest(_ id: OperationID) {
        guard let gather = gathers[id], let rest = gather.rest else { return }
        gathers[id]?.missing -= rest.parts
        gathers[id]?.rest = nil
        if !gather.kind.isWrite { letGo(id) }
    }

    /// A part has answered, in RESP.
    mutating func gathered(
        _ id: OperationID, _ part: Int, _ reply: [UInt8], _ effects: inout Effects
    ) {
        guard gathers.contains(id) else { return }
        if gathers[id]?.pieces != nil, let news = learned.take() {
            gathers[id]?.pieces?.news = news
        }
        gathers[id]?.add(reply, part: part)
        addShared(id, part, reply)
        if giveWay(id, &effects) { return }
        progress(id, &effects)
    }

    /// A part has answered with the members of a set.
    mutating func gathered(
        _ id: OperationID, _ part: Int, _ members: Elements, bytes: Int, _ effects: inout Effects
    ) {
        guard gathers.contains(id) else { return }
        gathers[id]?.add(members, bytes: bytes, part: part)
        if giveWay(id, &effects) { return }
        progress(id, &effects)
    }

    /// Refuses a request that only reads when what it has gathered takes the room of others: it
    /// began while there was room, and so did others.
    ///
    /// - Returns: whether it has ended.
    private mutating func giveWay(_ id: OperationID, _ effects: inout Effects) -> Bool {
        guard let gather = gathers[id], gather.byteCount > Node.answerBytesFree,
            !gather.kind.isWrite, gather.kind != .command
        else { return false }
        countMemory()
        guard memory.isCrowded(by: gather.heldBytes) else { return false }
        let isTooMuchAlone = memory.isTooMuchAlone(gather.heldBytes)
        end(id, &effects)
        guard isTooMuchAlone else {
            overload(gather.head.target, &effects)
            return true
        }
        fail(
            gather.head.target,
            text: "OOM the reply would take more than \(memory.outputMax) bytes, a quarter of this "
                + "node's memory limit, and no more is left; ask for fewer keys at once", &effects)
        return true
    }

    /// Looks what comes next, unless the request goes on in a later step anyway.
    mutating func progress(_ id: OperationID, _ effects: inout Effects) {
        guard gathers.contains(id) else { return }
        if gathers[id]?.isDecided == true { return endEarly(id, &effects) }
        guard gathers[id]?.isQueued == false else { return }
        if gathers[id]?.missing == 0 {
            gathers[id]?.beginCombining()
            return combine(id, &effects)
        }
        if gathers[id]?.pieces != nil {
            if gathers[id]?.begun == 0 { queue(id) }
            return
        }
        guard let begun = gathers[id]?.begun, gathers[id]?.rest != nil,
            begun < Node.partsUnderWay / 2, gathers[id]?.underWay.waitsForRoom == false
        else { return }
        queue(id)
    }

    mutating func queue(_ id: OperationID) {
        guard gathers[id]?.isQueued == false else { return }
        gathers[id]?.isQueued = true
        work.append(id)
    }

    /// Puts sets together for one step, and answers when that is done.
    private mutating func combine(_ id: OperationID, _ effects: inout Effects) {
        if gathers[id]?.combining != nil { turn.spend(elements: Node.membersAtOnce) }
        if gathers[id]?.combining?.advance(Node.membersAtOnce) == false { return queue(id) }
        letGo(id)
        guard let whole = gathers.remove(id) else { return }
        if let news = whole.pieces?.news { learned = news }
        tell(whole, &effects)
    }

    /// Whether a reply is one of several sets that are put together.
    func isForSets(_ target: ReplyTarget) -> Bool {
        guard case .gather(let id, _) = target else { return false }
        return gathers[id]?.combination.isOfSets == true
    }

    /// Bytes that clients' requests and replies take are more than their share.
    var isCrowded: Bool { memory.isCrowded }

    mutating func overload(_ target: ReplyTarget, _ effects: inout Effects) {
        counters.overloaded += 1
        fail(
            target, "OVERLOADED too many requests under way on this node; try again", &effects)
    }
}
