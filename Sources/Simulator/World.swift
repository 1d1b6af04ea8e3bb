import Base
import Coding
import Replication

/// One simulated cluster with its clients, its network and its misfortunes, all of it drawn from
/// one seed.
///
/// Every node is the `Node` that ships, and every disk runs the `Journal` and `Recovery` that ship;
/// only their interpreter is another one than `Server`: virtual time, a network of rules, a disk
/// that loses and tears. What it owes the node (`Node`, "What the driver owes the node") it keeps
/// as `Server` does, and a planted bug is one way of not keeping it (`bench/planted.sh` counts the
/// seeds that each takes).
///
/// A run has phases: `safety` with faults; `healing`, in which everything comes back; then requests
/// that must all succeed, with reads at R = ALL in between, after which all replicas must hold the
/// same bytes.
///
/// Determinism: one event at a time by (time, order of insertion); each part draws from a generator
/// of its own; nothing iterates over a hash table. `digest` covers every input and every effect.
///
/// Invariant: a machine's events of an earlier life are dropped.
///
/// Reading order: `Plan`, this file, `World+Interpreter`, `World+Disk`, `World+Links`,
/// `World+Clients`, `World+Sessions`, `World+Typed`, `World+Faults`, `World+Administration`,
/// `History`, `History+Checks`, `History+Sessions`, `History+Typed`, `History+Administration`.
final class World {
    let seed: UInt64
    let plan: Plan
    let plant: PlantedBug?
    let everyMember: [ClusterMember]
    /// How many of the machines, the first ones, are members.
    var memberCount: Int
    var time: UInt64 = 0
    var queue = EventQueue()
    var machines: [Machine] = []
    var network: Network
    var clients: [Client] = []
    var history: History
    var phase = Phase.safety
    var faultRandom: PRNG
    var administrationRandom: PRNG
    var shiftRandom: PRNG
    /// What the operator takes for dropped, by index.
    var droppedKeyspaces: Set<Int> = []
    /// Session tokens that clients hand to each other.
    var tokens: [HandedToken] = []
    /// Counters of processes that are gone.
    var counted = NodeCounters()
    var counters = WorldCounters()
    var digest: UInt64 = 0
    /// The first promise that was found broken.
    var violation: String?
    /// Lines for a reader, kept only when a run is repeated to explain it.
    var transcript: [String]?
    var repairsBefore = 0
    var hintWaits = 0
    var hasWaitedForLife = false
    /// Requests with an id, of which some are sent again.
    var repeats = Repeats()
    /// A disk was lost with hints on it.
    var areHintsLost = false
    /// From when on what is acknowledged is lost when all disks are put back.
    var rolledBackFrom: UInt64 = 0

    /// Requests with an id, by operation of the history.
    struct Repeats {
        var requests: [Int: (answer: Client.Request.Answer, command: [[UInt8]])] = [:]
        /// The operations, as they began.
        var order: [Int] = []
        var sentAgain: Set<Int> = []
    }

    /// A run that needs more than this does not come to an end.
    private static let eventsMax = 2_000_000

    /// - Parameter plan: what the seed says, or a scenario instead.
    init(seed: UInt64, plan: Plan, plant: PlantedBug? = nil, explains: Bool = false) {
        self.seed = seed
        self.plant = plant
        var random = PRNG(seed: seed ^ 0x51_4D_55_4C)
        self.plan = plan
        memberCount = plan.membersAtFirst ?? plan.nodes
        everyMember = (0..<plan.nodes).map {
            ClusterMember(
                member: .init(NodeID(UInt16($0 + 1))), host: "10.0.0.\($0 + 1)", clientPort: 6379,
                linkPort: 7379)
        }
        network = Network(count: plan.nodes, random: random.split())
        faultRandom = random.split()
        administrationRandom = PRNG(seed: seed ^ 0x4F_50)
        shiftRandom = PRNG(seed: seed ^ 0x53_48)
        history = History(plan, members: everyMember.prefix(memberCount).map(\.member))
        let unmade = plan.keyspaces.indices.filter { !plan.keyspaces[$0].isConfigured }
        droppedKeyspaces = Set(unmade)
        transcript = explains ? [] : nil
        for index in 0..<plan.nodes {
            machines.append(Machine(index: index, skewMax: plan.skewMax, random: &random))
        }
        for index in 0..<plan.clients {
            clients.append(Client(index: index, random: random.split(), plan.requestsPerClient))
            if index == operatorIndex { clients[index].remaining = 0 }
            clients[index].usesSessions = index < plan.sessionClients && index != operatorIndex
        }
    }

