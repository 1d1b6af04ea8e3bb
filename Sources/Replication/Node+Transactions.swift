import Base
import Causality
import Coding
import RESP
import Ring

// MULTI, EXEC, DISCARD, WATCH and UNWATCH: commands that run as one.
//
// One step of one node is what nothing comes between, so a transaction runs where a single node
// decides about all of its keys: they live in keyspaces with n=1 that have no fallbacks, and, in a
// cluster, in one slot. That node runs all commands in one step, and hands what they wrote to the
// journal in one batch; another node sends the whole transaction there, unless keys are watched
// (`Node+Watches`). Everything else is refused by name when it is queued, and then, as with Redis,
// EXEC runs nothing.
//
// As with Redis, a command that fails while the transaction runs does not undo the others.
extension Node {
    /// - Returns: whether the request was queued, or is refused, instead of being run.
    mutating func isQueued(
        _ name: CommandName, _ target: ReplyTarget, _ effects: inout Effects
    ) -> Bool {
        guard case .direct(let connection) = target else { return false }
        let index = Int(connection.rawValue)
        guard sessions[index].transaction.isOpen else { return false }
        switch name {
        case .multi, .exec, .discard, .watch, .quit, .reset: return false
        default: break
        }
        if let refusal = refusal(toQueue: name, index) {
            sessions[index].transaction.refuse()
            count(transactionOf: index)
            fail(target, text: refusal, &effects)
        } else if !hasAllowedLevels(name, target, &effects) {
            sessions[index].transaction.refuse()
            count(transactionOf: index)
        } else {
            if !sessions[index].transaction.isRefused { queue(name, index) }
            let start = effects.bytes.count
            effects.bytes.writeSimple("QUEUED")
            deliver(target, from: start, &effects)
        }
        return true
    }

    func isQueueing(_ target: ReplyTarget) -> Bool {
        guard case .direct(let connection) = target else { return false }
        return sessions[Int(connection.rawValue)].transaction.isOpen
    }

    private mutating func queue(_ name: CommandName, _ index: Int) {
        var command = ByteBuffer(capacity: 256)
        command.writeArrayHeader(count: request.count)
        for argument in 0..<request.count { command.writeBulk(request[argument]) }
        let keys = CommandTable.description(of: name).keyIndices(in: request)
        let key = keys.first { _ in true }.map { Array(request[$0]) }
        sessions[index].transaction.append(Array(command.bytes), key: key)
        count(transactionOf: index)
    }

    /// The request that is being executed could not be queued: EXEC will run nothing. If it is an
    /// EXEC, the transaction ends, as with Redis.
    mutating func endOrRefuseTransaction(of target: ReplyTarget, after error: CommandError) {
        guard case .direct(let connection) = target else { return }
        let index = Int(connection.rawValue)
        if error == .wrongArgumentCount(.exec) { return forgetTransaction(index) }
        guard sessions[index].transaction.isOpen else { return }
        sessions[index].transaction.refuse()
        count(transactionOf: index)
    }

    /// Why a command cannot be part of the transaction; nil when it can.
    private func refusal(toQueue name: CommandName, _ index: Int) -> String? {
        let description = CommandTable.description(of: name)
        var first = sessions[index].transaction.key
        var isKeyed = false
        for argument in description.keyIndices(in: request) {
            isKeyed = true
            let key = request[argument]
            if let refusal = refusal(toDecideAbout: key) { return refusal }
            if let refusal = refusal(toMix: key, with: &first) { return refusal }
        }
        if let refusal = refusal(bySettings: name) { return refusal }
        // A wrong number of keys is told by EXEC, as in Redis.
        guard isKeyed || isAnsweredAlone(name) || description.flags.contains(.movableKeys) else {
            return "ERR \(name.text.description.uppercased()) is not allowed in a transaction"
        }
        let bytes = (0..<request.count).reduce(0) { $0 + request[$1].count + 16 }
        guard sessions[index].transaction.byteCount + bytes <= Transaction.bytesMax else {
            return "ERR a transaction may have \(Transaction.bytesMax) bytes"
        }
        return refusal(toKeep: bytes)
    }

    /// Why a key cannot be in a transaction; nil when its slot is that of the first key, or when it
    /// is the first.
    func refusal(toMix key: UnsafeRawBufferPointer, with first: inout [UInt8]?) -> String? {
        guard let other = first else {
            first = Array(key)
            return nil
        }
        let isOneSlot = other.withUnsafeBytes { Slot(key: $0) } == Slot(key: key)
        return links.count == 1 || isOneSlot
            ? nil : "CROSSSLOT Keys in request don't hash to the same slot"
    }

    /// Why a transaction takes no more memory; nil while it may.
    ///
    /// - Parameter bytes: what is to be added.
    func refusal(toKeep bytes: Int) -> String? {
        let most = memory.transactionsMax
        if memory.transactions + bytes > most {
            return "OOM what clients have queued since MULTI, and watch, has its share of the "
                + "memory, \(most) bytes"
        }
        return isMemoryFull ? outOfMemory : nil
    }

