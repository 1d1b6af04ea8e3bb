import Base
import Causality

/// Everything about one run that is drawn from its seed before the run starts.
struct Plan {
    /// Mean nanoseconds between two faults of a kind; nil for never.
    var faultMeans: [UInt64?]
    var nodes: Int
    var clients: Int
    var requestsPerClient: Int
    var keyspaces: [PlannedKeyspace]
    var safetyNanoseconds: UInt64
    /// Nanoseconds after which everything has to work again: less where only clocks were wrong.
    var healing = Plan.healingMax
    static let healingMax: UInt64 = 8_000_000_000
    /// Messages are datagrams that get lost, doubled and overtaken; otherwise links behave like
    /// TCP.
    var isDatagram: Bool
    var dropPerMille: Int
    var duplicatePerMille: Int
    var delayMin: UInt64
    var delaySpread: UInt64
    var delayTailPerMille: Int
    var diskLatency: UInt64
    /// Milliseconds that two good clocks differ at most.
    var skewMax: Int
    var operationsMax: Int
    var checkpointAfterBytes: Int
    /// Out of a thousand steps, how many share their turn with the next.
    var sharedTurnPerMille: Int
    var segmentBytes: Int
    /// Mean nanoseconds between two commands of an operator; nil where there is none.
    var administrationMean: UInt64?
    /// How many clients keep sessions.
    var sessionClients = 0
    /// Keys that a node remembers for a session.
    var sessionKeysMax = 256
    /// Out of a thousand reads, how many have a bound on staleness.
    var boundedReadsPerMille = 0
    /// Milliseconds after which what is deleted may be forgotten, and between two looks.
    var collection: (grace: UInt64, interval: UInt64) = (0, 1)
    /// At the end all is deleted, and a disk from before returns.
    var hasRelic = false
    /// Clients change when keys expire a fifth of the time.
    var changesExpiries = false
    /// Clients give keys of typed keyspaces a time that elapses in the run.
    var expiresTyped = false
    /// How many of the machines, the first ones, are members when the run begins; nil for all of
    /// them, always.
    var membersAtFirst: Int?

    init(seed: UInt64) {
        var random = PRNG(seed: seed)
        nodes = 3 + [0, 0, 0, 1, 2][random.below(5)]
        clients = 3 + random.below(4)
        requestsPerClient = 20 + random.below(60)
        safetyNanoseconds = .nanoseconds(milliseconds: 2_000 + UInt64(random.below(6_000)))
        isDatagram = random.chance(perMille: 300)
        dropPerMille = random.chance(perMille: 500) ? random.below(60) : 0
        duplicatePerMille = random.below(100)
        delayMin = 500_000 + UInt64(random.below(1_000_000))
        delaySpread = 1 + UInt64(random.below(10_000_000))
        delayTailPerMille = random.chance(perMille: 300) ? random.below(30) : 0
        diskLatency = 100_000 + UInt64(random.below(5_000_000))
        skewMax = [0, 0, 5, 50, 200][random.below(5)]
        operationsMax = random.chance(perMille: 200) ? 2 + random.below(6) : 1_024
        checkpointAfterBytes = 8_192 + random.below(60_000)
        sharedTurnPerMille = random.chance(perMille: 500) ? random.below(300) : 0
        segmentBytes = 4_096 * (16 + random.below(32))
        faultMeans = FaultKind.allCases.map { kind in
            guard !kind.isDrawnApart, random.chance(perMille: kind.seedsPerMille) else {
                return nil
            }
            return .nanoseconds(milliseconds: 200 + UInt64(random.below(kind.meanMilliseconds * 2)))
        }
        keyspaces = PlannedKeyspace.draw(nodes: nodes, &random)
        drawExpiries(seed)
        drawBrief(seed)
        drawSloppy(seed)
        drawTyped(seed)
        drawAdministration(seed)
        drawShifts(seed)
        drawWipes(seed)
        drawClocks(seed)
        drawSessions(seed)
        drawCollection(seed)
        drawOverflows(seed)
        drawHedges(seed)
        drawMembers(seed)
    }

