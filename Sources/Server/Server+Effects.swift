import Base
import Coding
import Reactor
import Replication

extension Server {
    /// Walks the effects once, in order, then writes what they brought, once per socket, and tells
    /// the node what is left waiting.
    mutating func walkEffects() {
        releaseHeld()
        for entry in effects.entries {
            if entry.gated {
                hold(entry.effect, at: lane.appendedPosition)
            } else {
                perform(entry.effect)
            }
        }
        if let milliseconds = effects.syncWithinMilliseconds {
            lane.sync(by: now.monotonic + .nanoseconds(milliseconds: milliseconds))
        }
        flushClients()
        relieveOutput()
        flushLinks()
        effects.removeAll()
        tellAllowance()
        noteBuffers()
    }

    private mutating func perform(_ effect: Effect) {
        switch effect {
        case .reply(let connection, let range): reply(Int(connection.rawValue), range, effect)
        case .close(let connection): closeAfterOutput(Int(connection.rawValue), effect)
        case .more(let connection): expectMore(Int(connection.rawValue), effect)
        case .send(let node, let range): send(node, effects.bytes[range])
        case .persist(let range): lane.append(effects.bytes[range], isGate: true)
        case .append(let range): lane.append(effects.bytes[range], isGate: false)
        case .notify(let token): settlements.append(.reached(token))
        case .disconnect(let node): disconnect(node)
        case .beginLife(let epoch): beginLife(above: epoch)
        }
    }

    // MARK: Clients

    /// Queues reply bytes of this turn where they stand, unless older bytes are still in the way.
    private mutating func reply(_ index: Int, _ range: Range<Int>, _ effect: Effect) {
        guard clients.contains(index), !clients[index].isGone else { return }
        guard clients[index].heldCount == 0 else {
            hold(effect, at: holds.lastPosition)
            return
        }
        if !clients[index].output.isEmpty {
            clients[index].output.append(effects.bytes[range])
        } else if clients[index].fresh.isEmpty {
            clients[index].fresh = range
        } else if clients[index].fresh.upperBound == range.lowerBound {
            clients[index].fresh = clients[index].fresh.lowerBound..<range.upperBound
        } else {
            clients[index].output.append(effects.bytes[clients[index].fresh])
            clients[index].fresh = 0..<0
            clients[index].output.append(effects.bytes[range])
        }
        markDirty(client: index)
    }

    mutating func markDirty(client index: Int) {
        guard !clients[index].isDirty else { return }
        clients[index].isDirty = true
        dirtyClients.append(index)
    }

    private mutating func closeAfterOutput(_ index: Int, _ effect: Effect) {
        guard clients.contains(index), !clients[index].isGone else { return }
        guard clients[index].heldCount == 0 else {
            hold(effect, at: holds.lastPosition)
            return
        }
        clients[index].isClosing = true
        markDirty(client: index)
    }

    private mutating func expectMore(_ index: Int, _ effect: Effect) {
        guard clients.contains(index), !clients[index].isGone else { return }
        guard clients[index].heldCount == 0 else {
            hold(effect, at: holds.lastPosition)
            return
        }
        clients[index].wantsMore = true
        markDirty(client: index)
    }

    mutating func flushClients() {
        for index in dirtyClients {
            guard clients.contains(index), !clients[index].isGone else { continue }
            clients[index].isDirty = false
            flush(client: index)
        }
        dirtyClients.removeAll(keepingCapacity: true)
    }

    private mutating func flush(client index: Int) {
        do throws(SocketError) {
            if clients[index].output.isEmpty {
                try writeFresh(index)
            } else {
                let taken = try clients[index].socket.write(clients[index].output.bytes)
                clients[index].output.removeFirst(taken)
            }
        } catch {
            dropClient(index)
            return
        }
        count(client: index)
        if clients[index].output.count > configuration.limits.clientOutputBytesMax {
            counters.clientsOverOutputLimit += 1
            log.warning("client disconnected: more replies wait for it than the limit allows")
            dropClient(index)
        } else if isFinished(index) {
            end(client: index)
        } else {
            let generation = clients[index].generation
            if clients[index].wantsMore, clients[index].output.count < ClientBuffers.pieceBytes {
                clients[index].wantsMore = false
                settlements.append(.more(index, generation: generation))
            } else if clients[index].isStalled, !clients[index].isInLine,
                clients[index].output.count < clientOutputMax
            {
                // Who reads slower than it asks waits long before its replies reach the limit.
                settlements.append(.replied(index, generation: generation))
            }
            watchClient(index)
        }
    }

