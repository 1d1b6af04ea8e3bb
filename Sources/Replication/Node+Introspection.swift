import Base
import Causality
import Coding
import RESP
import Ring

// Commands about the connection, the node and the cluster: what client libraries ask before and
// besides their work.
extension Node {
    /// What `HELLO` and `INFO` name as the server's version; clients read it as the Redis they may
    /// expect.
    static let redisVersion: StaticString = "7.0.0"
    /// Which release this is.
    public static let release = "0.1.0"

    mutating func introspect(
        _ name: CommandName, _ target: ReplyTarget, _ effects: inout Effects
    ) throws(CommandError) {
        let start = effects.bytes.count
        turn.spend(Node.introspectionWork(of: name))
        try tell(name, target, &effects)
        // Most of it is put together of texts.
        if name != .echo, name != .scan { turn.spend((effects.bytes.count - start) / 64) }
        deliver(target, from: start, &effects)
        if name == .quit, case .direct(let connection) = target {
            close(Int(connection.rawValue), connection, &effects)
        }
    }

    private mutating func tell(
        _ name: CommandName, _ target: ReplyTarget, _ effects: inout Effects
    ) throws(CommandError) {
        switch name {
        case .ping:
            guard request.count < 3 else { throw .wrongArgumentCount(.ping) }
            if request.count > 1 {
                effects.bytes.writeBulk(request[1])
            } else {
                effects.bytes.writeSimple("PONG")
            }
        case .echo: effects.bytes.writeBulk(request[1])
        case .quit, .readonly, .readwrite: effects.bytes.writeOK()
        case .select: try select(&effects)
        case .auth: try authenticate(&effects)
        case .hello: try hello(target, &effects)
        case .client: try client(target, &effects)
        case .reset: reset(target, &effects)
        case .info: writeInfo(&effects)
        case .command: try effects.bytes.writeCommandReply(request, client.dialect)
        case .config: try config(&effects)
        case .time: writeTime(&effects)
        case .dbsize: effects.bytes.writeInteger(holdings.keys)
        case .debug: try debug(&effects)
        case .wait: effects.bytes.writeError(Node.waitsForNobody)
        case .cluster: try cluster(target, &effects)
        case .scan: try scan(&effects)
        case .keys: effects.bytes.writeError(Node.keysAreScanned)
        default: throw .unknownCommand
        }
    }

    private func select(_ effects: inout Effects) throws(CommandError) {
        guard try request.integer(1) == 0 else {
            return effects.bytes.writeError("ERR DB index is out of range")
        }
        effects.bytes.writeOK()
    }

    /// As Redis with no password set: the user `default` may have any, others are unknown.
    private func authenticate(_ effects: inout Effects) throws(CommandError) {
        guard request.count < 4 else { throw .syntax }
        guard request.count == 3 else {
            return effects.bytes.writeError(
                text: "ERR AUTH <password> called without any password configured "
                    + "for the default user. "
                    + "Are you sure your configuration is correct?")
        }
        guard isDefaultUser(1) else { return writeWrongPassword(&effects) }
        effects.bytes.writeOK()
    }

    private func isDefaultUser(_ index: Int) -> Bool {
        request[index].elementsEqual("default".utf8)
    }

    private func writeWrongPassword(_ effects: inout Effects) {
        effects.bytes.writeError("WRONGPASS invalid username-password pair or user is disabled.")
    }

    private mutating func hello(
        _ target: ReplyTarget, _ effects: inout Effects
    ) throws(CommandError) {
        let options = try HelloOptions(request)
        if let user = options.user, !isDefaultUser(user) { return writeWrongPassword(&effects) }
        if case .direct(let connection) = target {
            let index = Int(connection.rawValue)
            if let dialect = options.dialect {
                sessions[index].protocolVersion = dialect.rawValue
                client.dialect = dialect
            }
            if let name = options.clientName { sessions[index].name = Array(request[name]) }
        }
        effects.bytes.writeMapHeader(pairs: 7, client.dialect)
        effects.bytes.writeBulk("server")
        effects.bytes.writeBulk("redis")
        effects.bytes.writeBulk("version")
        effects.bytes.writeBulk(Node.redisVersion)
        effects.bytes.writeBulk("proto")
        effects.bytes.writeInteger(Int(client.dialect.rawValue))
        effects.bytes.writeBulk("id")
        effects.bytes.writeInteger(connectionNumber(target))
        effects.bytes.writeBulk("mode")
        effects.bytes.writeBulk(redisMode)
        effects.bytes.writeBulk("role")
        effects.bytes.writeBulk("master")
        effects.bytes.writeBulk("modules")
        effects.bytes.writeArrayHeader(count: 0)
    }

