import Base
import Causality
import Coding
import Replication

// Steps a node and walks its effects, as `Server+Effects` and `Server+Turn` do.
extension World {
    func step(_ machine: Machine, _ process: Process, _ input: NodeInput) {
        process.node.step(input, now: machine.now(time), into: &process.effects)
        process.steps += 1
        let isRecounted = process.steps % 64 == 0
        process.node.checkInvariants(recounting: isRecounted)
        if isRecounted, let key = process.node.keyOfAnotherKind {
            let name = String(decoding: key, as: UTF8.self)
            violate("\(machine.node) keeps a typed value as \(name), whose keyspace has none")
        }
    }

    /// Ends a step: walks now, or together with the step that comes next.
    func finishStep(_ machine: Machine, _ process: Process) {
        if plan.sharedTurnPerMille > 0, machine.random.chance(perMille: plan.sharedTurnPerMille) {
            return scheduleTurn(machine, process, after: UInt64(machine.random.below(300_000)))
        }
        walk(machine, process)
    }

    func scheduleTurn(_ machine: Machine, _ process: Process, after delay: UInt64 = 0) {
        guard !process.isTurnDue else { return }
        process.isTurnDue = true
        schedule(.turn(machine: machine.index, life: machine.life), after: delay)
    }

    func turn(_ machine: Machine, _ process: Process) {
        process.isTurnDue = false
        let due = process.settlements
        process.settlements.removeAll()
        for settlement in due {
            switch settlement {
            case .reached(let token): step(machine, process, .reached(token))
            case .linkGone(let other): step(machine, process, .unlinked(machines[other].node))
            case .diskRoom:
                step(machine, process, .disk(process.diskRoom))
            case .replied(let connection, let generation):
                resume(machine, process, connection, generation)
            case .more(let connection, let generation):
                guard process.connections[connection]?.generation == generation else { continue }
                step(machine, process, .drained(ConnectionID(UInt32(connection))))
                resume(machine, process, connection, generation)
            case .clientGone(let connection):
                process.connections[connection] = nil
                step(machine, process, .closed(ConnectionID(UInt32(connection))))
            }
        }
        walk(machine, process)
    }

    func wake(_ machine: Machine, _ process: Process) {
        process.wakeAt = .max
        if let deadline = process.node.nextDeadline, deadline <= time {
            step(machine, process, .deadline)
        }
        walk(machine, process)
    }

    /// Walks the effects of a turn once, in order.
    func walk(_ machine: Machine, _ process: Process) {
        releaseHeld(machine, process)
        let entries = process.effects.entries
        for entry in entries {
            recordInDigest(machine, entry, process.effects.bytes)
            if entry.gated && plant != .acknowledgeBeforeSync {
                hold(machine, process, entry.effect, at: process.journal.lastPosition)
            } else {
                perform(machine, process, entry.effect)
            }
        }
        if let milliseconds = process.effects.syncWithinMilliseconds, plant != .intervalForgotten {
            let by = time + .nanoseconds(milliseconds: milliseconds)
            process.syncBy = min(process.syncBy ?? .max, by)
        }
        process.effects.removeAll()
        if process.node.hasEndings {
            process.node.endTurn(at: machine.now(time).monotonic)
        }
        endTurn(machine, process)
    }

    private func endTurn(_ machine: Machine, _ process: Process) {
        tendCheckpoint(machine, process)
        startJob(machine, process)
        process.node.disk.allowance = process.journal.allowance
        if process.journal.room != process.diskRoom {
            process.diskRoom = process.journal.room
            process.settlements.append(.diskRoom)
        }
        if !process.settlements.isEmpty { scheduleTurn(machine, process) }
        var next = process.node.nextDeadline ?? .max
        if process.job == nil {
            // What is due and has not started waits for something else.
            for due in [process.syncBy, process.retryAt] {
                if let due, due > time { next = min(next, due) }
            }
        }
        guard next < process.wakeAt else { return }
        process.wakeAt = max(next, time + 1)
        queue.insert(.wake(machine: machine.index, life: machine.life), at: process.wakeAt)
    }

