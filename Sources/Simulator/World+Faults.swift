import Base
import Causality
import Coding
import Replication

// What goes wrong, and how it ends; then the phases in which nothing may.
extension World {
    /// Everything is healed and every request has to succeed.
    var isLive: Bool {
        switch phase {
        case .safety, .healing, .collecting, .haunting, .end: false
        case .firstReads, .writes, .secondReads, .lastReads, .burying: true
        }
    }

    /// No faults are drawn for this run at all.
    var isCalm: Bool { plan.faultMeans.allSatisfy { $0 == nil } && !plan.isDatagram }

    func scheduleFaults() {
        for kind in FaultKind.allCases { scheduleNext(kind) }
        scheduleAdministration()
    }

    private func scheduleNext(_ kind: FaultKind) {
        guard let mean = plan.mean(of: kind) else { return }
        schedule(.fault(kind), after: mean / 4 + UInt64(faultRandom.below(Int(mean) * 3 / 2)))
    }

    func draw() -> Machine { machines[faultRandom.below(machines.count)] }

    func after(_ milliseconds: Int, _ mend: Mend) {
        let delay = UInt64(1 + faultRandom.below(milliseconds))
        schedule(.heal(mend), after: .nanoseconds(milliseconds: delay))
    }

    func strike(_ kind: FaultKind) {
        guard phase == .safety else { return }
        scheduleNext(kind)
        note("fault: \(kind)")
        switch kind {
        case .powerCut:
            counters.powerCuts += 1
            stop(draw(), isPowerCut: true, restartAfter: 50 + faultRandom.below(1_500))
        case .kill:
            counters.kills += 1
            stop(draw(), isPowerCut: false, restartAfter: 20 + faultRandom.below(500))
        case .killAll: killAll()
        case .oneWayCut: cutOneWay()
        case .partition: partition()
        case .linkBreak: breakLink()
        case .syncFailure: draw().disk.failNextSync = true
        case .diskFull: fillDisk(draw())
        case .slowDisk: slowDown(draw())
        case .clockJump: jumpClock()
        case .clocksStep: stepClocks()
        case .futureLife: beginFutureLife()
        case .pause: pause(draw())
        case .clientBreak:
            let index = faultRandom.below(clients.count)
            guard index != operatorIndex else { return }
            if faultRandom.below(2) == 0 { return breakConnection(index) }
            guard clients[index].deafUntil <= time else { return }
            clients[index].deafUntil = time + UInt64(faultRandom.below(800_000_000))
            schedule(.clientTurn(client: index), after: 800_000_001)
        case .rot: rot(draw())
        case .restore, .rollBack: kind == .restore ? restore(draw()) : rollBack()
        case .wipe: wipe(draw())
        case .memberChange: changeMembers()
        }
    }

    private func pause(_ machine: Machine) {
        let milliseconds = UInt64(1 + faultRandom.below(1_500))
        // What waits for the end of a pause must not be overtaken.
        guard machine.pausedUntil <= time else { return }
        counters.pauses += 1
        machine.pausedUntil = time + .nanoseconds(milliseconds: milliseconds)
    }

    private func slowDown(_ machine: Machine) {
        machine.diskFactor = 1 + UInt64(faultRandom.below(200))
        after(1_500, .diskSpeed(machine: machine.index))
    }

    private func killAll() {
        counters.kills += 1
        let isPowerCut = faultRandom.below(2) == 0
        for machine in machines {
            stop(machine, isPowerCut: isPowerCut, restartAfter: 20 + faultRandom.below(300))
        }
    }

    private func cutOneWay() {
        let from = faultRandom.below(machines.count)
        let to = (from + 1 + faultRandom.below(machines.count - 1)) % machines.count
        cut(from, to)
        after(2_000, .cut(from: from, to: to))
    }

    private func partition() {
        let side = 1 + faultRandom.below((1 << machines.count) - 2)
        for from in machines.indices {
            for to in machines.indices where side >> from & 1 != side >> to & 1 { cut(from, to) }
        }
        after(2_500, .partition)
    }

    private func breakLink() {
        let at = faultRandom.below(machines.count)
        let other = (at + 1 + faultRandom.below(machines.count - 1)) % machines.count
        note("the link of \(machines[at].node) to \(machines[other].node) breaks")
        dropEnd(at, other)
    }

    private func fillDisk(_ machine: Machine) {
        machine.disk.faults.capacityBytes = machine.disk.usedBytes + faultRandom.below(30_000)
        after(3_000, .diskRoom(machine: machine.index))
    }