    /// Writes this turn's replies from the node's own buffer; only what the kernel refuses is
    /// copied.
    private mutating func writeFresh(_ index: Int) throws(SocketError) {
        let range = clients[index].fresh
        guard !range.isEmpty else { return }
        clients[index].fresh = 0..<0
        let taken = try clients[index].socket.write(effects.bytes[range])
        guard taken < range.count else { return }
        clients[index].output.append(effects.bytes[range.lowerBound + taken..<range.upperBound])
    }

    // MARK: Gated effects

    /// Keeps an effect until a journal position is durable.
    private mutating func hold(_ effect: Effect, at position: UInt64) {
        switch effect {
        case .reply(let connection, let range):
            guard let generation = beginHold(connection) else { return }
            holds.append(
                .reply(connection, generation: generation, byteCount: range.count), at: position,
                effects.bytes[range])
        case .close(let connection):
            guard let generation = beginHold(connection) else { return }
            holds.append(.close(connection, generation: generation), at: position)
        case .more(let connection):
            guard let generation = beginHold(connection) else { return }
            holds.append(.more(connection, generation: generation), at: position)
        case .send(let node, let range):
            guard let generation = linkGeneration(node) else { return }
            holds.append(
                .send(node, generation: generation, byteCount: range.count), at: position,
                effects.bytes[range])
        case .disconnect(let node):
            guard let generation = linkGeneration(node) else { return }
            holds.append(.disconnect(node, generation: generation), at: position)
        case .notify(let token): holds.append(.notify(token), at: position)
        case .beginLife(let epoch): holds.append(.beginLife(above: epoch), at: position)
        case .persist, .append: perform(effect)
        }
    }

    private mutating func beginHold(_ connection: ConnectionID) -> UInt64? {
        let index = Int(connection.rawValue)
        guard clients.contains(index), !clients[index].isGone else { return nil }
        clients[index].heldCount += 1
        // Who waits for the disk asks for no more while much waits: a reply lets it go on.
        if holds.byteCount > configuration.limits.diskBacklogBytesMax, !clients[index].isStalled {
            clients[index].isStalled = true
            watchClient(index)
        }
        return clients[index].generation
    }

    /// Lets go of everything whose records are durable.
    mutating func releaseHeld() {
        while let held = holds.due(at: lane.durablePosition) {
            switch held {
            case .reply(let connection, let generation, let byteCount):
                if let index = endHold(connection, generation) {
                    clients[index].output.append(holds.carried(byteCount))
                    markDirty(client: index)
                }
                holds.removeFirst(byteCount: byteCount)
            case .close(let connection, let generation):
                if let index = endHold(connection, generation) {
                    clients[index].isClosing = true
                    markDirty(client: index)
                }
                holds.removeFirst()
            case .more(let connection, let generation):
                if let index = endHold(connection, generation) {
                    clients[index].wantsMore = true
                    markDirty(client: index)
                }
                holds.removeFirst()
            case .send(let node, let generation, let byteCount):
                if linkGeneration(node) == generation { send(node, holds.carried(byteCount)) }
                holds.removeFirst(byteCount: byteCount)
            case .disconnect(let node, let generation):
                if linkGeneration(node) == generation { disconnect(node) }
                holds.removeFirst()
            case .notify(let token):
                settlements.append(.reached(token))
                holds.removeFirst()
            case .beginLife(let epoch):
                beginLife(above: epoch)
                holds.removeFirst()
            }
        }
    }

    private mutating func endHold(_ connection: ConnectionID, _ generation: UInt64) -> Int? {
        let index = Int(connection.rawValue)
        guard clients.contains(index), clients[index].generation == generation,
            !clients[index].isGone
        else { return nil }
        clients[index].heldCount -= 1
        return index
    }
}
