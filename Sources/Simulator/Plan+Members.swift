import Base

extension Plan {
    /// Apart from the draws of the generator, so that other seeds stay as they are.
    mutating func drawExpiries(_ seed: UInt64) {
        changesExpiries = [4, 8].contains(seed % 11)
        expiresTyped = [2, 6, 9].contains(seed % 11)
    }

    /// Lists of members that change, where no disk is lost, no clock is wrong and no operator
    /// changes keyspaces besides.
    mutating func drawMembers(_ seed: UInt64) {
        var random = PRNG(seed: seed ^ 0x4D_45_4D_42)
        let kind = FaultKind.memberChange
        guard random.chance(perMille: kind.seedsPerMille), administrationMean == nil,
            !mayMisleadClocks
        else { return }
        for other in [FaultKind.rot, .restore, .wipe, .clockJump, .rollBack] {
            faultMeans[other.rawValue] = nil
        }
        faultMeans[kind.rawValue] = .nanoseconds(
            milliseconds: 500 + UInt64(random.below(kind.meanMilliseconds * 2)))
        if random.chance(perMille: 600) { keyspaces.removeAll { $0.w < 2 } }
        hasRelic = false
        membersAtFirst = nodes
        nodes += 1 + random.below(2)
    }
}
