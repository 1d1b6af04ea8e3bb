import Base
import CRDT
import Coding
import RESP

// Sets: an add wins over a remove that did not see it.
extension TypedExecution {
    mutating func runSet(
        _ name: CommandName, _ request: borrowing Arguments
    ) throws(TypedRefusal) {
        switch name {
        case .spop: return try popMembers(request)
        case .srandmember: return try randomMembers(request)
        case .sscan: return try scanMembers(request)
        default: try check(.set)
        }
        switch name {
        case .sadd: try addMembers(request)
        case .srem: try removeMembers(request)
        case .sismember: reply.writeInteger(hasMember(request, 2) ? 1 : 0)
        case .smismember:
            reply.writeArrayHeader(count: request.count - 2)
            for isMember in held.state.setContains(request.values(from: 2), now: now) {
                reply.writeInteger(isMember ? 1 : 0)
            }
        case .scard: reply.writeInteger(held.state.setCount(now: now))
        default:
            let members = held.state.setMembers(now: now)
            reply.writeSetHeader(count: members.count, dialect)
            write(members, as: .elements, of: members.count)
        }
    }

    private func hasMember(_ request: borrowing Arguments, _ index: Int) -> Bool {
        held.state.setContains(Bytes(Array(request[index])), now: now)
    }

    private mutating func addMembers(_ request: borrowing Arguments) throws(TypedRefusal) {
        let members = request.values(from: 2)
        let result = try change { (execution) throws(CRDTRefusal) in
            try execution.held.state.setAdd(members, dot: execution.dot, now: execution.now)
        }
        delta = result.delta
        reply.writeInteger(result.added)
    }

    private mutating func removeMembers(_ request: borrowing Arguments) throws(TypedRefusal) {
        reply.writeInteger(try remove(request.values(from: 2)))
    }

    /// - Returns: how many were there.
    private mutating func remove(_ members: [Bytes]) throws(TypedRefusal) -> Int {
        let result = try change { (execution) throws(CRDTRefusal) in
            try execution.held.state.setRemove(members, dot: execution.dot, now: execution.now)
        }
        delta = result?.delta
        return result?.removed ?? 0
    }

    /// Removes the members that it has seen; the other side of a partition may pop them as well.
    private mutating func popMembers(_ request: borrowing Arguments) throws(TypedRefusal) {
        let options = try parsed { () throws(CommandError) in try PopOptions(request, .spop) }
        try check(.set)
        let members = held.state.setMembers(now: now)
        let count = members.count
        let popped = min(options.count ?? 1, count)
        try take(popped, orElse: .counted(options.count ?? 1))
        var picked = members.choosing(random.choose(popped, of: count))
        let chosen = picked.all()
        _ = try remove(chosen)
        guard options.count != nil else { return writeOne(chosen.first) }
        reply.writeSetHeader(count: chosen.count, dialect)
        write(Elements(chosen), as: .elements, of: count)
    }

    private mutating func randomMembers(_ request: borrowing Arguments) throws(TypedRefusal) {
        let options = try parsed { () throws(CommandError) in
            try RandomOptions(request, .srandmember)
        }
        try check(.set)
        let members = held.state.setMembers(now: now)
        let places = try choose(options, of: members.count)
        guard options.count != nil else {
            return writeOne(places.first.map { held.state.setElement(at: $0) })
        }
        reply.writeArrayHeader(count: places.count)
        let chosen = members.choosing(places)
        write(
            chosen, as: .elements, of: members.count,
            byteCount: options.mayRepeat ? chosen.byteCount(each: 16) : nil)
    }

    private mutating func scanMembers(_ request: borrowing Arguments) throws(TypedRefusal) {
        guard let scan = try scan(request, .sscan, of: .set) else { return }
        begin(ElementWalk(scan, among: held.state.setMembers(now: now), bytes: held.bytes))
    }
}

// Choices and scans, as hashes and sorted sets make them too
extension TypedExecution {
    /// Places of random elements.
    mutating func choose(
        _ options: RandomOptions, of count: Int
    ) throws(TypedRefusal) -> [Int] {
        let wanted = options.count ?? 1
        guard options.mayRepeat else { return random.choose(min(wanted, count), of: count) }
        guard wanted <= 1 << 20 else { throw .command(.value(.outOfRange)) }
        if count == 0 { return [] }
        var places: [Int] = []
        places.reserveCapacity(wanted)
        for _ in 0..<wanted { places.append(random.below(count)) }
        return places
    }

    mutating func writeOne(_ bytes: Bytes?) {
        guard let bytes else { return reply.writeNull(dialect) }
        writeBulk(bytes)
    }

    /// What a scan asks for, in Redis's order: its cursor, the key, and then its options.
    ///
    /// - Returns: nil, and an empty reply, where there is no key.
    mutating func scan(
        _ request: borrowing Arguments, _ name: CommandName, of expected: CRDTType
    ) throws(TypedRefusal) -> ElementScan? {
        let scan: Result<ElementScan, CommandError>
        do throws(CommandError) { scan = .success(try ElementScan(request, name)) } catch {
            if error == .invalidCursor { throw .command(error) }
            scan = .failure(error)
        }
        try check(expected)
        guard type != nil else {
            reply.writeArrayHeader(count: 2)
            reply.writeBulk("0")
            reply.writeArrayHeader(count: 0)
            return nil
        }
        return try parsed { () throws(CommandError) in try scan.get() }
    }
}

extension PRNG {
    /// So many different numbers below a bound, in no particular order.
    ///
    /// Source: Floyd's algorithm in Bentley, "Programming Pearls: a sample of brilliance" (1987);
    /// where many are chosen, one walk over all.
    mutating func choose(_ count: Int, of bound: Int) -> [Int] {
        precondition(count <= bound, "there are so many numbers")
        var chosen: [Int] = []
        chosen.reserveCapacity(count)
        guard count > 64 else {
            for last in bound - count..<bound {
                let number = below(last + 1)
                chosen.append(chosen.contains(number) ? last : number)
            }
            return chosen
        }
        guard count > bound / 8 else {
            var seen = Table<Int, Bool>()
            for last in bound - count..<bound {
                let number = below(last + 1)
                let next = seen[number] == nil ? number : last
                seen[next] = true
                chosen.append(next)
            }
            // Neighbours are found and removed together.
            chosen.sort()
            return chosen
        }
        for number in 0..<bound where below(bound - number) < count - chosen.count {
            chosen.append(number)
        }
        return chosen
    }
}

extension Arguments {
    /// The arguments from an index on.
    func values(from start: Int) -> [Bytes] {
        var values: [Bytes] = []
        for index in start..<max(start, count) { values.append(Bytes(Array(self[index]))) }
        return values
    }
}
