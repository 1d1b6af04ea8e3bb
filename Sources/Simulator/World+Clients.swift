import Base
import Replication

// The way between clients and nodes.
extension World {
    private static let patience: UInt64 = 4_000_000_000
    /// Changes of keyspaces wait for nodes twice, 5 s each.
    private static let operatorPatience: UInt64 = 11_000_000_000

    func clientTurn(_ index: Int) {
        clients[index].isTurnDue = false
        guard clients[index].generation != 0 else { return connect(index) }
        if clients[index].deafUntil > time { return }
        while clients[index].outstanding.count < clients[index].depth, makeRequest(index) {
            // Until the pipeline is full.
        }
    }

    func scheduleClient(_ index: Int, after delay: UInt64) {
        guard !clients[index].isTurnDue else { return }
        clients[index].isTurnDue = true
        schedule(.clientTurn(client: index), after: delay)
    }

    private func connect(_ index: Int) {
        let drawn = clients[index].random.below(machines.count)
        let machine = machines[clients[index].home ?? drawn]
        guard let process = machine.process, machine.pausedUntil <= time else {
            return scheduleClient(index, after: 20_000_000)
        }
        let slot = process.connections.firstIndex { $0 == nil } ?? process.connections.count
        if slot == process.connections.count { process.connections.append(nil) }
        let generation = network.nextGeneration
        network.nextGeneration += 1
        clients[index].machine = machine.index
        clients[index].generation = generation
        clients[index].connection = slot
        clients[index].received = []
        process.connections[slot] = Process.Connection(client: index, generation: generation)
        step(machine, process, .opened(ConnectionID(UInt32(slot))))
        finishStep(machine, process)
        beginSession(index)
        clientTurn(index)
    }

    /// Sends a request in pieces of any size.
    func transmit(_ index: Int, _ request: Client.Request, _ command: [[UInt8]]) {
        var bytes = Array("*\(command.count)\r\n".utf8)
        for argument in command {
            bytes += Array("$\(argument.count)\r\n".utf8) + argument + [13, 10]
        }
        let asked = machines[clients[index].machine].node
        note("client \(index) asks \(asked): \(World.text(command))")
        clients[index].outstanding.append(request)
        let generation = clients[index].generation
        var rest = bytes[...]
        while !rest.isEmpty {
            let isWhole = clients[index].random.below(3) > 0
            let count = isWhole ? rest.count : 1 + clients[index].random.below(rest.count)
            let delay = 100_000 + UInt64(clients[index].random.below(2_000_000))
            let arrival = max(time + delay, clients[index].lastArrivalAtNode + 1)
            clients[index].lastArrivalAtNode = arrival
            let piece = Array(rest.prefix(count))
            queue.insert(.toNode(client: index, generation: generation, piece), at: arrival)
            rest = rest.dropFirst(count)
        }
        schedule(
            .clientPatience(client: index, generation: generation, request: request.number),
            after: index == operatorIndex ? World.operatorPatience : World.patience)
    }

    func takeFromClient(_ index: Int, _ generation: Int, _ bytes: [UInt8]) {
        guard clients[index].generation == generation,
            let process = machines[clients[index].machine].process
        else { return }
        let slot = clients[index].connection
        guard process.connections[slot]?.generation == generation,
            process.connections[slot]?.isGone == false
        else { return }
        process.connections[slot]?.unread += bytes
        guard process.connections[slot]?.isStalled == false else { return }
        offer(machines[clients[index].machine], process, slot)
        finishStep(machines[clients[index].machine], process)
    }

    /// Offers a connection's unread bytes.
    private func offer(_ machine: Machine, _ process: Process, _ slot: Int) {
        guard let unread = process.connections[slot]?.unread, !unread.isEmpty else { return }
        unread.withUnsafeBytes {
            step(machine, process, .received(ConnectionID(UInt32(slot)), $0))
        }
        process.connections[slot]?.unread.removeFirst(process.effects.consumed)
        process.connections[slot]?.isStalled = process.effects.stalled
        if process.effects.stalled { counters.stalled += 1 }
        if process.effects.isOutOfTurn, let generation = process.connections[slot]?.generation {
            process.settlements.append(.replied(connection: slot, generation: generation))
            // A turn ends when time goes on.
            scheduleTurn(machine, process, after: 1_000)
        }
    }

