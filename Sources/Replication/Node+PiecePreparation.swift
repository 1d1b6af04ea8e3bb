import CRDT
import Causality
import Coding
import RESP

// Before the first piece of a command on many named elements: what can be known is checked, and
// elements are sorted where their order does not matter. Some of them in one step.
extension Node {
    /// Elements that one step looks at.
    private static let preparedAtOnce = 4_096

    mutating func prepare(_ id: OperationID, _ effects: inout Effects) {
        guard let pieces = gathers[id]?.pieces else { return }
        let start = effects.bytes.count
        if let some = pieces.takeUnread(Node.preparedAtOnce) {
            if pieces.isAddition {
                _ = withRequest(some) { node in node.check(pieces, &effects) }
            }
        } else {
            let places = pieces.merge(Node.preparedAtOnce)
            if pieces.isAddition {
                _ = withRequest(pieces.headRequest) { node in
                    node.forecast(pieces, places, &effects)
                }
            }
        }
        turn.spend(arguments: 3 * Node.preparedAtOnce)
        if !pieces.isPreparing, pieces.isAddition, effects.bytes.count == start {
            _ = withRequest(pieces.headRequest) { node in node.checkForecast(pieces, &effects) }
        }
        guard effects.bytes.count > start else { return }
        counters.commandErrors += 1
        pieces.refuse(takeBack(start, &effects))
    }

    /// Writes an error for the first of some elements that cannot be added.
    private mutating func check(_ pieces: CommandPieces, _ effects: inout Effects) {
        let keyspace = catalog.index(of: request[1])
        let valueBytesMax = catalog.active[keyspace].settings.valueBytesMax
        do throws(CommandError) {
            guard let named = try NamedElements(pieces.name, request) else { return }
            for index in named.first..<request.count {
                let count = request[index].count
                guard count <= valueBytesMax else {
                    return effects.bytes.writeError(Node.argumentTooLarge)
                }
                if pieces.name == .zadd, (index - named.first) % 2 == 0 {
                    _ = try request.score(index)
                }
                guard pieces.order == nil else { continue }
                let later = pieces.forecast.isInFirst ? 0 : CRDTState.bytesOfLaterPush
                pieces.forecast.add(
                    bytes: count,
                    least: CRDTState.bytes(ofNew: .list, name: count, value: 0) + later,
                    most: growthMax(pieces.name, count))
            }
        } catch { effects.bytes.writeError(error, for: request) }
    }

    /// Adds up what some of the sorted elements will take; the request holds the key.
    private mutating func forecast(
        _ pieces: CommandPieces, _ places: ArraySlice<UInt32>, _ effects: inout Effects
    ) {
        guard let order = pieces.order, let type = pieces.name.elementType else { return }
        let elements = order.elements
        var names: [Bytes] = []
        // Elements whose name stands before in the command add nothing.
        var isNew: [Bool] = []
        for index in places.indices {
            let place = Int(places[index])
            let isRepeated =
                index > 0 && elements.compareNames(Int(order.offsets[index - 1]), place) == 0
            isNew.append(!isRepeated)
            if !isRepeated { names.append(Bytes(Array(elements.name(at: place)))) }
        }
        let held = coordinatedState(&effects)
        var known = held?.state.valueBytes(ascending: names, now: now.wallMilliseconds)[...]
        if let held { putBack(held) }
        for (place, isNew) in zip(places, isNew) {
            let place = Int(place)
            let name = elements.name(at: place).count
            let value = elements.bytesBesideName(at: place)
            var least = 0
            var most =
                growthMax(pieces.name, name)
                + (type == .set ? 0 : growthMax(pieces.name, value))
            if isNew, let there = known?.popFirst() ?? nil {
                // What it replaces goes with it; names have been there.
                least = type == .hash ? value - there : 0
                most = growthMax(pieces.name, max(0, least))
            } else if isNew {
                least = CRDTState.bytes(ofNew: type, name: name, value: value)
            }
            pieces.forecast.add(
                bytes: elements.behindPart(at: place) - place, least: least, most: most)
        }
    }

    /// Writes an error when the value would become too large with some piece; the request holds the
    /// key.
    private mutating func checkForecast(_ pieces: CommandPieces, _ effects: inout Effects) {
        let key = request[1]
        let room =
            stateBytesMax(catalog.index(of: key)) - pieces.forecast.need
            - growthMax(pieces.name, key.count) - Node.growthOfAny
        let held = coordinatedState(&effects)
        var bytes = 0
        if let held {
            defer { putBack(held) }
            // A value of another type is told by the first piece; to one that is not there nothing
            // is pushed.
            let type = held.state.type(now: now.wallMilliseconds)
            let isPush = pieces.name == .lpushx || pieces.name == .rpushx
            guard type == pieces.name.elementType || type == nil && !isPush else { return }
            bytes = held.bytes
            if bytes > room { bytes = measuredBytes(held) + Record.headerBytes + key.count }
        }
        if bytes > room { effects.bytes.writeError(Node.valueTooLarge) }
    }

    /// The state of the request's key, if this node is to change it.
    private mutating func coordinatedState(_ effects: inout Effects) -> HeldState? {
        let location = place(of: request[1])
        return coordinates(location) ? takeState(location, request[1], &effects) : nil
    }
}

extension CommandName {
    /// Of the value that elements are added to.
    fileprivate var elementType: CRDTType? {
        switch CommandTable.description(of: self).group {
        case .set: .set
        case .hash: .hash
        case .sortedSet: .sortedSet
        case .list: .list
        default: nil
        }
    }
}
