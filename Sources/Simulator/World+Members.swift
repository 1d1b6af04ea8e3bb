import Base
import Replication

// Lists of members that follow each other. All nodes stop, and those of the new list start with it.
extension World {
    var members: [ClusterMember] { Array(everyMember.prefix(memberCount)) }

    /// One or two members more, or one fewer, which keeps its disk and may return with it.
    func changeMembers() {
        let counts = plan.memberCounts(after: memberCount, isAtRest: isAtRest)
        guard !counts.isEmpty else { return }
        let count = counts[faultRandom.below(counts.count)]
        changeMembers(to: count, isPowerCut: faultRandom.below(2) == 0)
    }

    /// - Parameter late: machines, by index, that stay down.
    func changeMembers(to count: Int, isPowerCut: Bool, late: Set<Int> = []) {
        memberCount = count
        counters.memberChanges += 1
        note("the list of members has \(memberCount) from now on")
        for machine in machines {
            let delay = late.contains(machine.index) ? 1_000_000 : 1_000
            stop(machine, isPowerCut: isPowerCut, restartAfter: delay)
        }
        history.changeMembers(to: members.map(\.member), at: time)
        // Which requests had an id is not handed over.
        repeats = Repeats()
        for machine in machines.prefix(memberCount) where !late.contains(machine.index) {
            machine.takesOtherMembers = true
            restart(machine, after: 20 + faultRandom.below(800))
        }
    }

    /// Every member has what it replicates: of what one of them has, another one has it as well.
    private var isAtRest: Bool {
        machines.prefix(memberCount).allSatisfy { $0.process?.node.isRefilling == false }
    }
}