    /// Clocks that step all together, and lives that begin in the future.
    private mutating func drawClocks(_ seed: UInt64) {
        var random = PRNG(seed: seed ^ 0x43_4C_4B_53)
        for kind in FaultKind.allCases
        where kind.isOfClocks && random.chance(perMille: kind.seedsPerMille) {
            faultMeans[kind.rawValue] = .nanoseconds(
                milliseconds: 200 + UInt64(random.below(kind.meanMilliseconds * 2)))
        }
        guard mayMisleadClocks, random.chance(perMille: 400) else { return }
        for kind in FaultKind.allCases where !kind.isOfClocks { faultMeans[kind.rawValue] = nil }
        (isDatagram, dropPerMille, healing) = (false, 0, 2_000_000_000)
    }

    private mutating func drawCollection(_ seed: UInt64) {
        var random = PRNG(seed: seed ^ 0x43_4F_4C_4C)
        collection = (1_200 + UInt64(random.below(1_000)), 200 + UInt64(random.below(800)))
        hasRelic = random.chance(perMille: 400)
        drawRollBack(seed)
    }

    /// Milliseconds that fallbacks keep a hint: longer than a run.
    static let hintMilliseconds: UInt64 = 40_000
    /// Nanoseconds after which everything that was deleted in a run is forgotten, when nothing
    /// breaks any more.
    var collectionEnd: UInt64 {
        let hints = keyspaces.contains { $0.isSloppy } ? Plan.hintMilliseconds : 0
        return .nanoseconds(milliseconds: 20_000 + hints)
    }

    /// Siblings that soon are too many, in four of ten runs.
    private mutating func drawOverflows(_ seed: UInt64) {
        var random = PRNG(seed: seed ^ 0x4F_56_45_52)
        guard random.chance(perMille: 400) else { return }
        for index in keyspaces.indices where keyspaces[index].isSiblings {
            let policies = OverflowPolicy.allCases
            keyspaces[index].overflow = policies[random.below(policies.count)]
            keyspaces[index].siblingsMax = 1 + random.below(5)
        }
    }

    /// When reads ask one more replica: from at once to never.
    private mutating func drawHedges(_ seed: UInt64) {
        var random = PRNG(seed: seed ^ 0x48_45_44_47_45)
        for index in keyspaces.indices where random.chance(perMille: 600) {
            keyspaces[index].hedge = PlannedKeyspace.hedges[random.below(5)]
        }
    }

    /// Disks that are lost; with more than three nodes beside a keyspace whose floor lets a node be
    /// whole again before all others were asked.
    private mutating func drawWipes(_ seed: UInt64) {
        var random = PRNG(seed: seed ^ 0x57_49_50_45)
        let kind = FaultKind.wipe
        guard random.chance(perMille: kind.seedsPerMille) else { return }
        faultMeans[kind.rawValue] = .nanoseconds(
            milliseconds: 200 + UInt64(random.below(kind.meanMilliseconds * 2)))
        guard nodes > 3 else { return }
        let quorum = nodes / 2 + 1
        keyspaces.append(
            PlannedKeyspace(
                name: "floor", n: nodes, r: quorum, w: quorum, durability: .fsync,
                isSiblings: random.below(2) == 0, keys: 1 + random.below(3),
                readRepairPerMille: [0, 100][random.below(2)], timeoutMilliseconds: 400,
                hasStrongFloor: true))
    }

