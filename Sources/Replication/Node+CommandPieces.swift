import Base
import Coding
import RESP

// Commands on mergeable values that are too much for one step: what they name is known before, what
// they take away is found when they run.
extension Node {
    static let inPiecesOnly =
        "ERR more than \(CommandPieces.atOnceMax) elements of one value are done in pieces, "
        + "which are not one step: not in a transaction nor with a request id; send several"

    /// Begins a request on a key of a crdt keyspace that names more elements than one step takes.
    ///
    /// - Returns: false, and nothing has happened, when it does not.
    mutating func runInPieces(
        _ name: CommandName, _ target: ReplyTarget, _ effects: inout Effects
    ) throws(CommandError) -> Bool {
        guard let named = try tooManyElements(name) else {
            return try takeInPieces(name, target, &effects)
        }
        guard mayBeInPieces(target) else {
            fail(target, text: Node.inPiecesOnly, &effects)
            return true
        }
        let pieces = CommandPieces(name, named, of: request)
        guard !pieces.isWrite || mayBegin(pieces, target, &effects) else { return true }
        begin(pieces, target, &effects)
        return true
    }

    /// Begins a command that may take away more than one step does from a key that other nodes
    /// have: each piece is sent there, with its own time.
    private mutating func takeInPieces(
        _ name: CommandName, _ target: ReplyTarget, _ effects: inout Effects
    ) throws(CommandError) -> Bool {
        guard let count = try takenElements(name), abs(count) > CommandPieces.atOnceMax,
            mayBeInPieces(target), !coordinates(place(of: request[1]))
        else { return false }
        begin(CommandPieces(name, .counted(count), of: request), target, &effects)
        return true
    }

    /// How many elements the request takes away at most, negative for those at the end of a list;
    /// nil for a command that names them.
    private func takenElements(_ name: CommandName) throws(CommandError) -> Int? {
        switch name {
        case .spop, .lpop, .rpop, .zpopmin, .zpopmax: return try PopOptions(request, name).count
        case .lrem:
            let options = try ListRemoveOptions(request)
            return options.isFromEnd ? -options.limit : options.limit
        default: return nil
        }
    }

    /// The elements that the request names, if they are more than one step takes.
    func tooManyElements(_ name: CommandName) throws(CommandError) -> NamedElements? {
        guard request.count > CommandPieces.atOnceMax,
            let named = try NamedElements(name, request), named.count > CommandPieces.atOnceMax
        else { return nil }
        return named
    }

    /// Whether the request names more elements than one step takes, or the number of a pop is more;
    /// what is wrong about it is told when it runs.
    func namesTooMany(_ name: CommandName) -> Bool {
        do throws(CommandError) {
            switch name {
            case .spop, .lpop, .rpop, .zpopmin, .zpopmax:
                return try PopOptions(request, name).count ?? 1 > CommandPieces.atOnceMax
            default: return try tooManyElements(name) != nil
            }
        } catch { return false }
    }

    /// Does a command in pieces that turned out to take away more than one step does; the request
    /// is still the whole.
    mutating func goInPieces(
        _ command: TypedCommand, _ work: CommandPieces.Work, _ target: ReplyTarget,
        _ effects: inout Effects
    ) {
        guard mayBeInPieces(target) else {
            return fail(target, text: Node.inPiecesOnly, &effects)
        }
        begin(CommandPieces(command.name, work, of: request), target, &effects)
    }

    /// Whether a command may take effect in part: not where it is part of what is one step.
    private func mayBeInPieces(_ target: ReplyTarget) -> Bool {
        !isWithID(target) && !isInTransaction(target)
    }

    /// Refuses what is known not to work before anything of it is done.
    private mutating func mayBegin(
        _ pieces: CommandPieces, _ target: ReplyTarget, _ effects: inout Effects
    ) -> Bool {
        let key = request[1]
        let spot = place(of: key)
        let isRemoval = pieces.name.isRemoval
        let wanted = WantedChange(
            key: key, change: isRemoval ? .delete : .value(key), bytes: request.consumed)
        guard isChangeable(key, spot.keyspace, target, &effects),
            mayChange(wanted, at: spot, target, &effects)
        else { return false }
        guard isRemoval || store.allocatedBytes + request.consumed <= configuration.memoryBytesMax
        else {
            fail(target, text: outOfMemory, &effects)
            return false
        }
        return true
    }

    private mutating func begin(
        _ pieces: CommandPieces, _ target: ReplyTarget, _ effects: inout Effects
    ) {
        guard !gathers.isFull, !isCrowded else { return overload(target, &effects) }
        let head = OperationHead(
            target: outlasting(target), client: client, deadline: .max, begunAt: now.monotonic)
        let id = begin(GatherOperation(head: head, pieces))
        holdBack(id)
        // To take a long request was work enough for one turn.
        if turn.isSpent { progress(id, &effects) } else { goOnInPieces(id, &effects) }
    }

    /// Goes on with a command in pieces until it waits for an answer, or the turn has done enough.
    mutating func goOnInPieces(_ id: OperationID, _ effects: inout Effects) {
        guard let whole = gathers[id]?.head.client else { return }
        let outer = client
        defer { client = outer }
        // What is answered at once does not queue it.
        gathers[id]?.isQueued = true
        repeat {
            client = whole
            if gathers[id]?.pieces?.isPreparing == true {
                prepare(id, &effects)
            } else if gathers[id]?.pieces?.isDone == false {
                beginPiece(id, &effects)
            }
        } while !turn.isSpent && gathers[id]?.begun == 0 && gathers[id]?.pieces?.isDone == false
        guard gathers.contains(id) else { return }
        gathers[id]?.isQueued = false
        let isOver = gathers[id]?.begun == 0 && gathers[id]?.pieces?.isDone == true
        if isOver { gathers[id]?.missing = 0 }
        progress(id, &effects)
    }

    private mutating func beginPiece(_ id: OperationID, _ effects: inout Effects) {
        guard let piece = gathers[id]?.pieces?.next() else { return }
        gathers[id]?.beginPart()
        _ = withRequest(piece) { node in effects.inScope { node.runPiece(.gather(id, 0), &$0) } }
    }

    private mutating func runPiece(_ place: ReplyTarget, _ effects: inout Effects) {
        guard let name = CommandName(request[0]), isTyped(catalog.index(of: request[1])) else {
            return fail(place, "UNAVAILABLE the keyspace changed meanwhile", &effects)
        }
        do throws(CommandError) {
            let options = try ConsistencyOptions(trailing: name, request)
            runTyped(name, 1, options, place, &effects)
        } catch { refuse(error, place, &effects) }
    }

    private mutating func refuse(
        _ error: CommandError, _ target: ReplyTarget, _ effects: inout Effects
    ) {
        counters.commandErrors += 1
        let start = effects.bytes.count
        effects.bytes.writeError(error, for: request)
        deliver(target, from: start, &effects)
    }
}
