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

    /// A replica returns on an old copy, takes writes that nobody hears of, and only then meets one
    /// that has everything up to what is settled.
    private mutating func goBack(_ index: Int, to copy: Replica, _ profile: Profile) {
        settle()
        let limit = settled
        let early = numbered { $0.dot.stamp <= limit } & copy.seen
        let vouchers = replicas.indices.filter { $0 != index && early & ~replicas[$0].seen == 0 }
        guard !vouchers.isEmpty else { return }
        let voucher = vouchers[random.below(vouchers.count)]
        replace(index, by: copy.state, seen: copy.seen)
        let sent = messages
        for _ in 0..<random.below(3) where oracle.ops.count < World.opsMax {
            act(index, profile)
        }
        messages = sent
        let truth = carried(replicas[voucher].state)
        if replicas[index].state.removeRefuted(through: limit, by: truth) {
            reached.insert(.refuted)
        }
        replicas[index].state.join(truth)
        replicas[index].seen |= replicas[voucher].seen
        check(index, always: true)
    }
}