    /// Keyspaces where each request has one replica, so that only sessions and bounds promise
    /// anything.
    private mutating func drawSessions(_ seed: UInt64) {
        var random = PRNG(seed: seed ^ 0x53_45_53_53)
        if random.chance(perMille: 500) { boundedReadsPerMille = 50 + random.below(400) }
        if random.chance(perMille: 600) {
            sessionClients = 1 + random.below(clients)
            sessionKeysMax = [1, 2, 3, 256][random.below(4)]
        }
        guard sessionClients > 0 || boundedReadsPerMille > 0 else { return }
        for isSiblings in [false, true] {
            keyspaces.append(
                PlannedKeyspace(
                    name: isSiblings ? "nearsib" : "near", n: 3, r: 1, w: 1 + random.below(2),
                    durability: .fsync, isSiblings: isSiblings, keys: 1 + random.below(4),
                    readRepairPerMille: [0, 100][random.below(2)], timeoutMilliseconds: 400))
        }
        guard seed % 3 == 0 else { return }
        keyspaces[keyspaces.count - 1].isPlain = true
        if sessionClients > 0 { (sessionClients, sessionKeysMax) = (clients, 256) }
    }

    /// Keyspaces of values that merge, in two of three runs.
    private mutating func drawTyped(_ seed: UInt64) {
        var random = PRNG(seed: seed ^ 0x43_52_44_54)
        guard random.chance(perMille: 667) else { return }
        for number in 0...(random.chance(perMille: 250) ? 1 : 0) {
            let any = (1 + random.below(nodes), random.below(nodes), random.below(nodes))
            let (n, r, w) = [
                (3, 2, 2), (3, 2, 2), (3, 1, 1), (3, 1, 3), (3, 3, 1),
                (any.0, 1 + any.1 % any.0, 1 + any.2 % any.0),
            ][random.below(6)]
            let durabilities: [PlannedKeyspace.Durability] = [.fsync, .fsync, .interval, .memory]
            keyspaces.append(
                PlannedKeyspace(
                    name: "typed\(number)", n: n, r: r, w: w,
                    durability: durabilities[random.below(4)], isSiblings: false,
                    keys: TypedRole.allCases.count + random.below(3),
                    readRepairPerMille: [0, 0, 100, 1_000][random.below(4)],
                    timeoutMilliseconds: 100 + random.below(500), isTyped: true,
                    hotKey: random.below(TypedRole.allCases.count)))
        }
    }

    /// One replica that syncs by interval, where nothing stands still: how much does a crash cost?
    private mutating func drawBrief(_ seed: UInt64) {
        var random = PRNG(seed: seed ^ 0x42_52_49_45_46)
        guard intervalWindow != nil, random.chance(perMille: 500) else { return }
        keyspaces.append(
            PlannedKeyspace(
                name: "brief", n: 1, r: 1, w: 1, durability: .interval, isSiblings: false,
                keys: 1 + random.below(3), readRepairPerMille: 0, timeoutMilliseconds: 400))
    }

    /// Fallbacks stand in for primaries that are away; there is at least one.
    private mutating func drawSloppy(_ seed: UInt64) {
        var random = PRNG(seed: seed ^ 0x53_4C_4F_50_50_59)
        guard random.chance(perMille: 400) else { return }
        let n = 2 + random.below(nodes - 2)
        keyspaces.append(
            PlannedKeyspace(
                name: "sloppy", n: n, r: 1 + random.below(n), w: 1 + random.below(n),
                durability: [.fsync, .fsync, .fsync, .interval, .memory][random.below(5)],
                isSiblings: random.below(3) == 0, keys: 1 + random.below(4),
                readRepairPerMille: [0, 0, 100, 1_000][random.below(4)],
                timeoutMilliseconds: 100 + random.below(500), isSloppy: true))
    }

