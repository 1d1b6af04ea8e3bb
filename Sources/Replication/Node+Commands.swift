import Base
import Causality
import Coding
import Quorum
import RESP
import Ring

// Which command runs: one call a case.
extension Node {
    mutating func execute(_ target: ReplyTarget, _ effects: inout Effects) {
        counters.commands += 1
        do throws(CommandError) {
            let name = try CommandName(request)
            if request.count > 16 { turn.spend(arguments: request.count) }
            if case .direct(let connection) = target {
                sessions[Int(connection.rawValue)].origin.lastCommand = name
            }
            try checkKeys(of: name)
            if isLearningKeyspaces, try refuseUnlearned(name, target, &effects) { return }
            if !client.isPlain, isQueueing(target) { try checkOptions(of: name) }
            if !client.isPlain, isQueued(name, target, &effects) { return }
            try dispatch(name, target, &effects)
        } catch {
            endOrRefuseTransaction(of: target, after: error)
            let start = effects.bytes.count
            if case .unknownSubcommand(let name) = error, request.matches(1, "HELP") {
                effects.bytes.writeHelp(name)
            } else {
                counters.commandErrors += 1
                effects.bytes.writeError(error, for: request)
            }
            deliver(target, from: start, &effects)
        }
    }

    /// What concerns keys is not executed before it is known which keyspaces there are.
    ///
    /// - Returns: whether another node was told so, which may ask the next replica.
    private mutating func refuseUnlearned(
        _ name: CommandName, _ target: ReplyTarget, _ effects: inout Effects
    ) throws(CommandError) -> Bool {
        let hasKeys = CommandTable.description(of: name).keys.first > 0 || name == .idempotency
        guard hasKeys else { return false }
        guard case .node(let node, let number) = target else { throw .unknownKeyspaces }
        decline(number, of: node, &effects)
        return true
    }

    /// What a record cannot hold no command may ask for, be it only to find nothing: another node
    /// would take the message for malformed.
    func checkKeys(of name: CommandName) throws(CommandError) {
        if request.isKnown(toHaveAtMost: Record.keyBytesMax) { return }
        for index in CommandTable.description(of: name).keyIndices(in: request)
        where request[index].count > Record.keyBytesMax {
            throw .invalidKey
        }
    }

    /// A subcommand has to be one, and what stands behind a command's fixed number of arguments has
    /// to be options: known before the command is queued.
    private func checkOptions(of name: CommandName) throws(CommandError) {
        if !request.matches(1, "HELP") { try request.checkSubcommand(of: name) }
        guard CommandTable.description(of: name).arity > 0 else { return }
        _ = try ConsistencyOptions(following: request, of: name)
    }

    private mutating func dispatch(
        _ name: CommandName, _ target: ReplyTarget, _ effects: inout Effects
    ) throws(CommandError) {
        if catalog.hasTyped, try runTyped(name, target, &effects) { return }
        switch name {
        case .get: try get(target, &effects)
        case .set, .setnx, .setex, .psetex, .getset, .qset: try set(name, target, &effects)
        case .qdel: try deleteSiblings(target, &effects)
        case .qget: try readOne(.siblings, name, target, &effects)
        case .del, .unlink: try delete(target, &effects)
        case .mget: try getMany(target, &effects)
        case .mset: try setMany(target, &effects)
        case .exists, .touch: try count(target, &effects)
        case .strlen: try readOne(.strlen, name, target, &effects)
        case .type: try readOne(.type, name, target, &effects)
        case .ttl, .pttl, .expiretime, .pexpiretime:
            try readOne(.timeToLive(TimeToLive(name)), name, target, &effects)
        case .expire, .pexpire, .expireat, .pexpireat: try expire(name, target, &effects)
        case .persist: try persist(target, &effects)
        case .append: try append(target, &effects)
        case .getdel: try getDelete(target, &effects)
        case .getex: try getExpire(target, &effects)
        case .keyspace: try keyspace(target, &effects)
        case .flushall, .flushdb: try flush(target, &effects)
        case .consistency: try consistency(target, &effects)
        case .receipt: try receipt(target, &effects)
        case .cluster where isOne(of: ["FORGET", "READMIT"], 1):
            try request.checkSubcommand(of: .cluster)
            let isRemoval = request.matches(1, "FORGET")
            guard request.count < 4 || request.matches(3, "FORCE") else { throw .syntax }
            changeMember({ isRemoval ? .remove($0) : .readmit($0) }, target, &effects)
        case .session: try session(target, &effects)
        case .idempotency: runOnce(target, &effects)
        case .multi, .exec, .discard, .watch, .unwatch: try transact(name, target, &effects)
        case .ping, .echo, .quit, .select, .auth, .hello, .client, .reset, .readonly, .readwrite,
            .info, .command, .config, .time, .dbsize, .debug, .wait, .cluster, .scan, .keys:
            try introspect(name, target, &effects)
        default: try typed(name, target, &effects)
        }
    }

    @inline(__always)
    func place(of key: UnsafeRawBufferPointer) -> KeyLocation {
        KeyLocation(keyspace: catalog.index(of: key), address: store.address(of: key))
    }

    @inline(__always)
    func isReplica(of location: KeyLocation) -> Bool {
        isReplica(of: location.address.range, location.keyspace)
    }

    @inline(__always)
    func isReplica(of range: KeyRange, _ keyspace: Int) -> Bool {
        Int(ranks[Int(range.rawValue)]) < catalog.active[keyspace].n
    }
}

// Levels: a request's own, else the connection's, else the keyspace's; never below the floor.
extension Node {
    /// - Returns: nil, and an error reply, when the request asks for what the keyspace forbids.
    @inline(__always)
    mutating func readLevels(
        _ options: ConsistencyOptions, _ keyspace: Int, _ target: ReplyTarget,
        _ effects: inout Effects
    ) -> ReadLevels? {
        if options.isNone && client.asksForNothing { return catalog.active[keyspace].reads }
        return chosenReadLevels(options, keyspace, target, &effects)
    }

