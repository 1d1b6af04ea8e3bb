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

    /// How many members a list may have that follows one of so many.
    ///
    /// One member is taken out only where every write is on two nodes, and where those that stay
    /// are enough for every keyspace: a file that asks for more replicas than it has members is
    /// refused.
    ///
    /// - Parameter isAtRest: whether every member has all that it replicates.
    func memberCounts(after count: Int, isAtRest: Bool) -> [Int] {
        let more = [count + 1, count + 2].filter { $0 <= nodes }
        let mayShrink = isAtRest && count > 3 && keyspaces.allSatisfy { $0.w > 1 && $0.n < count }
        return mayShrink ? more + [count - 1] : more
    }
}