    /// Runs to the end or to the first violation.
    func run() {
        begin()
        scheduleFaults()
        queue.insert(.phase(.healing), at: plan.safetyNanoseconds)
        var events = 0
        while phase != .end, violation == nil, takeEvent() {
            events += 1
            if events > World.eventsMax { violate("no end after \(events) events") }
        }
        for machine in machines {
            if let process = machine.process { counted.add(process.node.counters) }
        }
    }

    /// Starts everybody.
    func begin() {
        for machine in machines { schedule(.start(machine: machine.index), after: 0) }
        for client in clients { schedule(.clientTurn(client: client.index), after: 300_000_000) }
    }

    /// Lets the next thing happen.
    ///
    /// - Returns: false when nothing will ever happen again.
    func takeEvent() -> Bool {
        guard let next = queue.removeFirst() else { return false }
        time = next.time
        if let end = standstill(of: next.event), end > time {
            queue.postpone(next, to: end)
        } else {
            handle(next.event)
        }
        return true
    }

    func schedule(_ event: Event, after delay: UInt64) { queue.insert(event, at: time + delay) }

    /// Keeps the first violation.
    func violate(_ text: @autoclosure () -> String) {
        guard violation == nil else { return }
        violation = text()
        note("VIOLATION \(violation ?? "")")
    }

    func note(_ text: @autoclosure () -> String) {
        guard transcript != nil else { return }
        let microseconds = time / 1_000
        let fraction = "\(1_000 + microseconds % 1_000)".dropFirst()
        transcript?.append("\(microseconds / 1_000).\(fraction) ms  \(text())")
    }

    private func handle(_ event: Event) {
        switch event {
        case .wake(let machine, let life): living(machine, life).map { wake(machines[machine], $0) }
        case .turn(let machine, let life): living(machine, life).map { turn(machines[machine], $0) }
        case .diskDone(let machine, let life):
            living(machine, life).map { finishJob(machines[machine], $0) }
        case .frame(let from, let to, let generation, let bytes):
            takeFrame(from, to, generation, bytes)
        case .greeting(let from, let to, let generation, let opens, let bytes):
            takeGreeting((from, to), generation, opens: opens, bytes)
        case .call(let from, let to): call(from, to)
        case .linkLost(let at, let from, let generation):
            if network.end(at, from).generation == generation { dropEnd(at, from) }
        case .greetingOver(let at, let from, let generation):
            let end = network.end(at, from)
            if end.generation == generation, !end.isOpen { dropEnd(at, from) }
        case .toNode(let client, let generation, let bytes):
            takeFromClient(client, generation, bytes)
        case .toClient(let client, let generation, let bytes): takeReply(client, generation, bytes)
        case .hungUp(let client, let generation):
            if clients[client].generation == generation { disconnected(client) }
        case .clientTurn(let client): clientTurn(client)
        case .clientPatience(let client, let generation, let request):
            losePatience(client, generation, request)
        case .fault(let kind): strike(kind)
        case .relapse(let machine): relapse(machines[machine])
        case .administer: administer()
        case .heal(let mend): heal(mend)
        case .start(let machine): start(machines[machine])
        case .rebirth(let machine, let life):
            guard living(machine, life) != nil else { return }
            stop(machines[machine], isPowerCut: false, restartAfter: 1)
        case .phase(let phase): enter(phase)
        }
    }