    private mutating func chosenReadLevels(
        _ options: ConsistencyOptions, _ keyspace: Int, _ target: ReplyTarget,
        _ effects: inout Effects
    ) -> ReadLevels? {
        let active = catalog.active[keyspace]
        let n = active.n
        guard mayBind(options, target, &effects) else { return nil }
        let r = (options.r ?? defaults.r)?.count(of: n) ?? active.reads.readQuorum
        let pr =
            (options.pr ?? defaults.pr)?.count(of: n)
            ?? active.reads.primaryReadQuorum
        guard isAllowed(r, of: active, least: leastReadQuorum(active), "R", target, &effects),
            isAllowed(pr, of: active, least: 0, "PR", target, &effects)
        else { return nil }
        return ReadLevels(
            readQuorum: max(r, pr), primaryReadQuorum: pr,
            timeoutMilliseconds: timeout(options, active),
            stalenessMilliseconds: staleness(options))
    }

    /// - Returns: nil, and an error reply, when the request asks for what the keyspace forbids.
    @inline(__always)
    mutating func writeLevels(
        _ options: ConsistencyOptions, _ keyspace: Int, _ target: ReplyTarget,
        _ effects: inout Effects
    ) -> WriteLevels? {
        if options.isNone && client.asksForNothing { return catalog.active[keyspace].writes }
        return chosenWriteLevels(options, keyspace, target, &effects)
    }

    private mutating func chosenWriteLevels(
        _ options: ConsistencyOptions, _ keyspace: Int, _ target: ReplyTarget,
        _ effects: inout Effects
    ) -> WriteLevels? {
        let active = catalog.active[keyspace]
        let n = active.n
        guard isReadable(options, active, target, &effects) else { return nil }
        let w = (options.w ?? defaults.w)?.count(of: n) ?? active.writes.writeQuorum
        let pw =
            (options.pw ?? defaults.pw)?.count(of: n)
            ?? active.writes.primaryWriteQuorum
        let dw =
            (options.dw ?? defaults.dw)?.count(of: n)
            ?? active.writes.durableWriteQuorum
        guard isAllowed(w, of: active, least: leastWriteQuorum(active), "W", target, &effects),
            isAllowed(pw, of: active, least: 0, "PW", target, &effects),
            isAllowed(dw, of: active, least: 0, "DW", target, &effects)
        else { return nil }
        if dw > 0 && active.settings.durability == .memory {
            fail(
                target, "CONSISTENCY DW needs a keyspace that is kept on disk", &effects)
            return nil
        }
        return WriteLevels(
            writeQuorum: max(w, pw, dw), primaryWriteQuorum: pw, durableWriteQuorum: dw,
            timeoutMilliseconds: timeout(options, active))
    }

    /// Whether a write's own R and PR are allowed, be it that it reads nothing.
    private mutating func isReadable(
        _ options: ConsistencyOptions, _ active: KeyspaceCatalog.Active, _ target: ReplyTarget,
        _ effects: inout Effects
    ) -> Bool {
        let (r, pr) = (options.r?.count(of: active.n), options.pr?.count(of: active.n))
        let least = leastReadQuorum(active)
        return isAllowed(r ?? least, of: active, least: least, "R", target, &effects)
            && isAllowed(pr ?? 0, of: active, least: 0, "PR", target, &effects)
    }

    var defaults: ConsistencyOptions { client.hasDefaults ? client.defaults : .none }

    private func timeout(
        _ options: ConsistencyOptions, _ active: KeyspaceCatalog.Active
    ) -> UInt32 {
        let asked = options.timeoutMilliseconds ?? defaults.timeoutMilliseconds
        let own = min(asked ?? active.settings.timeoutMilliseconds, 600_000)
        return client.timeoutMillisecondsMax.map { max(1, min(own, $0)) } ?? own
    }

    func leastReadQuorum(_ active: KeyspaceCatalog.Active) -> Int {
        switch active.settings.floor {
        case .none: 1
        case .level(let level): level.count(of: active.n)
        case .strong: active.reads.readQuorum
        }
    }

    func leastWriteQuorum(_ active: KeyspaceCatalog.Active) -> Int {
        switch active.settings.floor {
        case .none: 1
        case .level(let level): level.count(of: active.n)
        case .strong: active.writes.writeQuorum
        }
    }

    private mutating func isAllowed(
        _ count: Int, of active: KeyspaceCatalog.Active, least: Int, _ name: String,
        _ target: ReplyTarget, _ effects: inout Effects
    ) -> Bool {
        if count > active.n {
            fail(
                target, text: "CONSISTENCY \(name)=\(count) exceeds the keyspace's N=\(active.n)",
                &effects)
            return false
        }
        guard count >= least else {
            fail(
                target,
                text: "CONSISTENCY \(name)=\(count) is below the keyspace's floor of \(least)",
                &effects)
            return false
        }
        return true
    }
}

extension Level {
    @inline(__always) func count(of n: Int) -> Int { quorumLevel.count(of: n) }

    /// What a request's option means in a keyspace.
    @inline(__always) private var quorumLevel: QuorumLevel {
        switch self {
        case .count(let count): .count(Int(count))
        case .quorum: .quorum
        case .all: .all
        }
    }
}

extension TimeToLive {
    /// What one of the four commands that ask for it tells.
    fileprivate init(_ name: CommandName) {
        self =
            switch name {
            case .ttl: .seconds
            case .pttl: .milliseconds
            case .expiretime: .atSeconds
            default: .atMilliseconds
            }
    }
}