    private func recordInDigest(
        _ machine: Machine, _ entry: Effects.Entry, _ bytes: borrowing ByteBuffer
    ) {
        var tag = time &* 31 &+ UInt64(machine.index) &* 7 &+ (entry.gated ? 1 : 0)
        switch entry.effect {
        case .reply(let connection, let range):
            tag = keyHash(bytes[range], key: tag ^ UInt64(connection.rawValue) << 8 ^ 1)
        case .close(let connection): tag ^= UInt64(connection.rawValue) << 8 ^ 2
        case .more(let connection): tag ^= UInt64(connection.rawValue) << 8 ^ 8
        case .send(let node, let range):
            tag = keyHash(bytes[range], key: tag ^ UInt64(node.rawValue) << 8 ^ 3)
            observeFrame(bytes[range])
        case .persist(let range):
            tag = keyHash(bytes[range], key: tag ^ 4)
            complain(history.observe(journalPayload: bytes[range]))
        case .append(let range):
            tag = keyHash(bytes[range], key: tag ^ 5)
            complain(history.observe(journalPayload: bytes[range]))
        case .notify(let token): tag ^= token << 8 ^ 6
        case .disconnect(let node): tag ^= UInt64(node.rawValue) << 8 ^ 7
        case .beginLife(let epoch): tag ^= epoch << 8 ^ 8
        }
        digest = finalMix(digest &+ tag)
        if transcript != nil { note("\(machine.node) \(describe(entry, bytes))") }
    }

    private func observeFrame(_ frame: UnsafeRawBufferPointer) {
        let payload = UnsafeRawBufferPointer(rebasing: frame[Frame.headerBytes...])
        // Replicated records, hints and what is handed off.
        let starts: [UInt8: Int] = [1: 10, 16: 20, 17: 10]
        guard payload.count > 20, let start = starts[payload[0]] else { return }
        complain(history.observe(record: UnsafeRawBufferPointer(rebasing: payload[start...])))
    }

    private func complain(_ problem: String?) {
        if let problem { violate(problem) }
    }

    private func perform(_ machine: Machine, _ process: Process, _ effect: Effect) {
        switch effect {
        case .reply(let connection, let range):
            reply(
                machine, process, Int(connection.rawValue), Array(process.effects.bytes[range]),
                effect)
        case .close(let connection): close(machine, process, Int(connection.rawValue), effect)
        case .more(let connection): more(machine, process, Int(connection.rawValue), effect)
        case .send(let node, let range):
            send(machine.index, Int(node.rawValue) - 1, Array(process.effects.bytes[range]))
        case .persist(let range):
            _ = process.journal.append(process.effects.bytes[range])
            process.isGating = true
        case .append(let range): _ = process.journal.append(process.effects.bytes[range])
        case .notify(let token): process.settlements.append(.reached(token))
        case .disconnect(let node): dropEnd(machine.index, Int(node.rawValue) - 1)
        case .beginLife(let epoch): beginLife(machine, above: epoch)
        }
    }

    /// The process ends and starts again, under an identity above the one that the cluster knows.
    private func beginLife(_ machine: Machine, above epoch: UInt64) {
        note("\(machine.node) begins a new life above \(epoch)")
        machine.epochAbove = max(machine.epochAbove, epoch)
        counters.rebirths += 1
        schedule(.rebirth(machine: machine.index, life: machine.life), after: 1_000_000)
    }

    private func reply(
        _ machine: Machine, _ process: Process, _ index: Int, _ bytes: [UInt8], _ effect: Effect
    ) {
        guard let connection = process.connections[index], !connection.isGone else { return }
        guard connection.heldCount == 0 else {
            let position = process.holds.last?.position ?? 0
            return hold(machine, process, effect, at: position)
        }
        deliver(machine, process, index, bytes)
    }

    private func deliver(
        _ machine: Machine, _ process: Process, _ index: Int, _ bytes: [UInt8]
    ) {
        guard let connection = process.connections[index] else { return }
        sendToClient(connection.client, connection.generation, bytes)
        if connection.isStalled {
            process.settlements.append(
                .replied(connection: index, generation: connection.generation))
        }
    }

