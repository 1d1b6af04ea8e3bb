import Base
import Coding
import Membership
import Testing

/// A cluster in virtual time: loss, delay, cuts, pauses and slow nodes, all drawn from one seed.
///
/// Node numbers are indices plus one.
struct Network {
    private enum Event {
        case wake(Int)
        case deliver(MembershipMessage, from: Int, to: Int)
        case resume(Int)
    }

    private struct Entry {
        let time: UInt64
        let sequence: UInt64
        let event: Event

        func precedes(_ other: Entry) -> Bool {
            time == other.time ? sequence < other.sequence : time < other.time
        }
    }

    struct Machine {
        var membership: Membership
        var isUp = true
        var isPaused = false
        /// What arrived while it was paused.
        var inbox: [(MembershipMessage, from: Int)] = []
        var wakeAt: UInt64?
        /// Milliseconds that each message waits before it is looked at.
        var slowness = 0
    }

    let configuration: MembershipConfiguration
    var random: PRNG
    var machines: [Machine] = []
    var lossPerMille = 0
    /// Milliseconds on the way, at most.
    var delayMax = 10
    /// Whether messages do not pass.
    var isCut: (_ from: Int, _ to: Int) -> Bool = { _, _ in false }
    /// Whether each message goes through its bytes.
    var encodes = true
    /// Nanoseconds.
    private(set) var now: UInt64 = 0
    private(set) var messages = 0
    private(set) var bytes = 0
    private(set) var longestMessage = 0
    /// Healthy nodes that somebody declared dead.
    private(set) var falseDeaths = 0
    private(set) var falseSuspicions = 0
    private(set) var effects: [(at: Int, MembershipEffect)] = []
    /// For large runs: what happened is counted, not kept.
    var keepsEffects = true

    private var heap: [Entry] = []
    private var nextSequence: UInt64 = 0
    /// What each machine was told of each: `beliefs[observer][subject]`.
    private var beliefs: [[MemberState?]] = []
    /// What is true of each.
    private var truth: [MemberState] = []
    /// Pairs of a running observer and a subject that it is wrong about.
    private(set) var errors = 0

    init(seed: UInt64, _ configuration: MembershipConfiguration = MembershipConfiguration()) {
        random = PRNG(seed: seed)
        self.configuration = configuration
    }

    var instant: Instant { Instant(monotonic: now, wallMilliseconds: now / 1_000_000) }
    var seconds: Double { Double(now) / 1e9 }
    var isAgreed: Bool { errors == 0 }

    subscript(node: Int) -> Membership { machines[node - 1].membership }
}

// Machines
extension Network {
    /// Starts one more node.
    @discardableResult
    mutating func add(seeds: [Int] = [1], epoch: UInt64 = 1) -> Int {
        let number = machines.count + 1
        machines.append(Machine(membership: birth(number, epoch: epoch)))
        for observer in beliefs.indices { beliefs[observer].append(nil) }
        beliefs.append(Array(repeating: nil, count: number))
        truth.append(.alive)
        beliefs[number - 1][number - 1] = .alive
        recount()
        join(number, seeds: seeds)
        return number
    }

    private mutating func birth(_ number: Int, epoch: UInt64) -> Membership {
        Membership(
            identity: ReplicaIdentity(node: NodeID(UInt16(number)), epoch: epoch), configuration,
            random: random.split(), now: instant)
    }

    /// A new process under the same number.
    mutating func restart(_ number: Int, epoch: UInt64, seeds: [Int]) {
        machines[number - 1] = Machine(membership: birth(number, epoch: epoch))
        beliefs[number - 1] = Array(repeating: nil, count: machines.count)
        beliefs[number - 1][number - 1] = .alive
        truth[number - 1] = .alive
        recount()
        join(number, seeds: seeds)
    }

    private mutating func join(_ number: Int, seeds: [Int]) {
        step(.join(seeds: seeds.map { NodeID(UInt16($0)) }), at: number)
    }

    mutating func kill(_ number: Int) {
        machines[number - 1].isUp = false
        expect(.dead, of: number)
    }

    /// What all should come to believe.
    mutating func expect(_ state: MemberState, of number: Int) {
        truth[number - 1] = state
        recount()
    }

    mutating func pause(_ number: Int, seconds: Double) {
        machines[number - 1].isPaused = true
        insert(.resume(number), after: UInt64(seconds * 1e9))
    }

    private mutating func recount() {
        errors = 0
        for (observer, beliefs) in beliefs.enumerated() where machines[observer].isUp {
            for (subject, belief) in beliefs.enumerated() where isWrong(belief, of: subject) {
                errors += 1
            }
        }
    }

    private func isWrong(_ belief: MemberState?, of subject: Int) -> Bool {
        let state = truth[subject]
        return state.isReachable ? belief?.isReachable != true : belief != state
    }
}

