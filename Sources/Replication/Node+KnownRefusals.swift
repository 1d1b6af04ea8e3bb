import RESP

// What is known to be refused whatever a command's keys hold, so that a transaction does not take
// the command in.
extension Node {
    /// Why the settings of its keyspaces, or the limits of one step, rule the request out.
    func refusal(bySettings name: CommandName) -> String? {
        switch name {
        case .smove: return Node.changesTwoKeys.description
        case .wait: return Node.waitsForNobody.description
        case .keys: return Node.keysAreScanned.description
        default: break
        }
        let indices = CommandTable.description(of: name).keyIndices(in: request)
        for index in indices {
            let isTyped = isTyped(catalog.index(of: request[index]))
            if !isTyped, name.needsTyped { return Node.untyped(name) }
            if isTyped, name == .qset || name == .qdel { return Node.typedOnly.description }
            if isTyped, namesTooMany(name) { return Node.inPiecesOnly }
        }
        return nil
    }

    /// Whether the request asks for levels that its keyspace allows; an error reply when not.
    mutating func hasAllowedLevels(
        _ name: CommandName, _ target: ReplyTarget, _ effects: inout Effects
    ) -> Bool {
        let description = CommandTable.description(of: name)
        let index = description.keyIndices(in: request).first { _ in true }
        guard let index, description.consistency != nil || client.hasDefaults else { return true }
        // What is wrong about options is told when the command runs, as with Redis.
        guard let options = options(of: name) else { return true }
        let (keyspace, isWrite) = (catalog.index(of: request[index]), name.writes(request))
        if isTyped(keyspace) || !isWrite {
            let reads = typedReadLevels(options, keyspace, isWrite: isWrite, target, &effects)
            guard reads != nil else { return false }
        }
        return !isWrite || writeLevels(options, keyspace, target, &effects) != nil
    }

    private func options(of name: CommandName) -> ConsistencyOptions? {
        do throws(CommandError) {
            if name == .set { return try SetOptions(request, name).consistency }
            guard CommandTable.description(of: name).arity > 0 else {
                return ConsistencyOptions.none
            }
            return try ConsistencyOptions(following: request, of: name)
        } catch { return nil }
    }

    static let changesTwoKeys: StaticString = "MODE SMOVE changes two keys in one step"
    static let waitsForNobody: StaticString =
        "MODE WAIT belongs to replicas of Redis; use SET key value W n"
    static let keysAreScanned: StaticString =
        "ERR KEYS blocks a node for as long as it runs; use SCAN"
    static let typedOnly: StaticString =
        "MODE this command is not for a keyspace with conflict=crdt"

    /// A command that reads and writes in one step, on a key of several replicas.
    static func inOneStep(_ name: CommandName, _ n: Int) -> String {
        let conditions =
            switch name {
            case .set: " with NX, XX, GET or KEEPTTL"
            case .zadd, .expire, .pexpire, .expireat, .pexpireat: " with NX, XX, GT or LT"
            default: ""
            }
        return "MODE \(name.text.description.uppercased())\(conditions) reads and writes in one "
            + "step; that needs a keyspace with n=1, this one has n=\(n)"
    }

    /// A typed command on a key that is in no crdt keyspace: says how to get one.
    static func untyped(_ name: CommandName) -> String {
        "MODE \(name.text.description.uppercased()) needs a keyspace with conflict=crdt: "
            + "KEYSPACE CREATE counters conflict=crdt makes one, whose keys begin with counters:"
    }
}

extension CommandName {
    /// Only keyspaces with mergeable values serve it.
    fileprivate var needsTyped: Bool {
        switch self {
        case .incr, .decr, .incrby, .decrby, .incrbyfloat, .qflag, .qbound: return true
        default: break
        }
        switch CommandTable.description(of: self).group {
        case .set, .hash, .sortedSet, .list: return true
        case .connection, .server, .string, .generic, .transactions, .cluster, .quorate:
            return false
        }
    }
}