    private func close(
        _ machine: Machine, _ process: Process, _ index: Int, _ effect: Effect
    ) {
        guard let connection = process.connections[index], !connection.isGone else { return }
        guard connection.heldCount == 0 else {
            let position = process.holds.last?.position ?? 0
            return hold(machine, process, effect, at: position)
        }
        dropConnection(machine, process, index)
    }

    private func more(
        _ machine: Machine, _ process: Process, _ index: Int, _ effect: Effect
    ) {
        guard let connection = process.connections[index], !connection.isGone else { return }
        guard connection.heldCount == 0 else {
            let position = process.holds.last?.position ?? 0
            return hold(machine, process, effect, at: position)
        }
        process.settlements.append(
            .more(connection: index, generation: connection.generation))
    }

    func dropConnection(_ machine: Machine, _ process: Process, _ index: Int) {
        guard let connection = process.connections[index], !connection.isGone else { return }
        process.connections[index]?.isGone = true
        process.settlements.append(.clientGone(index))
        hangUp(connection.client, connection.generation)
    }
}

// Gated effects.
extension World {
    private func hold(
        _ machine: Machine, _ process: Process, _ effect: Effect, at position: UInt64
    ) {
        precondition(process.holds.last.map { $0.position <= position } ?? true, "in order")
        func keep(_ held: Process.Held) { process.holds.append((position, held)) }
        switch effect {
        case .reply(let connection, let range):
            let index = Int(connection.rawValue)
            guard let open = process.connections[index], !open.isGone else { return }
            process.connections[index]?.heldCount += 1
            let bytes = Array(process.effects.bytes[range])
            keep(.reply(connection: index, generation: open.generation, bytes))
        case .close(let connection):
            let index = Int(connection.rawValue)
            guard let open = process.connections[index], !open.isGone else { return }
            process.connections[index]?.heldCount += 1
            keep(.close(connection: index, generation: open.generation))
        case .more(let connection):
            let index = Int(connection.rawValue)
            guard let open = process.connections[index], !open.isGone else { return }
            process.connections[index]?.heldCount += 1
            keep(.more(connection: index, generation: open.generation))
        case .send(let node, let range):
            let other = Int(node.rawValue) - 1
            guard network.end(machine.index, other).isOpen else { return }
            let generation = network.end(machine.index, other).generation
            let bytes = Array(process.effects.bytes[range])
            keep(.send(to: other, generation: generation, bytes))
        case .disconnect(let node):
            let other = Int(node.rawValue) - 1
            let generation = network.end(machine.index, other).generation
            keep(.disconnect(from: other, generation: generation))
        case .notify(let token): keep(.notify(token))
        case .beginLife(let epoch): keep(.beginLife(above: epoch))
        case .persist, .append: perform(machine, process, effect)
        }
    }

    /// Lets go of everything whose records are durable.
    func releaseHeld(_ machine: Machine, _ process: Process) {
        var released = 0
        let durable = process.journal.durablePosition
        while released < process.holds.count, process.holds[released].position <= durable {
            release(machine, process, process.holds[released].held)
            released += 1
        }
        process.holds.removeFirst(released)
    }

    private func release(_ machine: Machine, _ process: Process, _ held: Process.Held) {
        switch held {
        case .reply(let index, let generation, let bytes):
            guard process.connections[index]?.generation == generation,
                process.connections[index]?.isGone == false
            else { return }
            process.connections[index]?.heldCount -= 1
            deliver(machine, process, index, bytes)
        case .close(let index, let generation):
            guard process.connections[index]?.generation == generation else { return }
            process.connections[index]?.heldCount -= 1
            dropConnection(machine, process, index)
        case .more(let index, let generation):
            guard process.connections[index]?.generation == generation else { return }
            process.connections[index]?.heldCount -= 1
            process.settlements.append(.more(connection: index, generation: generation))
        case .send(let other, let generation, let bytes):
            if network.end(machine.index, other).generation == generation {
                send(machine.index, other, bytes)
            }
        case .disconnect(let other, let generation):
            if network.end(machine.index, other).generation == generation {
                dropEnd(machine.index, other)
            }
        case .notify(let token): process.settlements.append(.reached(token))
        case .beginLife(let epoch): beginLife(machine, above: epoch)
        }
    }
}
