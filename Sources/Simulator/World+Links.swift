import Base
import Coding
import Replication

/// The links of a cluster, direction by direction.
struct Network {
    /// One direction between two nodes.
    struct Wire {
        /// Nothing passes. TCP tries again until it heals or the link is given up.
        var isCut = false
        var parked: [Event] = []
        var lastArrival: UInt64 = 0
    }

    /// What one node has of the link to another.
    struct End {
        /// Which link: 0 for none.
        var generation = 0
        /// The handshake ended well.
        var isOpen = false
        /// Until then.
        var handshake: Handshake?
    }

    let count: Int
    var random: PRNG
    private var wires: [Wire]
    private var ends: [End]
    var nextGeneration = 1
    /// Kinds of messages that are lost wherever they go, in a scenario.
    var lostKinds: [UInt8] = []

    init(count: Int, random: PRNG) {
        self.count = count
        self.random = random
        wires = Array(repeating: Wire(), count: count * count)
        ends = Array(repeating: End(), count: count * count)
    }

    func end(_ at: Int, _ other: Int) -> End { ends[at * count + other] }
    mutating func setEnd(_ at: Int, _ other: Int, _ end: End) { ends[at * count + other] = end }

    subscript(from: Int, to: Int) -> Wire {
        get { wires[from * count + to] }
        _modify { yield &wires[from * count + to] }
    }
}

// Links: the node with the higher number calls; `Server+Handshake` and `Server+Links` in virtual
// time.
extension World {
    private static let handshakeNanoseconds: UInt64 = 500_000_000

    // MARK: Bytes on their way

    /// Queues a framed message; without a link it is lost, as the node was told.
    func send(_ from: Int, _ to: Int, _ frame: [UInt8]) {
        let end = network.end(from, to)
        let kind = frame.count > Frame.headerBytes ? frame[Frame.headerBytes] : 0
        guard end.isOpen, !network.lostKinds.contains(kind) else { return }
        let event = Event.frame(from: from, to: to, generation: end.generation, frame)
        guard plan.isDatagram, phase == .safety else { return carry(event, from, to) }
        if network[from, to].isCut || network.random.chance(perMille: plan.dropPerMille) { return }
        schedule(event, after: delay())
        // A command that arrives twice would run twice: whatever carries frames must not double
        // these.
        let isCommand = kind == 5 || kind == 22
        if !isCommand, network.random.chance(perMille: plan.duplicatePerMille) {
            schedule(event, after: delay())
        }
    }

    /// In order, and after a cut has healed.
    private func carry(_ event: Event, _ from: Int, _ to: Int) {
        guard !network[from, to].isCut else { return network[from, to].parked.append(event) }
        let arrival = max(time + delay(), network[from, to].lastArrival + 1)
        network[from, to].lastArrival = arrival
        queue.insert(event, at: arrival)
    }

    func delay() -> UInt64 {
        var delay = plan.delayMin + UInt64(network.random.below(Int(plan.delaySpread)))
        if phase == .safety, network.random.chance(perMille: plan.delayTailPerMille) { delay *= 20 }
        return delay
    }

    func takeFrame(_ from: Int, _ to: Int, _ generation: Int, _ bytes: [UInt8]) {
        let end = network.end(to, from)
        guard end.generation == generation, end.isOpen, let process = machines[to].process
        else { return }
        let machine = machines[to]
        bytes.withUnsafeBytes { stream in
            do throws(DecodeError) {
                guard let frame = try Frame.next(in: stream, payloadMax: 1 << 20) else { return }
                step(machine, process, .message(machines[from].node, frame.payload))
            } catch { violate("\(machines[from].node) sent a broken frame: \(error)") }
        }
        finishStep(machine, process)
    }

    // MARK: Handshakes

    func call(_ from: Int, _ to: Int) {
        guard let process = machines[from].process, network.end(from, to).generation == 0
        else { return }
        let generation = network.nextGeneration
        network.nextGeneration += 1
        var said = ByteBuffer(capacity: 128)
        let handshake = process.node.greet(
            machines[to].node, nonce: World.nonce(generation, 0), into: &said)
        network.setEnd(from, to, .init(generation: generation, handshake: handshake))
        say(from, to, generation, opens: true, said)
        schedule(
            .greetingOver(at: from, from: to, generation: generation),
            after: World.handshakeNanoseconds)
    }

    /// One for each handshake and side, without a draw that would shift others.
    private static func nonce(_ generation: Int, _ side: UInt64) -> Nonce {
        var random = PRNG(seed: UInt64(generation) << 1 | side)
        return Nonce(from: &random)
    }

    private func say(
        _ from: Int, _ to: Int, _ generation: Int, opens: Bool, _ said: borrowing ByteBuffer
    ) {
        guard said.count > 0 else { return }
        let event = Event.greeting(
            from: from, to: to, generation: generation, opens: opens, Array(said.bytes))
        carry(event, from, to)
    }