    /// From a generator of its own, so that seeds without an operator are what they were.
    private mutating func drawAdministration(_ seed: UInt64) {
        var random = PRNG(seed: seed ^ 0x41_44_4D_49_4E)
        guard random.chance(perMille: 350) else { return }
        administrationMean = .nanoseconds(milliseconds: 50 + UInt64(random.below(800)))
        clients += 1
        let quorums = (n: 3, r: 2, w: 2)
        keyspaces += [
            PlannedKeyspace(
                name: "gone", n: quorums.n, r: quorums.r, w: quorums.w, durability: .fsync,
                isSiblings: false, keys: 1 + random.below(2),
                readRepairPerMille: [0, 100, 1_000][random.below(3)], timeoutMilliseconds: 400,
                life: .dropped),
            PlannedKeyspace(
                name: "wide", n: quorums.n, r: quorums.r, w: quorums.w, durability: .fsync,
                isSiblings: false, keys: 1, readRepairPerMille: [0, 100][random.below(2)],
                timeoutMilliseconds: 400, life: .resized),
            PlannedKeyspace(
                name: "turned", n: quorums.n, r: quorums.r, w: quorums.w, durability: .fsync,
                isSiblings: false, keys: 2 + random.below(3),
                readRepairPerMille: [0, 100, 1_000][random.below(3)], timeoutMilliseconds: 400,
                life: .turned, isTyped: true),
        ]
    }

    /// Keyspaces that come to be kept in memory and on disk again, beside an operator.
    private mutating func drawShifts(_ seed: UInt64) {
        var random = PRNG(seed: seed ^ 0x53_48_49_46_54)
        guard administrationMean != nil, random.chance(perMille: 600) else { return }
        for (name, n) in [("shift", 1), ("shifttyped", 1), ("shiftwide", 3)] {
            let isTyped = name != "shift" && (n == 1 || random.below(2) == 0)
            keyspaces.append(
                PlannedKeyspace(
                    name: name, n: n, r: n / 2 + 1, w: n / 2 + 1,
                    durability: [.fsync, .memory, .interval][random.below(3)], isSiblings: false,
                    keys: isTyped ? TypedRole.allCases.count : 1 + random.below(3),
                    readRepairPerMille: [0, 100][random.below(2)], timeoutMilliseconds: 400,
                    life: .shifted, isTyped: isTyped))
        }
    }

    /// Nanoseconds after which a write of an `interval` keyspace survives a crash: the interval and
    /// the jobs in front of its sync; nil where disks or processes stand still for longer.
    var intervalWindow: UInt64? {
        let standing: [FaultKind] = [.diskFull, .slowDisk, .pause]
        guard standing.allSatisfy({ mean(of: $0) == nil }) else { return nil }
        return .nanoseconds(milliseconds: PlannedKeyspace.intervalMilliseconds + 10)
            + 12 * diskLatency
    }

    /// Whether a node may forget what it had made durable.
    var mayLoseDisks: Bool {
        let losses: [FaultKind] = [.rot, .restore, .wipe, .rollBack]
        return hasRelic || losses.contains { mean(of: $0) != nil }
    }

    /// Whether a node may forget for good what others do not tell it.
    func mayForgetIDs(n: Int) -> Bool {
        n < 3 ? mayLoseDisks : hasRelic || mean(of: .rot) != nil || mean(of: .rollBack) != nil
    }

    /// Whether all clocks may be set at once, by more than request ids are remembered for: a node
    /// that restarts meanwhile forgets them.
    var mayStepClocks: Bool { mean(of: .clocksStep) != nil }

    /// Whether a node may write by a clock that the others do not have.
    var mayJumpClocks: Bool { mean(of: .clockJump) != nil || mean(of: .futureLife) != nil }
    /// Whether clocks may be wrong by more than nodes tolerate.
    var mayMisleadClocks: Bool {
        FaultKind.allCases.contains { $0.isOfClocks && mean(of: $0) != nil }
    }

    func mean(of kind: FaultKind) -> UInt64? { faultMeans[kind.rawValue] }
}

/// The parts of a run.
enum Phase: Int {
    /// Requests and faults.
    case safety
    /// No faults any more; what is broken comes back.
    case healing
    /// Every request has to succeed: all keys are read with R = ALL, written, and read again.
    case firstReads, writes, secondReads
    /// Nothing may be left to repair.
    case lastReads
    /// In some runs everything is deleted.
    case burying
    /// Whatever was deleted has to be forgotten.
    case collecting
    /// In some runs an old disk returns.
    case haunting
    case end
}