    /// Copies a disk; the next time, puts the copy in its place.
    private func restore(_ machine: Machine) {
        guard machine.process != nil, hasRightClock(machine) else { return }
        guard let backup = machine.backup else {
            machine.backup = machine.disk.copy(prng: machine.random.split())
            return note("\(machine.node) is backed up")
        }
        note("\(machine.node) gets its disk of then")
        counters.restores += 1
        history.isAnythingLost = true
        machine.backup = nil
        stop(machine, isPowerCut: true, restartAfter: 100)
        machine.disk = backup
    }

    /// Copies one disk after the other, as a rolling backup does; then puts all copies in place.
    private func rollBack() {
        let open = machines.filter { $0.backup == nil }
        guard open.isEmpty else {
            guard let machine = open.first(where: { $0.process != nil }) else { return }
            let unsynced = plan.intervalWindow ?? 0
            if open.count == machines.count { rolledBackFrom = time - min(time, unsynced) }
            machine.backup = machine.disk.copy(prng: machine.random.split())
            return note("\(machine.node) is backed up")
        }
        note("all get their disks of then")
        counters.restores += 1
        history.rollBacks.append((from: rolledBackFrom, at: time))
        for machine in machines {
            stop(machine, isPowerCut: true, restartAfter: 50 + faultRandom.below(500))
            if let backup = machine.backup { machine.disk = backup }
            machine.backup = nil
        }
    }

    /// Where clocks jump, a node that lost its epochs may be refused for as long as a jump.
    private func hasRightClock(_ machine: Machine) -> Bool {
        !plan.mayMisleadClocks && (machine.index > 0 || !plan.mayJumpClocks)
    }

    /// Puts an empty disk in. Not while another one's content may still be missing: what two disks
    /// lose between them no store has. Where a hint stands in for what a replica lacks, the replica
    /// that is refilled does not get it, so another disk is lost only once none is left.
    private func wipe(_ machine: Machine) {
        for other in machines where other.process?.node.isRefilling == false {
            other.isWiped = false
        }
        guard machine.process != nil, hasRightClock(machine),
            machines.allSatisfy({ !$0.isWiped }), !mayHintsCount
        else { return }
        areHintsLost = areHintsLost || hints(on: [machine]) > 0
        note("\(machine.node) loses its disk")
        counters.wipes += 1
        history.wipes.append(time)
        machine.isReplaced = faultRandom.below(4) == 0
        let delay = machine.isReplaced ? 1_000_000 : 50 + faultRandom.below(1_000)
        stop(machine, isPowerCut: true, restartAfter: delay)
        let again = delay + 10 + faultRandom.below(500)
        schedule(
            .relapse(machine: machine.index), after: .nanoseconds(milliseconds: UInt64(again)))
        machine.disk = SimulatedDisk(prng: machine.random.split())
        machine.isWiped = true
    }

    /// A machine that is being refilled dies in the middle of it.
    func relapse(_ machine: Machine) {
        guard phase == .safety, machine.process?.node.isRefilling == true else { return }
        note("\(machine.node) dies while it is being refilled")
        counters.relapses += 1
        stop(machine, isPowerCut: faultRandom.below(2) == 0, restartAfter: 20)
    }

    private func rot(_ machine: Machine) {
        guard machine.process != nil, hasRightClock(machine) else { return }
        stop(machine, isPowerCut: true, restartAfter: 200)
        machine.isRotten = true
        // A disk that no longer says whose it is is lost as a whole: one kind of rot among others.
        let spared = faultRandom.below(4) > 0 ? "identity" : nil
        for _ in 0...faultRandom.below(4) {
            guard let place = machine.disk.flipRandomBit(sparing: spared) else { continue }
            note("\(machine.node) rots: \(place)")
        }
    }

    func heal(_ mend: Mend) {
        note("mended: \(mend)")
        switch mend {
        case .cut(let from, let to): self.mend(from, to)
        case .partition:
            for from in machines.indices {
                for to in machines.indices where from != to { self.mend(from, to) }
            }
        case .diskRoom(let machine): machines[machine].disk.faults.capacityBytes = nil
        case .diskSpeed(let machine): machines[machine].diskFactor = 1
        case .clock(let machine): machines[machine].jumpMilliseconds = 0
        case .clocks: for machine in machines { machine.jumpMilliseconds = 0 }
        }
    }

}

// Phases.
extension World {
    func enter(_ next: Phase) {
        if next == .firstReads, awaitsLife() || awaitsHints() { return }
        note("phase \(next)")
        phase = next
        switch next {
        case .safety: break
        case .healing:
            healAll()
            let healing = (hasSloppy ? 2 : 1) * plan.healing
            schedule(.phase(.firstReads), after: healing)
        case .firstReads:
            // Where only clocks were wrong service is back before all that differs was compared.
            if plan.healing == Plan.healingMax { checkConvergence() }
            assign()
        case .writes, .secondReads, .lastReads: assign()
        case .burying:
            let repaired = repairs - repairsBefore
            if repaired != 0 { violate("\(repaired) reads found something to repair at the end") }
            plan.hasRelic ? bury() : enter(.collecting)
        case .collecting: schedule(.phase(.haunting), after: plan.collectionEnd)
        case .haunting:
            checkConvergence()
            checkCollected()
            plan.hasRelic ? haunt() : enter(.end)
        case .end:
            checkConvergence()
            if plan.hasRelic { checkBuried() }
        }
    }

