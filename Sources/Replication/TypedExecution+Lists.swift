import CRDT
import Coding
import RESP

// Lists: elements at fixed positions; an element that is removed anywhere is gone.
extension TypedExecution {
    mutating func runList(
        _ name: CommandName, _ request: borrowing Arguments
    ) throws(TypedRefusal) {
        switch name {
        case .lpush, .rpush: try push(name, request)
        case .lpushx, .rpushx:
            guard type != nil else { return reply.writeInteger(0) }
            try push(name, request)
        case .lpop, .rpop: try pop(name, request)
        case .lset: try setElement(request)
        case .linsert: try insert(request)
        case .lrem: try removeEqual(request)
        case .ltrim: try trim(request)
        case .lindex:
            try check(.list)
            guard type != nil else { return reply.writeNull(dialect) }
            let place = place(try integer(request, 2))
            writeOne(place.flatMap { held.state.listElements($0..<$0 + 1, now: now).first })
        case .lpos: try search(request)
        case .llen:
            try check(.list)
            reply.writeInteger(count)
        default:
            let elements = held.state.listRange(try range(request), now: now)
            reply.writeArrayHeader(count: elements.count)
            write(elements, as: .elements, of: count)
        }
    }

    private var count: Int { held.state.listCount(now: now) }

    private func integer(
        _ request: borrowing Arguments, _ index: Int
    ) throws(TypedRefusal) -> Int64 {
        try parsed { () throws(CommandError) in try request.integer(index) }
    }

    private func range(_ request: borrowing Arguments) throws(TypedRefusal) -> Range<Int> {
        let range = try parsed { () throws(CommandError) in try IndexRange(request, at: 2) }
        try check(.list)
        return range.positions(of: count)
    }

    /// An index as clients give it; nil for one outside.
    private func place(_ index: Int64) -> Int? {
        let place = index < 0 ? index + Int64(count) : index
        return 0..<Int64(count) ~= place ? Int(place) : nil
    }

    private mutating func push(
        _ name: CommandName, _ request: borrowing Arguments
    ) throws(TypedRefusal) {
        try check(.list)
        let isFront = name == .lpush || name == .lpushx
        let elements = request.values(from: 2)
        try insert(isFront ? elements.reversed() : elements, at: isFront ? 0 : count)
        reply.writeInteger(count)
    }

    private mutating func insert(_ elements: [Bytes], at place: Int) throws(TypedRefusal) {
        delta = try change { (execution) throws(CRDTRefusal) in
            try execution.held.state.listInsert(
                elements, at: place, dot: execution.dot, now: execution.now,
                heard: execution.heard)
        }
    }

    /// - Parameter ranges: ascending, apart from each other.
    private mutating func remove(at ranges: [Range<Int>]) throws(TypedRefusal) {
        delta = try change { (execution) throws(CRDTRefusal) in
            try execution.held.state.listRemove(
                at: ranges, dot: execution.dot, now: execution.now)
        }
    }

    /// The places of elements that are equal to one, in the order in which they are found.
    private func places(of element: Bytes, isFromEnd: Bool, placesMax: Int) -> [Int] {
        let count = count
        var elements = held.state.listRange(0..<count, isReversed: isFromEnd, now: now)
        var places: [Int] = []
        var looked = 0
        while case .elements(let piece) = elements.next() {
            for other in piece {
                guard places.count < placesMax else { return places }
                if other == element { places.append(isFromEnd ? count - 1 - looked : looked) }
                looked += 1
            }
        }
        return places
    }

    /// Removes the elements that it has seen; the other side of a partition may pop them as well.
    private mutating func pop(
        _ name: CommandName, _ request: borrowing Arguments
    ) throws(TypedRefusal) {
        let options = try parsed { () throws(CommandError) in try PopOptions(request, name) }
        try check(.list)
        guard type != nil else {
            return options.count == nil
                ? reply.writeNull(dialect) : reply.writeNullArray(dialect)
        }
        let popped = min(options.count ?? 1, count)
        try take(popped, orElse: .counted(options.count ?? 1))
        let range = name == .lpop ? 0..<popped : count - popped..<count
        let elements = elements(in: range, isReversed: name == .rpop)
        try remove(at: [range])
        guard options.count != nil else { return writeOne(elements.first) }
        reply.writeArrayHeader(count: elements.count)
        write(Elements(elements), as: .elements, of: elements.count + count)
    }

    /// The walk is gone on return: while it shares the list's memory, a change would copy that.
    private func elements(in range: Range<Int>, isReversed: Bool) -> [Bytes] {
        var walk = held.state.listRange(range, isReversed: isReversed, now: now)
        return walk.all()
    }

    private mutating func setElement(_ request: borrowing Arguments) throws(TypedRefusal) {
        try check(.list)
        guard type != nil else { throw .command(.value(.noSuchKey)) }
        guard let place = place(try integer(request, 2)) else {
            throw .command(.value(.indexOutOfRange))
        }
        let element = Bytes(Array(request[3]))
        delta = try change { (execution) throws(CRDTRefusal) in
            try execution.held.state.listSet(
                element, at: place, dot: execution.dot, now: execution.now)
        }
        reply.writeOK()
    }

    private mutating func insert(_ request: borrowing Arguments) throws(TypedRefusal) {
        let options = try parsed { () throws(CommandError) in try ListInsertOptions(request) }
        try check(.list)
        guard type != nil else { return reply.writeInteger(0) }
        let pivot = Bytes(Array(request[options.pivot]))
        guard let found = places(of: pivot, isFromEnd: false, placesMax: 1).first else {
            return reply.writeInteger(-1)
        }
        let element = Bytes(Array(request[options.element]))
        try insert([element], at: options.isBefore ? found : found + 1)
        reply.writeInteger(count)
    }

    private mutating func removeEqual(_ request: borrowing Arguments) throws(TypedRefusal) {
        let options = try parsed { () throws(CommandError) in try ListRemoveOptions(request) }
        try check(.list)
        let element = Bytes(Array(request[options.element]))
        var places = places(
            of: element, isFromEnd: options.isFromEnd, placesMax: options.limit)
        try take(places.count, orElse: .counted(options.isFromEnd ? -options.limit : options.limit))
        if options.isFromEnd { places.reverse() }
        try remove(at: places.map { $0..<$0 + 1 })
        reply.writeInteger(places.count)
    }

    private mutating func trim(_ request: borrowing Arguments) throws(TypedRefusal) {
        let kept = try range(request)
        let back = count - kept.upperBound
        try take(kept.lowerBound + back, orElse: .trim(front: kept.lowerBound, back: back))
        try remove(at: [0..<kept.lowerBound, kept.upperBound..<count])
        reply.writeOK()
    }

    private mutating func search(_ request: borrowing Arguments) throws(TypedRefusal) {
        let options = try parsed { () throws(CommandError) in try ListSearchOptions(request) }
        try check(.list)
        let elements = held.state.listRange(
            0..<count, isReversed: options.isFromEnd, now: now)
        begin(ElementWalk(options, of: Bytes(Array(request[2])), among: elements))
    }
}
