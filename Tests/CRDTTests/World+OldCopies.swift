import Causality

@testable import CRDT

extension World {
    /// Copies what a replica holds, or has one return on its copy.
    mutating func copyOrReturn(_ profile: Profile) {
        let index = random.below(replicas.count)
        if random.chance(perMille: 60) { copies[index] = replicas[index] }
        guard random.chance(perMille: 60), let copy = copies[index] else { return }
        goBack(index, to: copy, profile)
    }

    /// A replica returns on an old copy, perhaps another one too; each takes writes that nobody
    /// hears of, and only then meets one that has everything up to what is settled.
    private mutating func goBack(_ index: Int, to copy: Replica, _ profile: Profile) {
        settle()
        let limit = settled
        var returned = [(index: index, copy: copy)]
        let next = (index + 1) % replicas.count
        if random.chance(perMille: 500), let other = copies[next] { returned.append((next, other)) }
        let early = returned.map { numbered { $0.dot.stamp <= limit } & $0.copy.seen }
        let vouchers = replicas.indices.filter { other in
            !returned.contains { $0.index == other }
                && early.allSatisfy { $0 & ~replicas[other].seen == 0 }
        }
        guard !vouchers.isEmpty else { return }
        for (index, copy) in returned {
            replace(index, by: copy.state, seen: copy.seen)
            let sent = messages
            for _ in 0..<random.below(3) where oracle.ops.count < World.opsMax {
                act(index, profile)
            }
            messages = sent
        }
        for (index, _) in returned { judge(index, limit, vouchers[random.below(vouchers.count)]) }
    }

    private mutating func judge(_ index: Int, _ limit: Stamp, _ voucher: Int) {
        let truth = carried(replicas[voucher].state)
        if replicas[index].state.removeRefuted(through: limit, by: truth) {
            reached.insert(.refuted)
        }
        replicas[index].state.join(truth)
        replicas[index].seen |= replicas[voucher].seen
        check(index, always: true)
    }
}