    private var hasSloppy: Bool { plan.keyspaces.contains { $0.isSloppy } }

    private func hints(on machines: [Machine]) -> Int {
        machines.reduce(0) { sum, machine in
            let links = machine.process?.node.linkFigures ?? []
            return sum + links.reduce(0) { $0 + $1.hints }
        }
    }

    /// Whether a hint may be the last but one copy of a write.
    private var mayHintsCount: Bool {
        hasSloppy && counters.wipes > 0
            && (areHintsLost || hints(on: machines) > 0
                || machines.contains { $0.process == nil })
    }

    /// Whether nobody links a node. The others know a later life of it, and it only begins another
    /// one when they have found that one dead: once, that may take as long again.
    private func awaitsLife() -> Bool {
        let isShutOut = machines.contains {
            $0.process?.node.linkFigures.contains { $0.isUp } == false && memberCount > 1
        }
        guard isShutOut, !hasWaitedForLife else { return false }
        hasWaitedForLife = true
        schedule(.phase(.firstReads), after: plan.healing)
        return true
    }

    /// Whether there are hints that have not reached their nodes: what they bring has to be
    /// exchanged before replicas are compared.
    private func awaitsHints() -> Bool {
        let left = hints(on: machines)
        guard left > 0 else {
            history.handedOffAt = time
            return false
        }
        hintWaits += 1
        guard hintWaits < 5 else {
            violate("\(left) hints stay although everything is healed")
            return true
        }
        schedule(.phase(.firstReads), after: plan.healing)
        return true
    }

    private func healAll() {
        heal(.partition)
        for machine in machines {
            heal(.diskRoom(machine: machine.index))
            heal(.diskSpeed(machine: machine.index))
            heal(.clock(machine: machine.index))
            machine.disk.failNextSync = false
            if machine.isReplaced, machine.process == nil {
                restart(machine, after: 100)
            }
            machine.isReplaced = false
        }
    }

    /// Gives every key to some client.
    func assign() {
        for index in clients.indices { clients[index].script = [] }
        for key in history.keys.indices {
            clients[key % clients.count].script.append(key)
        }
        if phase == .lastReads { repairsBefore = repairs }
        for index in clients.indices { scheduleClient(index, after: 1_000_000) }
    }

    private var repairs: Int {
        machines.reduce(counted.readRepairs) {
            $0 + ($1.process?.node.counters.readRepairs ?? 0)
        }
    }

    /// Goes on to the next phase when all keys are done and repairs have had their time.
    func advanceWhenDone() {
        guard isLive, clients.allSatisfy({ $0.script.isEmpty && $0.outstanding.isEmpty }),
            let next = Phase(rawValue: phase.rawValue + 1)
        else { return }
        schedule(.phase(next), after: 1_500_000_000)
    }

    /// All replicas of a key hold the same bytes.
    func checkConvergence() {
        var states: [[[UInt8]: [UInt8]]] = []
        for machine in machines {
            let held = records(of: machine).map { ($0.key, $0.payload) }
            states.append(Dictionary(held) { $1 })
        }
        for key in history.keys.indices {
            let holders = history.replicas(of: key)
            let name = history.keys[key].name
            // Some gave back what had expired by clocks that were set back later, some were away.
            let mayDiffer = plan.mayMisleadClocks && history.keys[key].mayExpire
            for holder in holders
            where states[holder][name] != states[holders[0]][name] && !mayDiffer {
                violate(
                    "\(machines[holder].node) and \(machines[holders[0]].node) differ in "
                        + String(decoding: name, as: UTF8.self))
            }
            let isFixed = plan.keyspaces[history.keys[key].keyspace].life == .fixed
            for other in machines.indices
            where isFixed && !holders.contains(other) && states[other][name] != nil {
                violate(
                    "\(machines[other].node) is no replica and holds "
                        + String(decoding: name, as: UTF8.self))
            }
        }
        checkDefinitions()
    }

    private func checkDefinitions() {
        let digests = machines.compactMap { $0.process?.node.definitionsDigest }
        guard let first = digests.first else { return }
        if digests.contains(where: { $0 != first }) {
            violate("the nodes differ in what they know of keyspaces")
        }
    }
}
