import Base

extension Plan {
    /// All disks go back to an earlier time, where nobody has to remember more than was written.
    mutating func drawRollBack(_ seed: UInt64) {
        var random = PRNG(seed: seed ^ 0x52_4F_4C_4C)
        let kind = FaultKind.rollBack
        let isPlain = keyspaces.allSatisfy { !$0.isTyped && !$0.isSloppy && $0.life == .fixed }
        guard random.chance(perMille: kind.seedsPerMille), isPlain, administrationMean == nil,
            sessionClients == 0, boundedReadsPerMille == 0, !mayMisleadClocks, !mayJumpClocks
        else { return }
        faultMeans[kind.rawValue] = .nanoseconds(
            milliseconds: 50 + UInt64(random.below(kind.meanMilliseconds * 2)))
        let losses: [FaultKind] = [.rot, .restore, .wipe]
        for loss in losses { faultMeans[loss.rawValue] = nil }
    }
}