    private func living(_ machine: Int, _ life: Int) -> Process? {
        machines[machine].life == life ? machines[machine].process : nil
    }

    /// Until when whoever has to take an event stands still.
    private func standstill(of event: Event) -> UInt64? {
        if case .toClient(let client, _, _) = event { return clients[client].deafUntil }
        return machineOf(event).map { machines[$0].pausedUntil }
    }

    /// Whose process an event needs to run, if any.
    private func machineOf(_ event: Event) -> Int? {
        switch event {
        case .wake(let machine, _), .turn(let machine, _), .diskDone(let machine, _),
            .start(let machine), .rebirth(let machine, _):
            machine
        case .frame(_, let to, _, _), .greeting(_, let to, _, _, _): to
        case .call(let from, _): from
        case .linkLost(let at, _, _), .greetingOver(let at, _, _): at
        case .toNode(let client, _, _): clients[client].machine
        case .toClient, .hungUp, .clientTurn, .clientPatience, .fault, .relapse, .administer,
            .heal,
            .phase:
            nil
        }
    }
}

/// What happened in a world besides what its nodes count.
struct WorldCounters {
    var powerCuts = 0
    var kills = 0
    var restarts = 0
    var tornTails = 0
    var rotNamed = 0
    var syncFailures = 0
    var diskFullRefusals = 0
    var linksRefused = 0
    var checkpoints = 0
    var segmentsRemoved = 0
    var definitionsChanged = 0
    var acknowledged = 0
    var unknown = 0
    var failed = 0
    var readsChecked = 0
    var binding = 0
    var stalled = 0
    var siblingReads = 0
    var typedReadsChecked = 0
    /// Requests with an id that were sent again.
    var requestsSentAgain = 0
    var typedBinding = 0
    var pauses = 0
    var clockJumps = 0
    var clocksStepped = 0
    var futureLives = 0
    var restores = 0
    var wipes = 0
    var relapses = 0
    var rebirths = 0
    var memberChanges = 0
    var emptied = 0
    var resized = 0
    var shifted = 0
    var administrationRefused = 0
    var administrationUnknown = 0
    var sessionsMoved = 0
    var sessionReads = 0
    var boundedReads = 0

    var named: [(name: String, value: Int)] {
        [
            ("power_cuts", powerCuts), ("kills", kills), ("restarts", restarts),
            ("torn_tails_dropped", tornTails), ("rot_named", rotNamed),
            ("sync_failures", syncFailures), ("disk_full_refusals", diskFullRefusals),
            ("links_refused", linksRefused), ("checkpoints", checkpoints),
            ("segments_removed", segmentsRemoved), ("definitions_changed", definitionsChanged),
            ("writes_acknowledged", acknowledged), ("requests_unknown", unknown),
            ("requests_failed", failed), ("reads_checked", readsChecked),
            ("reads_bound_by_a_write", binding), ("stalled", stalled),
            ("reads_of_several_siblings", siblingReads), ("typed_reads_checked", typedReadsChecked),
            ("requests_sent_again", requestsSentAgain),
            ("typed_elements_bound", typedBinding), ("pauses", pauses),
            ("clock_jumps", clockJumps), ("clocks_stepped", clocksStepped),
            ("lives_in_the_future", futureLives), ("disks_restored", restores),
            ("disks_emptied", wipes),
            ("deaths_while_refilling", relapses), ("lives_begun_anew", rebirths),
            ("lists_of_members_changed", memberChanges),
            ("keyspaces_emptied", emptied), ("keyspaces_resized", resized),
            ("keyspaces_shifted", shifted),
            ("administration_refused", administrationRefused),
            ("administration_unknown", administrationUnknown),
            ("sessions_moved", sessionsMoved), ("reads_bound_by_a_session", sessionReads),
            ("reads_with_a_bound", boundedReads),
        ]
    }
}
