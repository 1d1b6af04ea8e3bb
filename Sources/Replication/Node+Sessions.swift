import Base
import Causality
import Coding
import RESP
import Ring

/// The part of another node's client session that came along with a command.
struct CarriedSession {
    let guarantees: SessionGuarantees
    let history: SessionHistory
}

// Sessions: what a connection has read and written, and what that demands of what it does next.
//
// What is promised, whichever nodes the session talks to:
// - read your writes, monotonic reads: an answer covers every write of the key that the session had
//   acknowledged, and every state of the key that it had read, or it is an error;
// - monotonic writes, writes follow reads: a write's stamp is later than those of all writes that
//   the session had acknowledged or read, of whatever key, or it is refused. So of one key's states
//   the later one wins on every node; under `siblings` a plain write also replaces what the session
//   has seen of the key. Visible in that order to others it is for each key by itself: a reader of
//   two keys may see the later write and not yet the earlier one.
//
// What is not: a write of unknown outcome is required by nobody until somebody has read it, and a
// change of expiry is stamped right behind the value that it changes. Beyond the keys that a
// history remembers (`sessionKeysMax`) a copy counts as covering if it is whole up to the history's
// floor by its replicas' stamps, so there the promise is as good as the disks' and the clocks'.
//
// With one replica a deletion leaves nothing, so what is not there is no proof of a loss. There a
// read is refused unless each write that the session has seen and the replica has not is known to
// have been there: it is of the replica's present process, or its disk has what that life wrote up
// to then (`OwnLives.written`). Example: life 1 of A writes v, its disk is copied, life 2 writes w
// for a session, and the copy is put back. Life 3 knows life 1 only; w is of life 2, so v is not
// told to the session.
//
// A session's requests run one after the other.
extension Node {
    /// Whose session a reply belongs to.
    func sessionIndex(of target: ReplyTarget) -> Int? {
        switch target {
        case .direct(let connection): return Int(connection.rawValue)
        case .outstanding(let connection, let serial, _):
            let index = Int(connection.rawValue)
            return sessions[index].serial == serial ? index : nil
        case .gather(let id, _): return gathers[id].flatMap { sessionIndex(of: $0.head.target) }
        case .request(let id):
            return requestIDs.claims[id].flatMap { sessionIndex(of: $0.head.target) }
        case .node, .nobody: return nil
        }
    }

    /// Whether a reply goes to the node that forwarded the command, be it as part of one in pieces.
    func isForNode(_ target: ReplyTarget) -> Bool {
        switch target {
        case .node: return true
        case .gather(let id, _):
            guard let gather = gathers[id], gather.pieces != nil else { return false }
            return isForNode(gather.head.target)
        case .direct, .outstanding, .request, .nobody: return false
        }
    }

    func history(of target: ReplyTarget) -> SessionHistory? {
        if case .node = target { return carried?.history }
        return sessionIndex(of: target).map { sessions[$0].history }
    }

    /// What a read for the session that waits for it has to cover.
    func requirement(of key: UnsafeRawBufferPointer, _ target: ReplyTarget) -> SessionRequirement {
        guard !client.guarantees.isEmpty, let history = history(of: target) else { return .none }
        var required = history.requirement(of: store.address(of: key).hash)
        if configuration.plantedBug == .sessionForgetsEvicted {
            required.floor = Stamp(rawValue: 0)
        }
        return required
    }

    /// A session is being told a state.
    mutating func noteRead(
        _ key: UnsafeRawBufferPointer, _ keyspace: Int, _ record: Record?, _ target: ReplyTarget
    ) {
        guard let record else { return }
        let isNewestOnly = catalog.active[keyspace].settings.conflict == .lww
        let news = SessionNews(record, isNewestOnly: isNewestOnly)
        if isForNode(target) {
            learned = news
        } else {
            noteRead(store.address(of: key).hash, news, target)
        }
    }

    /// The same, of a state that another node may have read.
    private mutating func noteRead(_ hash: UInt64, _ news: SessionNews, _ target: ReplyTarget) {
        guard let newest = news.expirySeen ?? news.seen.newest,
            let index = sessionIndex(of: target)
        else { return }
        let guarantees = sessions[index].guarantees
        if guarantees.contains(.writesFollowReads) {
            sessions[index].history.follow(newest.stamp)
        }
        guard guarantees.contains(.monotonicReads) else { return }
        guard let expiry = news.expirySeen, let written = news.seen.newest else {
            return sessions[index].history.read(hash, news.seen)
        }
        sessions[index].history.read(hash, written, expiry: expiry)
    }