    /// Why no single node decides about a key; nil when one does.
    func refusal(toDecideAbout key: UnsafeRawBufferPointer) -> String? {
        let keyspace = catalog.index(of: key)
        let n = catalog.active[keyspace].n
        let isSloppy = catalog.active[keyspace].settings.isSloppy
        guard n > 1 || isSloppy else { return nil }
        let name = String(decoding: catalog.definitions[keyspace].name, as: UTF8.self)
        return "MODE a transaction needs keyspaces in which one node decides: n=1 and sloppy=off; "
            + "\(name) has \(n > 1 ? "n=\(n)" : "sloppy=on"). "
            + "KEYSPACE CREATE single n=1 makes one, whose keys begin with single:"
    }

    /// Whether a command without keys is answered in the step that runs it, and changes nothing.
    private func isAnsweredAlone(_ name: CommandName) -> Bool {
        switch name {
        case .ping, .echo, .select, .time, .dbsize, .info, .command, .scan, .keys, .wait,
            .readonly, .readwrite, .unwatch:
            true
        case .config: request.matches(1, "GET")
        case .cluster: !isOne(of: ["FORGET", "READMIT", "REFILL"], 1)
        default: false
        }
    }
}

// Commands about the transaction.
extension Node {
    mutating func transact(
        _ name: CommandName, _ target: ReplyTarget, _ effects: inout Effects
    ) throws(CommandError) {
        guard case .direct(let connection) = target else {
            // UNWATCH as part of a transaction, which has ended the watches itself.
            return reply(.ok, target, &effects)
        }
        let index = Int(connection.rawValue)
        let isOpen = sessions[index].transaction.isOpen
        switch name {
        case .multi where isOpen: fail(target, "ERR MULTI calls can not be nested", &effects)
        case .multi: begin(index, target, &effects)
        case .watch where isOpen:
            fail(target, "ERR WATCH inside MULTI is not allowed", &effects)
        case .watch: watch(index, target, &effects)
        case .exec where isOpen: commit(index, target, &effects)
        case .exec: fail(target, "ERR EXEC without MULTI", &effects)
        case .discard where !isOpen: fail(target, "ERR DISCARD without MULTI", &effects)
        default:
            forgetTransaction(index)
            tellOK(target, &effects)
        }
    }

    /// Ends a connection's transaction and its watches.
    mutating func forgetTransaction(_ index: Int) {
        endWatches(of: index)
        sessions[index].transaction = Transaction()
        count(transactionOf: index)
    }

    mutating func tellOK(_ target: ReplyTarget, _ effects: inout Effects) {
        let start = effects.bytes.count
        effects.bytes.writeOK()
        deliver(target, from: start, &effects)
    }

    private mutating func begin(
        _ index: Int, _ target: ReplyTarget, _ effects: inout Effects
    ) {
        sessions[index].transaction.open()
        let isBound = sessions[index].defaults.stalenessMilliseconds != nil
        guard client.guarantees.isEmpty, !isBound else {
            sessions[index].transaction.refuse()
            count(transactionOf: index)
            return fail(
                target,
                text: "MODE MULTI is neither for sessions nor for CONSISTENCY STALENESS; "
                    + "SESSION OFF and CONSISTENCY RESET end them", &effects)
        }
        tellOK(target, &effects)
    }

    private mutating func commit(
        _ index: Int, _ target: ReplyTarget, _ effects: inout Effects
    ) {
        let transaction = sessions[index].transaction
        let isChanged = hasChangedWatch(transaction)
        forgetTransaction(index)
        client.isPlain = sessions[index].isPlain
        if transaction.hasRefusedWatch {
            return fail(
                target,
                text: "EXECABORT Transaction discarded because WATCH was refused; UNWATCH before "
                    + "MULTI forgets that", &effects)
        }
        guard !transaction.isRefused else {
            return fail(
                target, "EXECABORT Transaction discarded because of previous errors.", &effects)
        }
        guard !isChanged else {
            let start = effects.bytes.count
            effects.bytes.writeNullArray(client.dialect)
            return deliver(target, from: start, &effects)
        }
        guard transaction.watches.isEmpty || isHere(transaction.key) else {
            return fail(
                target,
                "EXECABORT Transaction discarded because the watched keys moved to another node",
                &effects)
        }
        run(transaction.commands, of: transaction.key, target, &effects)
    }

    /// Whether this node decides about the keys of a transaction; so it does without any.
    private func isHere(_ key: [UInt8]?) -> Bool {
        key.map { $0.withUnsafeBytes { isReplica(of: place(of: $0)) } } ?? true
    }

    /// Where clients reach the first replica of a key.
    func address(of location: KeyLocation) -> String {
        let node = ring.primaries(of: location.address.range, replicationFactor: 1).first
        let member = configuration.members.first { $0.member.node == node }
        return member.map { "\($0.host):\($0.clientPort)" } ?? "none"
    }