// Time
extension Network {
    mutating func run(seconds: Double) { run(until: now + UInt64(seconds * 1e9)) { _ in false } }

    /// - Returns: seconds until the condition held; nil when it did not within the limit.
    mutating func run(limit: Double, until isOver: (borrowing Network) -> Bool) -> Double? {
        let begin = now
        run(until: now + UInt64(limit * 1e9), isOver)
        return isOver(self) ? Double(now - begin) / 1e9 : nil
    }

    private mutating func run(until end: UInt64, _ isOver: (borrowing Network) -> Bool) {
        while !isOver(self) {
            guard let next = heap.first, next.time <= end else {
                now = end
                return
            }
            removeFirst()
            now = next.time
            handle(next.event)
        }
    }

    private mutating func handle(_ event: Event) {
        switch event {
        case .wake(let number):
            guard machines[number - 1].wakeAt == now, !machines[number - 1].isPaused else { return }
            machines[number - 1].wakeAt = nil
            step(.tick, at: number)
        case .deliver(let message, let from, let number):
            guard !machines[number - 1].isPaused else {
                machines[number - 1].inbox.append((message, from))
                return
            }
            step(.received(message, from: NodeID(UInt16(from))), at: number)
        case .resume(let number):
            machines[number - 1].isPaused = false
            let inbox = machines[number - 1].inbox
            machines[number - 1].inbox = []
            for (message, from) in inbox {
                step(.received(message, from: NodeID(UInt16(from))), at: number)
            }
            step(.tick, at: number)
        }
    }

    mutating func step(_ input: MembershipInput, at number: Int) {
        guard machines[number - 1].isUp else { return }
        var effects: [MembershipEffect] = []
        machines[number - 1].membership.step(input, now: instant, into: &effects)
        for effect in effects { carryOut(effect, of: number) }
        guard let deadline = machines[number - 1].membership.nextDeadline,
            deadline != machines[number - 1].wakeAt
        else { return }
        machines[number - 1].wakeAt = max(deadline, now)
        insert(.wake(number), after: max(deadline, now) - now)
    }

    private mutating func carryOut(_ effect: MembershipEffect, of number: Int) {
        if case .send(let node, let message) = effect {
            return send(message, from: number, to: Int(node.rawValue))
        }
        if keepsEffects { effects.append((number, effect)) }
        if case .memberChanged(let identity, let state) = effect {
            note(state, of: identity, at: number)
        }
    }

    private mutating func note(
        _ state: MemberState, of identity: ReplicaIdentity, at observer: Int
    ) {
        let subject = Int(identity.node.rawValue)
        guard subject <= machines.count else { return }
        let before = beliefs[observer - 1][subject - 1]
        beliefs[observer - 1][subject - 1] = state
        errors +=
            (isWrong(state, of: subject - 1) ? 1 : 0)
            - (isWrong(before, of: subject - 1) ? 1 : 0)
        let machine = machines[subject - 1]
        let isHealthy =
            truth[subject - 1] == .alive && !machine.isPaused && machine.slowness == 0
            && machine.membership.identity == identity && !isCut(subject, observer)
        if isHealthy, state == .dead { falseDeaths += 1 }
        if isHealthy, state == .suspect { falseSuspicions += 1 }
    }

    private mutating func send(_ message: MembershipMessage, from: Int, to: Int) {
        let count = message.encodedBytes
        messages += 1
        bytes += count
        longestMessage = max(longestMessage, count)
        guard to <= machines.count, !isCut(from, to), !random.chance(perMille: lossPerMille) else {
            return
        }
        let delay = 1 + random.below(delayMax) + machines[to - 1].slowness
        insert(
            .deliver(encodes ? recoded(message) : message, from: from, to: to),
            after: UInt64(delay) * 1_000_000)
    }

    /// The message as its receiver reads it.
    private func recoded(_ message: MembershipMessage) -> MembershipMessage {
        var buffer = ByteBuffer(capacity: 256)
        message.encode(into: &buffer)
        #expect(buffer.count == message.encodedBytes)
        guard let decoded = try? MembershipMessage(decoding: buffer.bytes) else {
            Issue.record("a message that was sent cannot be read")
            return message
        }
        return decoded
    }
}

// Events by time, then by the order in which they came.
extension Network {
    private mutating func insert(_ event: Event, after delay: UInt64) {
        heap.append(Entry(time: now + delay, sequence: nextSequence, event: event))
        nextSequence += 1
        var child = heap.count - 1
        while child > 0, heap[child].precedes(heap[(child - 1) / 2]) {
            heap.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    private mutating func removeFirst() {
        heap[0] = heap[heap.count - 1]
        heap.removeLast()
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2]
            where child < heap.count && heap[child].precedes(heap[least]) { least = child }
            guard least != parent else { return }
            heap.swapAt(parent, least)
            parent = least
        }
    }
}
