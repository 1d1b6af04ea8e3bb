import Base

// Clients with sessions: they begin one with each connection, take it along by token when they move
// to another node, and hand it to each other.
extension World {
    /// Tokens that are there for others to take.
    private static let tokensMax = 8

    /// Begins a session on a new connection, with what the client took along.
    func beginSession(_ index: Int) {
        guard clients[index].usesSessions, phase == .safety else { return }
        clients[index].session = nil
        clients[index].isInSession = true
        guard let last = clients[index].lastToken else {
            return ask(index, .session(.begun), [], words("SESSION", "ON"))
        }
        ask(index, .session(.used(last)), [], words("SESSION", "USE") + [last.token])
    }

    /// Now and then a client of sessions takes a token, or another one's.
    ///
    /// - Returns: whether it asked for something.
    func tendSession(_ index: Int) -> Bool {
        guard clients[index].isInSession else { return false }
        let draw = clients[index].random.below(100)
        if draw < 12 {
            ask(index, .session(.told), [], words("SESSION", "TOKEN"))
            return true
        }
        guard draw < 16, !tokens.isEmpty else { return false }
        let handed = tokens[clients[index].random.below(tokens.count)]
        ask(index, .session(.used(handed)), [], words("SESSION", "USE") + [handed.token])
        return true
    }

    /// SET or DEL: in a session it replaces, on whatever node, what that has seen of the key.
    func writePlainSiblings(_ index: Int, _ key: Int) {
        // What a table has no room for it does not replace.
        let isRemembered = plan.sessionKeysMax >= history.keys.count
        let seen = isRemembered ? clients[index].session?.values[key] ?? [] : []
        let level = plan.keyspaces[history.keys[key].keyspace].w
        let deletes = !isLive && clients[index].random.chance(perMille: 150)
        let write = operation(deletes ? .delete : .write, key, level: level, replaces: seen)
        var command = words(deletes ? "DEL" : "SET") + [history.keys[key].name]
        if !deletes {
            let filling = clients[index].random.below(60)
            command.append(history.siblingValue(write, filling: filling))
        }
        ask(index, .write, [write], command)
    }

    /// Leaves the session before requests that must all succeed.
    func endSession(_ index: Int) -> Bool {
        guard clients[index].isInSession else { return false }
        clients[index].isInSession = false
        clients[index].session = nil
        ask(index, .session(.ended), [], words("SESSION", "OFF"))
        return true
    }

    func settle(_ change: Client.SessionChange, _ reply: RedisReply, _ index: Int) {
        switch (change, reply) {
        case (.begun, .simple): clients[index].session = ClientSession()
        case (.used(let handed), .simple):
            counters.sessionsMoved += 1
            var session = clients[index].session ?? ClientSession()
            session.join(handed.session)
            clients[index].session = session
        case (.told, .bulk(let token)): take(token, index)
        case (.ended, _): break
        case (.begun, _), (.used, _), (.told, _):
            // A clock that jumped has the token refused: the client begins anew.
            clients[index].lastToken = nil
            clients[index].session = nil
            if clients[index].isInSession, phase == .safety {
                ask(index, .session(.restarted), [], words("SESSION", "OFF"))
                ask(index, .session(.begun), [], words("SESSION", "ON"))
            }
        case (.restarted, _): break
        }
    }

    private func take(_ token: [UInt8], _ index: Int) {
        guard let session = clients[index].session else { return }
        let handed = HandedToken(token: token, session: session)
        clients[index].lastToken = handed
        if tokens.count == World.tokensMax { tokens.removeFirst() }
        tokens.append(handed)
        if clients[index].random.below(2) == 0, phase == .safety { breakConnection(index) }
    }

    /// Holds an answer against the session, which it becomes part of.
    func settleSession(_ request: Client.Request, _ reply: RedisReply, _ index: Int) {
        guard clients[index].isInSession, let session = clients[index].session else { return }
        // Keys of one request are asked for side by side.
        var seen = session
        var problem: String?
        for (place, operation) in request.operations.enumerated() {
            let part: RedisReply
            if case .array(let parts) = reply, case .several = request.answer {
                part = parts[place]
            } else {
                part = reply
            }
            let found = history.hold(operation, part, against: session, &seen, &counters)
            problem = problem ?? found
        }
        if let problem { violate(problem) }
        clients[index].session = seen
    }
}
