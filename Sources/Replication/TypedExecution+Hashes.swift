import CRDT
import Coding
import RESP

// Hashes: fields that are registers and counters at once.
extension TypedExecution {
    mutating func runHash(
        _ name: CommandName, _ request: borrowing Arguments
    ) throws(TypedRefusal) {
        switch name {
        case .hset, .hmset: return try setFields(name, request)
        case .hincrby, .hincrbyfloat: return try incrementField(name, request)
        case .hrandfield: return try randomFields(request)
        case .hscan: return try scanFields(request)
        default: try check(.hash)
        }
        switch name {
        case .hsetnx: try setAbsentField(request)
        case .hdel: try removeFields(request)
        case .hmget:
            reply.writeArrayHeader(count: request.count - 2)
            for value in held.state.hashFields(request.values(from: 2), now: now)
            where !rest.isTooLong { write(value) }
        case .hget: write(field(request, 2))
        case .hexists: reply.writeInteger(field(request, 2) == nil ? 0 : 1)
        case .hstrlen: reply.writeInteger(field(request, 2)?.text.count ?? 0)
        case .hlen: reply.writeInteger(held.state.hashCount(now: now))
        default: writeFields(name)
        }
    }

    private func field(_ request: borrowing Arguments, _ index: Int) -> StringValue? {
        held.state.hashField(Bytes(Array(request[index])), now: now)
    }

    /// `HGETALL`, `HKEYS` and `HVALS`.
    private mutating func writeFields(_ name: CommandName) {
        let fields = held.state.hashElements(now: now)
        if name == .hgetall {
            reply.writeMapHeader(pairs: fields.count, dialect)
        } else {
            reply.writeArrayHeader(count: fields.count)
        }
        let form = ReplyPieces.Form.fields(
            names: name != .hvals, values: name != .hkeys, areGrouped: false)
        write(fields, as: form, of: fields.count)
    }

    private mutating func setFields(
        _ name: CommandName, _ request: borrowing Arguments
    ) throws(TypedRefusal) {
        let pairs = try parsed { () throws(CommandError) in try HashPairs(request, name) }
        try check(.hash)
        var fields: [(field: Bytes, value: Bytes)] = []
        for pair in 0..<pairs.count {
            let field = Bytes(Array(request[pairs.field(pair)]))
            fields.append((field, Bytes(Array(request[pairs.value(pair)]))))
        }
        let added = try set(fields)
        if name == .hset { reply.writeInteger(added) } else { reply.writeOK() }
    }

    /// - Returns: how many were not there.
    private mutating func set(
        _ fields: [(field: Bytes, value: Bytes)]
    ) throws(TypedRefusal) -> Int {
        let result = try change { (execution) throws(CRDTRefusal) in
            try execution.held.state.hashSet(fields, dot: execution.dot, now: execution.now)
        }
        delta = result.delta
        return result.added
    }

    private mutating func setAbsentField(_ request: borrowing Arguments) throws(TypedRefusal) {
        try checkAlone()
        guard field(request, 2) == nil else { return reply.writeInteger(0) }
        reply.writeInteger(try set([(Bytes(Array(request[2])), Bytes(Array(request[3])))]))
    }

    private mutating func removeFields(_ request: borrowing Arguments) throws(TypedRefusal) {
        let fields = request.values(from: 2)
        let result = try change { (execution) throws(CRDTRefusal) in
            try execution.held.state.hashRemove(fields, dot: execution.dot, now: execution.now)
        }
        delta = result?.delta
        reply.writeInteger(result?.removed ?? 0)
    }

    private mutating func incrementField(
        _ name: CommandName, _ request: borrowing Arguments
    ) throws(TypedRefusal) {
        let isInteger = name == .hincrby
        let amount = try amount(request, name)
        try check(.hash)
        let name = Bytes(Array(request[2]))
        let value = held.state.hashField(name, now: now)
        if isInteger, let value, value.integer == nil {
            throw .command(.value(.hashValueNotAnInteger))
        }
        if !isInteger, let value, Quantity(decimal: value.text) == nil {
            throw .command(.value(.hashValueNotAFloat))
        }
        do throws(CRDTRefusal) {
            guard let amount else { throw .overflow }
            delta = try held.state.hashIncrement(name, by: amount, dot: dot, now: now)
        } catch {
            guard error == .notANumber else { throw TypedRefusal(error) }
            throw .command(
                .value(isInteger ? .hashValueNotAnInteger : .hashValueNotAFloat))
        }
        writeNumber(held.state.hashField(name, now: now), isInteger: isInteger)
    }

    private mutating func randomFields(_ request: borrowing Arguments) throws(TypedRefusal) {
        let options = try parsed { () throws(CommandError) in
            try RandomOptions(request, .hrandfield)
        }
        try check(.hash)
        let fields = held.state.hashElements(now: now)
        let places = try choose(options, of: fields.count)
        guard options.count != nil else {
            return writeOne(places.first.map { held.state.hashEntry(at: $0).field })
        }
        if options.hasValues {
            reply.writePairsHeader(count: places.count, dialect)
        } else {
            reply.writeArrayHeader(count: places.count)
        }
        let chosen = fields.choosing(places)
        let byteCount =
            options.mayRepeat
            ? chosen.byteCount(each: options.hasValues ? 36 : 16, values: options.hasValues) : nil
        write(
            chosen,
            as: .fields(names: true, values: options.hasValues, areGrouped: options.hasValues),
            of: fields.count, byteCount: byteCount)
    }

    private mutating func scanFields(_ request: borrowing Arguments) throws(TypedRefusal) {
        guard let scan = try scan(request, .hscan, of: .hash) else { return }
        begin(ElementWalk(scan, among: held.state.hashElements(now: now), bytes: held.bytes))
    }
}

// Numbers, of strings and fields
extension TypedExecution {
    /// What a counter command adds; nil for a number that no counter holds, which is told behind
    /// what the key holds: it is one for Redis.
    func amount(
        _ request: borrowing Arguments, _ name: CommandName
    ) throws(TypedRefusal) -> Quantity? {
        let options = try parsed { () throws(CommandError) in try CounterOptions(request, name) }
        switch options.amount {
        case .integer(let amount): return Quantity(amount)
        case .decimal(let index):
            if let amount = Quantity(decimal: request[index]) { return amount }
            guard let tooLarge = Double(score: request[index]) else {
                throw .command(.value(.notAFloat))
            }
            // Redis reads hexadecimal numbers as well.
            if abs(tooLarge) < 0x1p63 { throw .command(.value(.notAFloat)) }
            if tooLarge.isFinite { return nil }
            throw .command(
                .value(name == .hincrbyfloat ? .notFinite : .incrementNotFinite))
        }
    }

    mutating func writeNumber(_ value: StringValue?, isInteger: Bool) {
        if isInteger {
            reply.writeInteger(Int(value?.integer ?? 0))
        } else {
            write(value)
        }
    }

    /// - Throws: a refusal by mode unless nobody else has the key.
    func checkAlone() throws(TypedRefusal) {
        guard isAlone else { throw .inOneStep }
    }
}

extension StringValue {
    /// Nil for what is no integer within `Int64`.
    var integer: Int64? {
        switch self {
        case .bytes(let bytes): bytes.array.withUnsafeBytes { Int64(decimal: $0) }
        case .number(let number): number.integer
        }
    }
}
