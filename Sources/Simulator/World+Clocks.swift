import Base

// Clocks that are wrong: one alone, all together, or one from the start of a life on.
extension World {
    private static let steps = [2_000, 15_000, 3_600_000, 86_400_000]

    /// One machine's clock only: of three clocks two are right.
    func jumpClock() {
        guard areClocksRight else { return }
        counters.clockJumps += 1
        machines[0].jumpMilliseconds = [3_600_000, -3_600_000, 2_000, -2_000][faultRandom.below(4)]
        note("clock of node 1 jumps by \(machines[0].jumpMilliseconds) ms")
        after(2_000, .clock(machine: 0))
    }

    /// All clocks are set ahead together, and back together: by less than what hints live, which
    /// end by the time of a majority.
    func stepClocks() {
        guard areClocksRight else { return }
        counters.clocksStepped += 1
        let limit = plan.keyspaces.contains { $0.isSloppy } ? Int(Plan.hintMilliseconds) : .max
        let steps = World.steps.filter { $0 < limit }
        let step = steps[faultRandom.below(steps.count)]
        note("all clocks step by \(step) ms")
        for machine in machines { machine.jumpMilliseconds = step }
        after(2_000, .clocks)
    }

    /// A machine starts with its clock ahead, mostly cut off from all others at first, or hearing
    /// them and not heard. Its clock is put right before it meets them or after.
    func beginFutureLife() {
        let machine = draw()
        guard areClocksRight, machine.process != nil else { return }
        counters.futureLives += 1
        machine.jumpMilliseconds = World.steps[faultRandom.below(World.steps.count)]
        note("\(machine.node) begins a life \(machine.jumpMilliseconds) ms ahead")
        stop(machine, isPowerCut: false, restartAfter: 20 + faultRandom.below(200))
        after(4_000, .clock(machine: machine.index))
        let cuts = faultRandom.below(4)
        guard cuts > 0 else { return }
        for other in machines where other !== machine {
            cut(machine.index, other.index)
            if cuts > 1 { cut(other.index, machine.index) }
        }
        after(2_500, .partition)
    }

    private var areClocksRight: Bool { machines.allSatisfy { $0.jumpMilliseconds == 0 } }

    /// The latest reading that any clock can have shown by now.
    var wallSeen: UInt64 {
        let isMisled = counters.clocksStepped + counters.futureLives > 0
        let jump = isMisled ? 86_400_000 : counters.clockJumps > 0 ? 3_600_000 : 0
        let own = Int(machines[0].now(time).wallMilliseconds) - machines[0].jumpMilliseconds
        return UInt64(own + plan.skewMax + jump + 2_000)
    }
}