    /// Runs commands as one on the node that decides about a key of theirs.
    private mutating func run(
        _ commands: [[UInt8]], of key: [UInt8]?, _ target: ReplyTarget, _ effects: inout Effects
    ) {
        guard let key, !isHere(key) else { return runHere(commands, target, &effects) }
        let location = key.withUnsafeBytes { place(of: $0) }
        var command = ByteBuffer(capacity: 1_024)
        command.writeArrayHeader(count: commands.count + 1)
        command.writeBulk("EXEC")
        for queued in commands { queued.withUnsafeBytes { command.writeBulk($0) } }
        guard command.count <= configuration.recordBytesMax else {
            return fail(
                target,
                text: "EXECABORT a transaction that goes to another node may have "
                    + "\(configuration.recordBytesMax) bytes; "
                    + "\(address(of: location)) has the keys", &effects)
        }
        forward(
            command.bytes, to: location,
            timeoutMilliseconds: catalog.active[location.keyspace].settings.timeoutMilliseconds,
            target, &effects)
    }

    /// Whether a command that another node sent is a whole transaction, which clients cannot send.
    var isForwardedTransaction: Bool { request.count > 1 && request.matches(0, "EXEC") }

    mutating func runForwardedTransaction(_ target: ReplyTarget, _ effects: inout Effects) {
        let commands = (1..<request.count).map { Array(request[$0]) }
        runHere(commands, target, &effects)
    }

    private mutating func runHere(
        _ commands: [[UInt8]], _ target: ReplyTarget, _ effects: inout Effects
    ) {
        if let refusal = refusal(toRun: commands) {
            return fail(
                target, text: "EXECABORT Transaction discarded because of: \(refusal)", &effects)
        }
        guard !commands.isEmpty else {
            let start = effects.bytes.count
            effects.bytes.writeArrayHeader(count: 0)
            return deliver(target, from: start, &effects)
        }
        guard let id = gatherCommands(commands.count, target, &effects) else { return }
        let whole = client
        withRoom { node in
            for (part, command) in commands.enumerated() {
                node.client = whole
                node.client.mayForward = false
                node.gathers[id]?.beginPart()
                _ = node.withRequest(command) { $0.execute(.gather(id, part), &effects) }
            }
        }
        client = whole
    }

    /// What is known to keep one of the commands from running; nil when nothing is.
    private mutating func refusal(toRun commands: [[UInt8]]) -> String? {
        var refusal: String?
        var changes: [Int] = []
        var room = TransactionRoom()
        for command in commands {
            let isWhole = withRequest(command) { node in
                refusal = refusal ?? node.refusalToRunRequest(&changes, &room)
            }
            if !isWhole { return "ERR a command is malformed" }
            if refusal != nil { return refusal }
        }
        guard changes.count <= (writes.capacity + 1) / 2 else {
            return "OVERLOADED a transaction may change \((writes.capacity + 1) / 2) keys"
        }
        if changes.contains(where: { !writes.admits(changes.count, of: $0) }) {
            return "OVERLOADED too many requests under way on this node; try again"
        }
        return nil
    }

    /// - Parameters:
    ///   - changes: takes in the keyspaces of what is changed.
    ///   - room: what this and the commands before give the disk.
    private func refusalToRunRequest(
        _ changes: inout [Int], _ room: inout TransactionRoom
    ) -> String? {
        let name: CommandName
        do throws(CommandError) { name = try CommandName(request) } catch {
            return "ERR a command is malformed"
        }
        let description = CommandTable.description(of: name)
        let isChange = description.flags.contains(.write)
        for argument in description.keyIndices(in: request) {
            let key = request[argument]
            guard key.count <= Record.keyBytesMax else { return "ERR a key is malformed" }
            if let refusal = refusal(toDecideAbout: key) { return refusal }
            let location = place(of: key)
            guard isReplica(of: location) else {
                return "UNAVAILABLE the nodes disagree on where a key lives"
            }
            guard isWhole(location.address.range, location.keyspace) else {
                return awaitsHandOver
            }
            guard isChange else { continue }
            changes.append(location.keyspace)
            if isFenced(key) { return "UNAVAILABLE the keyspace is being changed; try again" }
            let isDelete = name == .del || name == .unlink || name == .getdel
            if disk.isLimited { add(name, location, to: &room) }
            let use = isDelete ? DiskUse.deletion : .write
            switch diskRefusal(location.keyspace, use, bytes: room.bytes) {
            case nil: break
            case .diskFull: return "DISKFULL no space left on this node's disk"
            default: return "OVERLOADED this node's disk is slower than what is written"
            }
        }
        return isMemoryFull && description.flags.contains(.denyOOM) ? outOfMemory : nil
    }

    /// Calls `body` while `request` holds a command that was kept in RESP.
    ///
    /// - Returns: false, without a call, when it is not exactly one.
    mutating func withRequest(_ command: [UInt8], _ body: (inout Node) -> Void) -> Bool {
        var outer = Arguments()
        swap(&request, &outer)
        defer { swap(&request, &outer) }
        return command.withUnsafeBytes { bytes in
            var progress = ParseProgress()
            guard parser.parse(bytes, &progress, into: &request) == .complete,
                request.consumed == bytes.count
            else { return false }
            body(&self)
            return true
        }
    }
}