    /// A session's write was acknowledged.
    mutating func noteWritten(_ written: SessionWrite, _ target: ReplyTarget) {
        if isForNode(target) {
            learned = SessionNews(
                written: written.dot, expiryOf: written.expiryOf,
                seen: written.read ?? learned?.seen ?? VersionVector())
            return
        }
        guard let index = sessionIndex(of: target) else { return }
        let guarantees = sessions[index].guarantees
        if guarantees.contains(.monotonicWrites) {
            sessions[index].history.follow(written.dot.stamp)
        }
        guard guarantees.contains(.readYourWrites) else { return }
        guard catalog.active[written.keyspace].settings.conflict == .lww else {
            if let read = written.read {
                return sessions[index].history.changed(written.hash, written.dot, read: read)
            }
            return sessions[index].history.wrote(
                written.hash, written.dot, replaces: written.replaces)
        }
        sessions[index].history.wrote(
            written.hash, written.expiryOf ?? written.dot, expiry: written.dot)
    }

    /// A session's write ended without a known outcome: nobody may require it, but what the session
    /// writes next comes after it.
    ///
    /// - Parameter stamp: it has no later one.
    mutating func noteUnknown(upTo stamp: Stamp, _ target: ReplyTarget) {
        guard let index = sessionIndex(of: target),
            sessions[index].guarantees.contains(.monotonicWrites)
        else { return }
        sessions[index].history.follow(stamp)
    }

    /// Has the clock run ahead of what the session has seen, of any key in order and of this key
    /// altogether, before a write is named: what a write replaces is never later than it.
    ///
    /// - Parameter key: whose write is to be named.
    /// - Returns: false, and an error reply, when that is too far ahead to be believed.
    mutating func followSession(
        _ key: UnsafeRawBufferPointer, _ target: ReplyTarget, _ effects: inout Effects
    ) -> Bool {
        guard !client.guarantees.isEmpty, let history = history(of: target) else { return true }
        if clock.observe(history.latest(of: store.address(of: key).hash)) { return true }
        fail(
            target,
            "CLOCK the session has seen a write far ahead of this node's clock; nothing is written",
            &effects)
        return false
    }

    /// What a plain write of siblings replaces besides what this replica holds.
    func seenBySession(_ hash: UInt64, _ target: ReplyTarget) -> CausalContext {
        guard !client.guarantees.isEmpty else { return CausalContext() }
        return history(of: target)?.replaceable(of: hash) ?? CausalContext()
    }
}

/// A session's acknowledged write.
struct SessionWrite {
    let hash: UInt64
    let keyspace: Int
    let dot: Dot
    /// Of a change of an expiry, the write whose expiry it is.
    var expiryOf: Dot?
    /// Of siblings: it replaced all that its replica held.
    let replaces: Bool
    /// Of siblings, where it leaves no value of its own: what it changed, as it had been read.
    var read: CausalContext?
}

extension SessionWrite {
    init(_ write: WriteOperation) {
        self.init(
            hash: write.hash, keyspace: write.keyspace, dot: write.dot, expiryOf: write.written,
            replaces: write.replaces, read: write.context.isEmpty ? nil : write.context)
    }
}

// The command.
extension Node {
    /// `SESSION ON [guarantee …]`, `OFF`, `TOKEN`, `USE token`; alone it shows what there is.
    mutating func session(
        _ target: ReplyTarget, _ effects: inout Effects
    ) throws(CommandError) {
        guard case .direct(let connection) = target else { throw .unknownSubcommand(.session) }
        let index = Int(connection.rawValue)
        try request.checkSubcommand(of: .session)
        if request.matches(1, "ON") {
            return try beginSession(index, target, &effects)
        }
        if request.matches(1, "USE") {
            return useSession(index, target, &effects)
        }
        let start = effects.bytes.count
        if request.count == 1 {
            showSession(sessions[index], &effects)
        } else if request.matches(1, "OFF") {
            sessions[index].endSession()
            effects.bytes.writeOK()
        } else {
            guard !sessions[index].guarantees.isEmpty else {
                return fail(target, "SESSION there is none; SESSION ON begins one", &effects)
            }
            var token = ByteBuffer(capacity: 256)
            sessions[index].history.encodeToken(sealedBy: keys.sessions, into: &token)
            effects.bytes.writeBulk(token.bytes)
        }
        deliver(target, from: start, &effects)
    }

    private static let guaranteeNames: [(SessionGuarantees, String)] = [
        (.readYourWrites, "READ-YOUR-WRITES"), (.monotonicReads, "MONOTONIC-READS"),
        (.monotonicWrites, "MONOTONIC-WRITES"), (.writesFollowReads, "WRITES-FOLLOW-READS"),
    ]

    private mutating func beginSession(
        _ index: Int, _ target: ReplyTarget, _ effects: inout Effects
    ) throws(CommandError) {
        var guarantees: SessionGuarantees = request.count == 2 ? .all : []
        for argument in 2..<max(2, request.count) {
            let known = Node.guaranteeNames.first { isOne(of: [$0.1], argument) }
            guard let known else { throw .option(.guarantee) }
            guarantees.insert(known.0)
        }
        if sessions[index].guarantees.isEmpty {
            sessions[index].history = SessionHistory(keysMax: configuration.sessionKeysMax)
        }
        sessions[index].guarantees = guarantees
        reply(.ok, target, &effects)
    }