    func takeGreeting(
        _ way: (from: Int, to: Int), _ generation: Int, opens: Bool, _ bytes: [UInt8]
    ) {
        let machine = machines[way.to]
        guard let process = machine.process else {
            return loseLater(way.from, way.to, generation)
        }
        // A link that is known to be broken must not stand in the way of its successor.
        if !process.settlements.isEmpty { turn(machine, process) }
        if opens, network.end(way.to, way.from).generation == 0 {
            let handshake = Handshake(nonce: World.nonce(generation, 1))
            network.setEnd(
                way.to, way.from, .init(generation: generation, handshake: handshake))
        }
        let end = network.end(way.to, way.from)
        guard end.generation == generation, !end.isOpen, let handshake = end.handshake else {
            counters.linksRefused += 1
            return loseLater(way.from, way.to, generation)
        }
        bytes.withUnsafeBytes { follow(handshake, way, generation, process, $0) }
    }

    private func follow(
        _ handshake: Handshake, _ way: (from: Int, to: Int), _ generation: Int,
        _ process: Process, _ bytes: UnsafeRawBufferPointer
    ) {
        let machine = machines[way.to]
        var handshake = handshake
        var offset = 0
        while offset < bytes.count {
            var said = ByteBuffer(capacity: 256)
            let rest = UnsafeRawBufferPointer(rebasing: bytes[offset...])
            var outcome = process.node.advance(&handshake, rest, into: &said)
            if case .proven(_, let consumed) = outcome {
                offset += consumed
                outcome = process.node.conclude(handshake, isTaken: false, into: &said)
            }
            say(way.to, way.from, generation, opens: false, said)
            network.setEnd(
                way.to, way.from, .init(generation: generation, handshake: handshake))
            switch outcome {
            case .goesOn(let consumed): offset += consumed
            case .linked(let identity, let consumed):
                offset += consumed
                network.setEnd(way.to, way.from, .init(generation: generation, isOpen: true))
                note("\(machine.node) links \(identity)")
                step(machine, process, .linked(identity.node, identity))
                finishStep(machine, process)
                guard offset == bytes.count else { return violate("bytes behind a verdict") }
            case .refused(let refusal, let isProven):
                return refuse(refusal, handshake, way, process, isProven: isProven)
            case .waits, .proven, .malformed:
                return violate("\(machine.node) cannot follow a handshake: \(outcome)")
            }
        }
    }

    private func refuse(
        _ refusal: LinkRefusal, _ handshake: Handshake, _ way: (from: Int, to: Int),
        _ process: Process, isProven: Bool
    ) {
        let machine = machines[way.to]
        note("\(machine.node) refuses \(machines[way.from].node): \(refusal.text)")
        counters.linksRefused += 1
        dropEnd(way.to, way.from)
        guard isProven, let hello = handshake.greeting else {
            return violate("\(machine.node) was given no proof: \(refusal.text)")
        }
        step(
            machine, process,
            .told(by: hello.identity.node, hello.standing, of: hello.sender))
        finishStep(machine, process)
    }

    // MARK: Breaking

    /// Ends one end of a link; the other finds out later, or not before its own silence ends it.
    func dropEnd(_ at: Int, _ other: Int) {
        let end = network.end(at, other)
        guard end.generation != 0 else { return }
        network.setEnd(at, other, .init())
        network[at, other].parked.removeAll()
        if let process = machines[at].process {
            if end.isOpen {
                process.settlements.append(.linkGone(other))
                scheduleTurn(machines[at], process)
            }
            if at > other { callAgain(at, other) }
        }
        loseLater(other, at, end.generation)
    }

    private func callAgain(_ at: Int, _ other: Int) {
        schedule(
            .call(from: at, to: other),
            after: .nanoseconds(milliseconds: 20 + UInt64(network.random.below(200))))
    }

    private func loseLater(_ at: Int, _ from: Int, _ generation: Int) {
        let isSilent = network[from, at].isCut || network[at, from].isCut
        let milliseconds =
            isSilent ? 200 + network.random.below(2_000) : 1 + network.random.below(30)
        schedule(
            .linkLost(at: at, from: from, generation: generation),
            after: .nanoseconds(milliseconds: UInt64(milliseconds)))
    }

    /// A machine went down: its links are gone, and the others find out.
    func loseMachine(_ machine: Machine, _ other: Machine, _ isPowerCut: Bool) {
        let (at, from) = (other.index, machine.index)
        network.setEnd(from, at, .init())
        network[from, at].parked.removeAll()
        let generation = network.end(at, from).generation
        guard generation != 0 else { return }
        let milliseconds =
            isPowerCut ? 50 + network.random.below(1_500) : 1 + network.random.below(20)
        schedule(
            .linkLost(at: at, from: from, generation: generation),
            after: .nanoseconds(milliseconds: UInt64(milliseconds)))
    }

    func cut(_ from: Int, _ to: Int) {
        network[from, to].isCut = true
        for (at, other) in [(from, to), (to, from)] {
            let generation = network.end(at, other).generation
            guard generation != 0, network.random.chance(perMille: 700) else { continue }
            schedule(
                .linkLost(at: at, from: other, generation: generation),
                after: .nanoseconds(milliseconds: 100 + UInt64(network.random.below(3_000))))
        }
    }

    func mend(_ from: Int, _ to: Int) {
        network[from, to].isCut = false
        let parked = network[from, to].parked
        network[from, to].parked.removeAll()
        for event in parked { carry(event, from, to) }
    }
}