    /// A stalled connection got a reply: its bytes are offered again.
    func resume(_ machine: Machine, _ process: Process, _ slot: Int, _ generation: Int) {
        guard slot < process.connections.count, let connection = process.connections[slot],
            connection.generation == generation, !connection.isGone, connection.isStalled
        else { return }
        process.connections[slot]?.isStalled = false
        offer(machine, process, slot)
    }

    func sendToClient(_ index: Int, _ generation: Int, _ bytes: [UInt8]) {
        guard clients[index].generation == generation else { return }
        let delay = 100_000 + UInt64(clients[index].random.below(2_000_000))
        let arrival = max(time + delay, clients[index].lastArrival + 1)
        clients[index].lastArrival = arrival
        queue.insert(.toClient(client: index, generation: generation, bytes), at: arrival)
    }

    func hangUp(_ index: Int, _ generation: Int) {
        let arrival = max(time + 100_000, clients[index].lastArrival + 1)
        clients[index].lastArrival = arrival
        queue.insert(.hungUp(client: index, generation: generation), at: arrival)
    }

    /// What was asked and not answered has an unknown outcome.
    func disconnected(_ index: Int) {
        let unanswered = clients[index].outstanding
        clients[index].outstanding = []
        clients[index].generation = 0
        clients[index].session = nil
        clients[index].isInSession = false
        for request in unanswered {
            if case .administration(let change) = request.answer {
                settle(change, .unknown)
            } else {
                for operation in request.operations { settle(operation, .unknown) }
            }
            if isLive { violate("a request was cut off although everything is healed") }
        }
        scheduleClient(index, after: 5_000_000)
    }

    /// Closes a client's connection from its side.
    func breakConnection(_ index: Int) {
        let generation = clients[index].generation
        guard generation != 0 else { return }
        let machine = machines[clients[index].machine]
        if let process = machine.process {
            let slot = clients[index].connection
            if process.connections[slot]?.generation == generation,
                process.connections[slot]?.isGone == false
            {
                process.connections[slot]?.isGone = true
                process.settlements.append(.clientGone(slot))
                scheduleTurn(machine, process)
            }
        }
        disconnected(index)
    }

    func losePatience(_ index: Int, _ generation: Int, _ number: Int) {
        guard clients[index].generation == generation,
            clients[index].outstanding.contains(where: { $0.number == number })
        else { return }
        let isAllUp = machines.allSatisfy { $0.process != nil && $0.pausedUntil <= time }
        if isLive || isAllUp && isCalm {
            violate("client \(index) was not answered within 4 s")
        }
        breakConnection(index)
    }

    func takeReply(_ index: Int, _ generation: Int, _ bytes: [UInt8]) {
        guard clients[index].generation == generation else { return }
        clients[index].received += bytes
        var position = 0
        do throws(MalformedReply) {
            while clients[index].generation == generation,
                let reply = try RedisReply.next(in: clients[index].received, &position)
            {
                guard !clients[index].outstanding.isEmpty else {
                    return violate("client \(index) got a reply to nothing")
                }
                let request = clients[index].outstanding.removeFirst()
                note("client \(index) is told \(World.text(reply))")
                settle(request, reply, index)
            }
        } catch { return violate("client \(index) got bytes that are not RESP") }
        guard clients[index].generation == generation else { return }
        clients[index].received.removeFirst(position)
        let pause = clients[index].random.chance(perMille: 100) ? 100_000_000 : 5_000_000
        scheduleClient(index, after: UInt64(clients[index].random.below(pause)))
    }

    static func text(_ command: [[UInt8]]) -> String {
        command.map { String(decoding: $0.prefix(40), as: UTF8.self) }.joined(separator: " ")
    }

    static func text(_ reply: RedisReply) -> String {
        switch reply {
        case .simple(let text): "+\(text)"
        case .error(let text): "-\(text)"
        case .integer(let value): ":\(value)"
        case .bulk(let bytes): String(decoding: bytes.prefix(24), as: UTF8.self)
        case .null: "nothing"
        case .array(let elements): "[\(elements.map { text($0) }.joined(separator: ", "))]"
        }
    }
}