    /// What cluster-aware clients go by: whether there is more than one node.
    var redisMode: StaticString { links.count > 1 ? "cluster" : "standalone" }

    private func connectionNumber(_ target: ReplyTarget) -> Int {
        guard case .direct(let connection) = target else { return 0 }
        return Int(sessions[Int(connection.rawValue)].serial)
    }

    private mutating func client(
        _ target: ReplyTarget, _ effects: inout Effects
    ) throws(CommandError) {
        guard case .direct(let connection) = target else { throw .unknownSubcommand(.client) }
        let index = Int(connection.rawValue)
        try request.checkSubcommand(of: .client)
        if request.matches(1, "SETNAME") {
            try request.checkClientName(2)
            sessions[index].name = Array(request[2])
            effects.bytes.writeOK()
        } else if request.matches(1, "GETNAME") {
            let name = sessions[index].name
            if name.isEmpty {
                effects.bytes.writeNull(client.dialect)
            } else {
                name.withUnsafeBytes { effects.bytes.writeBulk($0) }
            }
        } else if request.matches(1, "ID") {
            effects.bytes.writeInteger(connectionNumber(target))
        } else if request.matches(1, "INFO") {
            effects.bytes.writeBulk(text: clientLine(index) + "\n")
        } else if request.matches(1, "LIST") {
            try listClients(&effects)
        } else if request.matches(1, "SETINFO") {
            try noteLibrary(index)
            effects.bytes.writeOK()
        } else if request.matches(1, "REPLY"), isOne(of: ["OFF", "SKIP"], 2) {
            effects.bytes.writeError("ERR every command is answered; CLIENT REPLY is ON")
        } else {
            // What REPLY ON, NO-EVICT and NO-TOUCH ask for is always so.
            guard isOne(of: ["ON", "OFF"], 2) else { throw .syntax }
            effects.bytes.writeOK()
        }
    }

    private mutating func noteLibrary(_ index: Int) throws(CommandError) {
        guard request.count == 4, isOne(of: ["LIB-NAME", "LIB-VER"], 2) else { throw .syntax }
        try request.checkClientName(3)
        let text = Array(request[3])
        if isOne(of: ["LIB-NAME"], 2) {
            sessions[index].origin.library = text
        } else {
            sessions[index].origin.libraryVersion = text
        }
    }

    /// Whether an argument is one of these words, in whatever case.
    func isOne(of words: [String], _ index: Int) -> Bool {
        index < request.count
            && words.contains(String(decoding: request[index], as: UTF8.self).uppercased())
    }

    private mutating func reset(_ target: ReplyTarget, _ effects: inout Effects) {
        if case .direct(let connection) = target {
            let index = Int(connection.rawValue)
            sessions[index].protocolVersion = 2
            sessions[index].defaults = .none
            sessions[index].hasDefaults = false
            sessions[index].name = []
            sessions[index].wantsReceipts = false
            sessions[index].beginReceipt()
            forgetTransaction(index)
            sessions[index].endSession()
        }
        effects.bytes.writeSimple("RESET")
    }

    /// `CONSISTENCY R n W n …` sets the connection's defaults, `CONSISTENCY RESET` takes them back;
    /// alone it shows them.
    mutating func consistency(
        _ target: ReplyTarget, _ effects: inout Effects
    ) throws(CommandError) {
        guard case .direct(let connection) = target else { throw .syntax }
        guard request.count > 1 else {
            return showDefaults(sessions[Int(connection.rawValue)].defaults, target, &effects)
        }
        let isReset = request.count == 2 && request.matches(1, "RESET")
        let options = isReset ? .none : try ConsistencyOptions(request, from: 1, .connection)
        guard mayBind(options, target, &effects) else { return }
        sessions[Int(connection.rawValue)].defaults = options
        sessions[Int(connection.rawValue)].hasDefaults = !options.isNone
        let start = effects.bytes.count
        effects.bytes.writeOK()
        deliver(target, from: start, &effects)
    }