    private mutating func useSession(
        _ index: Int, _ target: ReplyTarget, _ effects: inout Effects
    ) {
        let other: SessionHistory
        do throws(DecodeError) {
            other = try SessionHistory(
                token: request[2], sealedBy: keys.sessions, keysMax: configuration.sessionKeysMax)
        } catch {
            counters.sessionTokensRefused += 1
            return fail(
                target, text: "SESSION this is no token that SESSION TOKEN gave: \(error.reason)",
                &effects)
        }
        guard !isAhead(other.newest) else {
            counters.sessionTokensRefused += 1
            return fail(
                target, "CLOCK the session token is far ahead of this node's clock", &effects)
        }
        if sessions[index].guarantees.isEmpty {
            sessions[index].history = SessionHistory(keysMax: configuration.sessionKeysMax)
            sessions[index].guarantees = .all
        }
        sessions[index].history.join(other)
        reply(.ok, target, &effects)
    }

    private func showSession(_ session: Session, _ effects: inout Effects) {
        let names = Node.guaranteeNames.filter { session.guarantees.contains($0.0) }.map(\.1)
        effects.bytes.writeMapHeader(pairs: 4, client.dialect)
        effects.bytes.writeBulk("guarantees")
        effects.bytes.writeArrayHeader(count: names.count)
        for name in names { effects.bytes.writeBulk(text: name.lowercased()) }
        effects.bytes.writeBulk("keys")
        effects.bytes.writeInteger(session.history.count)
        effects.bytes.writeBulk("floor")
        effects.bytes.writeBulk(text: "\(session.history.floor.rawValue)")
        effects.bytes.writeBulk("order")
        effects.bytes.writeBulk(text: "\(session.history.order.rawValue)")
    }
}

extension DecodeError {
    /// For a client.
    fileprivate var reason: String {
        switch self {
        case .truncated: "session token is too short"
        case .invalid(let what): "\(what)"
        }
    }
}

// Commands for other nodes' sessions.
extension Node {
    /// Appends a session's command behind the frame's head.
    func writeSessionCommand(
        _ id: OperationID, _ wishes: CommandWishes, _ command: UnsafeRawBufferPointer,
        _ effects: inout Effects
    ) {
        guard let forward = forwards[id] else { return }
        var history = ByteBuffer(capacity: 128)
        let seen = self.history(of: forward.head.target) ?? SessionHistory(keysMax: 1)
        seen.excerpt(of: forward.hash).encode(into: &history)
        effects.bytes.append(SessionMessage.commandKind)
        effects.bytes.append(client.dialect.rawValue)
        effects.bytes.append(integer: id.rawValue)
        effects.bytes.append(client.guarantees.rawValue)
        wishes.encode(into: &effects.bytes)
        effects.bytes.append(integer: UInt32(history.count))
        effects.bytes.append(history.bytes)
        effects.bytes.append(command)
    }

    /// Executes a command for the session of another node's client.
    mutating func executeForwarded(
        _ number: UInt64, _ command: SessionMessage.Command, from node: NodeID,
        _ effects: inout Effects
    ) throws(DecodeError) {
        let history = try SessionHistory(decoding: command.history, keysMax: 1)
        carried = CarriedSession(guarantees: command.guarantees, history: history)
        executeForwarded(
            (node, number), command.protocolVersion, command.wishes, command.command, &effects)
        carried = nil
    }

    /// Answers with what a session's command wrote and read.
    func sendLearned(
        _ news: SessionNews, _ reply: Reply, to node: NodeID, _ number: UInt64,
        _ effects: inout Effects
    ) {
        var rest = ByteBuffer(capacity: 32 + reply.byteCount)
        news.encode(into: &rest)
        reply.writeAll(into: &rest)
        send(
            to: node, kind: SessionMessage.replyKind, flag: news.written == nil ? 0 : 1,
            number: number, rest.bytes, &effects)
    }

    /// A session's command was executed elsewhere.
    mutating func sessionAnswered(
        _ id: OperationID, _ news: SessionNews, _ reply: UnsafeRawBufferPointer,
        from node: NodeID, _ effects: inout Effects
    ) throws(DecodeError) {
        if let forward = forwards[id], forward.node == node {
            let isTyped = isTyped(forward.keyspace)
            if isTyped {
                noteSeen(forward.hash, news.seen, forward.head.target)
            } else if news.written == nil {
                noteRead(forward.hash, news, forward.head.target)
            }
            if let dot = news.written {
                noteWritten(
                    SessionWrite(
                        hash: forward.hash, keyspace: forward.keyspace, dot: dot,
                        expiryOf: news.expiryOf, replaces: forward.replaces,
                        read: isTyped || news.seen.isEmpty ? nil : news.seen),
                    forward.head.target)
            }
        }
        try forwardAnswered(id, reply, from: node, &effects)
    }
}