    private mutating func showDefaults(
        _ defaults: ConsistencyOptions, _ target: ReplyTarget, _ effects: inout Effects
    ) {
        let levels = [
            ("r", defaults.r), ("w", defaults.w), ("pr", defaults.pr), ("pw", defaults.pw),
            ("dw", defaults.dw),
        ]
        let start = effects.bytes.count
        effects.bytes.writeMapHeader(pairs: levels.count + 2, client.dialect)
        for (name, level) in levels {
            effects.bytes.writeBulk(text: name)
            effects.bytes.writeBulk(text: level.map { Node.text($0) } ?? "keyspace")
        }
        effects.bytes.writeBulk("timeout")
        effects.bytes.writeBulk(
            text: defaults.timeoutMilliseconds.map { "\($0)" } ?? "keyspace")
        effects.bytes.writeBulk("staleness")
        effects.bytes.writeBulk(text: defaults.stalenessMilliseconds.map { "\($0)" } ?? "unbound")
        deliver(target, from: start, &effects)
    }

    private static func text(_ level: Level) -> String {
        switch level {
        case .count(let count): "\(count)"
        case .quorum: "quorum"
        case .all: "all"
        }
    }

    private func writeTime(_ effects: inout Effects) {
        effects.bytes.writeArrayHeader(count: 2)
        effects.bytes.writeBulk(text: "\(now.wallMilliseconds / 1_000)")
        effects.bytes.writeBulk(text: "\(now.wallMilliseconds % 1_000 * 1_000)")
    }

    /// The few settings that client libraries and `redis-benchmark` look up.
    private mutating func config(_ effects: inout Effects) throws(CommandError) {
        try request.checkSubcommand(of: .config)
        if request.matches(1, "RESETSTAT") {
            statistics.reset(counters)
            return effects.bytes.writeOK()
        }
        if request.matches(1, "SET") {
            return effects.bytes.writeError(
                "ERR settings are changed with KEYSPACE ALTER or in the configuration file")
        }
        let known: [(String, String)] = [
            ("save", ""), ("appendonly", "no"), ("maxmemory", "\(configuration.memoryBytesMax)"),
            ("maxmemory-policy", "noeviction"), ("databases", "1"),
            ("proto-max-bulk-len", "\(configuration.requestLimits.bulkBytesMax)"),
        ]
        var found: [(String, String)] = []
        for index in 2..<request.count where request[index].count <= Glob.patternBytesMax {
            let pattern = Glob(request[index])
            found += known.filter { entry in
                Array(entry.0.utf8).withUnsafeBytes { pattern.matches($0) }
            }
        }
        effects.bytes.writeMapHeader(pairs: found.count, client.dialect)
        for (name, value) in found {
            effects.bytes.writeBulk(text: name)
            effects.bytes.writeBulk(text: value)
        }
    }

    /// Keys that this node holds, some homes a call; a key that is there all the while is told at
    /// least once.
    private mutating func scan(_ effects: inout Effects) throws(CommandError) {
        let options = try ScanOptions(request)
        guard options.cursor >> Node.scanCursorBits == 0 else { throw .invalidCursor }
        let wanted = min(options.count, 10_000)
        let glob = options.pattern.map { Glob(request[$0]) }
        var next: UInt64? = options.cursor << Node.scanCursorShift
        var homes = 0
        var keys = 0
        var found = ByteBuffer(capacity: 256)
        var seen = 0
        while let place = next, keys < wanted, homes < Node.homesAtOnce,
            seen < Node.keyBytesAtOnce
        {
            homes += 1
            next = store.visit(from: place) { record in
                seen += record.keyBytes
                guard isShown(record), glob?.matches(record.key) ?? true,
                    options.type.map({ hasType(record, at: $0) }) ?? true
                else { return }
                found.writeBulk(record.key)
                keys += 1
            }
        }
        turn.spend(elements: homes + 2 * keys + seen / 16)
        effects.bytes.writeArrayHeader(count: 2)
        effects.bytes.writeBulk(text: "\((next ?? 0) >> Node.scanCursorShift)")
        effects.bytes.writeArrayHeader(count: keys)
        effects.bytes.append(found.bytes)
    }

    /// Homes, and bytes of keys, that one call looks at.
    private static let homesAtOnce = 20_000
    private static let keyBytesAtOnce = 1 << 20

    /// Whether `SCAN` tells a record's key: there is a value, and this node is a replica of it.
    func isShown(_ record: Record) -> Bool {
        let keyspace = catalog.index(of: record.key)
        return isLive(record) && record.written.stamp > catalog.active[keyspace].truncatedAt
            && isReplica(of: KeyRange(Slot(key: record.key)), keyspace)
    }

    /// The store's cursors begin with the range; a client gets their upper 53 bits, because many
    /// hold numbers as doubles. The bits below are 0 while a range has fewer than 2⁴⁵ homes.
    private static let scanCursorBits: UInt64 = 53
    private static let scanCursorShift: UInt64 = 64 - scanCursorBits
}
