import Base
import Glibc
import Testing

@testable import Ring

/// Different nodes with weight 1 in one zone, drawn from all identifiers.
func randomMembers(_ count: Int, _ random: inout PRNG) -> [Member] {
    var nodes: [UInt16] = []
    while nodes.count < count {
        let node = UInt16(1 + random.below(65_535))
        if !nodes.contains(node) { nodes.append(node) }
    }
    return nodes.map { Member(NodeID($0)) }
}

/// The sum over all ranges of the primaries that `after` has and `before` had not.
func moved(from before: Ring, to after: Ring, replicas: Int) -> [NodeID] {
    KeyRange.all.flatMap { range in
        let old = before.primaries(of: range, replicationFactor: replicas)
        return after.primaries(of: range, replicationFactor: replicas).filter { !old.contains($0) }
    }
}

@Suite("Placement by weighted rendezvous hashing")
struct PlacementTests {
    @Test("the logarithm is exact for powers of two, and within its bound elsewhere")
    func logarithm() {
        for exponent in 0..<UInt64(64) {
            #expect(negativeLog2(1 << exponent) == (64 - exponent) << 48)
        }
        #expect(negativeLog2(0) == 64 << 48)
        #expect(negativeLog2(.max) == 1)
        var random = PRNG(seed: 1)
        for _ in 0..<2_000 {
            let drawn = random.next() >> UInt64(random.below(60))
            let exact = 64 - log2(Double(max(1, drawn)))
            let found = Double(negativeLog2(drawn)) / 0x1p48
            #expect(abs(found - exact) < 0x1p-45)
        }
    }

    @Test("the logarithm never rises with what was drawn")
    func monotone() {
        var random = PRNG(seed: 2)
        for _ in 0..<2_000 {
            let low = random.next() >> UInt64(random.below(60))
            let high = low &+ random.next() >> UInt64(random.below(60))
            if high > low { #expect(negativeLog2(high) <= negativeLog2(low)) }
        }
    }

    /// Expected by a second program that takes exact logarithms to 50 digits.
    @Test("two rings stand as the formula says, so no release moves data by accident")
    func golden() {
        let flat = Ring(members: (1...5).map { Member(NodeID($0)) }, epoch: 1)
        #expect(
            lists(flat, [0, 1, 100, 255]) == [
                [2, 1, 3, 5, 4], [5, 1, 3, 2, 4], [2, 3, 5, 1, 4], [1, 2, 3, 5, 4],
            ])
        #expect(digest(flat) == 0x1CE7_351A_ACF4_B3B8)
        let zoned = Ring(
            members: [
                Member(NodeID(1), weight: 1, zone: 1), Member(NodeID(2), weight: 2, zone: 1),
                Member(NodeID(3), weight: 4, zone: 2), Member(NodeID(4), weight: 1, zone: 2),
                Member(NodeID(5), weight: 3, zone: 3), Member(NodeID(9), weight: 1, zone: 3),
            ], epoch: 1)
        #expect(
            lists(zoned, [0, 1, 100, 255]) == [
                [3, 2, 5, 1, 4, 9], [5, 3, 1, 9, 2, 4], [2, 9, 3, 5, 1, 4], [1, 3, 9, 2, 5, 4],
            ])
        #expect(digest(zoned) == 0xFE00_9736_8229_3A98)
    }

    private func lists(_ ring: Ring, _ ranges: [UInt8]) -> [[UInt16]] {
        ranges.map { ring.preferenceList(of: KeyRange($0)).map(\.rawValue) }
    }

    private func digest(_ ring: Ring) -> UInt64 {
        KeyRange.all.flatMap { ring.preferenceList(of: $0) }
            .reduce(0) { finalMix($0 ^ UInt64($1.rawValue)) }
    }

    @Test("every list holds every member once, and positions are places in it")
    func permutations() {
        var random = PRNG(seed: 3)
        for count in [1, 2, 7, 20] {
            let members = randomMembers(count, &random)
            let ring = Ring(members: members, epoch: 9)
            for range in KeyRange.all {
                let list = ring.preferenceList(of: range)
                #expect(list.sorted() == members.map(\.node).sorted())
                #expect(list.map { ring.position(of: $0, in: range) } == (0..<count).map { $0 })
            }
            #expect(ring.position(of: NodeID(0), in: KeyRange(0)) == nil)
            #expect(ring.primaries(of: KeyRange(0), replicationFactor: 30).count == count)
        }
    }

    @Test("the order in which members are named does not matter")
    func order() {
        var random = PRNG(seed: 4)
        let members = (1...9).map { Member(NodeID($0), weight: $0, zone: $0 % 3) }
        let ring = Ring(members: members, epoch: 1)
        for _ in 0..<5 {
            #expect(Ring(members: members.shuffled(using: &random), epoch: 1) == ring)
        }
    }

    @Test("shares follow the weights: within 3 % over many clusters, within 5 σ in each")
    func balance() {
        var random = PRNG(seed: 5)
        let weights: [UInt16] = [1, 1, 2, 4, 8]
        let clusters = 60
        var sums = [0, 0, 0, 0, 0]
        for _ in 0..<clusters {
            let members = zip(randomMembers(5, &random), weights).map {
                Member($0.node, weight: $1)
            }
            let ring = Ring(members: members, epoch: 1)
            let firsts = KeyRange.all.map { ring.preferenceList(of: $0)[0 + Int($0.rawValue) * 5] }
            for (place, member) in members.enumerated() {
                let held = firsts.filter { $0 == member.node }.count
                sums[place] += held
                let share = Double(member.weight) / 16
                let deviation = (256 * share * (1 - share)).squareRoot()
                #expect(abs(Double(held) - 256 * share) < 5 * deviation)
            }
        }
        for (sum, weight) in zip(sums, weights) {
            let ideal = Double(256 * clusters) * Double(weight) / 16
            #expect(abs(Double(sum) / ideal - 1) < (weight == 1 ? 0.06 : 0.03))
        }
    }
}

@Suite("Movement when members change")
struct MovementTests {
    @Test("a new node takes at most one place in a range, and nothing else moves, in any zones")
    func onlyToTheNewNode() {
        var random = PRNG(seed: 6)
        for _ in 0..<60 {
            let zones = 1 + random.below(4)
            let members = randomMembers(2 + random.below(8), &random).map {
                Member(
                    $0.node, weight: UInt16(1 + random.below(5)),
                    zone: UInt16(random.below(zones)))
            }
            let after = Ring(members: members, epoch: 2)
            let added = members[random.below(members.count)].node
            let before = Ring(members: members.filter { $0.node != added }, epoch: 1)
            for replicas in 1...5 {
                for range in KeyRange.all {
                    let old = before.primaries(of: range, replicationFactor: replicas)
                    let new = after.primaries(of: range, replicationFactor: replicas)
                    let gained = new.filter { !old.contains($0) }
                    let lost = old.filter { !new.contains($0) }
                    #expect(gained == (new.contains(added) ? [added] : []))
                    #expect(lost.count == (old.count < replicas ? 0 : gained.count))
                }
            }
        }
    }

    /// With 256 ranges one cluster's move is a random number around the ideal, as it would be with
    /// any hash; the promise is about its mean over clusters.
    @Test("adding a node to 3…20 nodes moves at most 1.1 × the ideal share")
    func idealShare() {
        var random = PRNG(seed: 7)
        let replicas = 3
        let clusters = 30
        var total = 0.0
        var totalIdeal = 0.0
        var counts = Array(repeating: 0, count: 22)
        for _ in 0..<clusters {
            let members = randomMembers(21, &random)
            var before = Ring(members: Array(members[..<3]), epoch: 0)
            for count in 4...21 {
                let after = Ring(members: Array(members[..<count]), epoch: UInt64(count))
                counts[count] += moved(from: before, to: after, replicas: replicas).count
                before = after
            }
        }
        for count in 4...21 {
            let ideal = Double(clusters * KeyRange.count * replicas) / Double(count)
            #expect(Double(counts[count]) <= 1.1 * ideal, "\(count - 1) nodes and one more")
            total += Double(counts[count])
            totalIdeal += ideal
        }
        #expect(abs(total / totalIdeal - 1) < 0.02)
    }

    @Test("more weight for one node moves ranges to that node only")
    func weight() {
        var random = PRNG(seed: 8)
        let members = randomMembers(7, &random)
        let before = Ring(members: members, epoch: 1)
        let heavier = [Member(members[0].node, weight: 3)] + members[1...]
        let nodes = moved(from: before, to: Ring(members: heavier, epoch: 2), replicas: 3)
        #expect(!nodes.isEmpty && nodes.allSatisfy { $0 == members[0].node })
    }
}

@Suite("Zones")
struct ZoneTests {
    @Test("replicas lie in different zones as far as there are zones, then evenly")
    func spread() {
        var random = PRNG(seed: 9)
        for zones in 1...5 {
            let members = randomMembers(12, &random).enumerated().map {
                Member($1.node, weight: UInt16(1 + random.below(9)), zone: UInt16($0 % zones))
            }
            let ring = Ring(members: members, epoch: 1)
            for range in KeyRange.all {
                for replicas in 1...6 {
                    let nodes = ring.primaries(of: range, replicationFactor: replicas)
                    var held = Array(repeating: 0, count: zones)
                    for member in members where nodes.contains(member.node) {
                        held[Int(member.zone)] += 1
                    }
                    #expect(held.filter { $0 > 0 }.count == min(zones, replicas))
                    let uneven = (held.max() ?? 0) - (held.min() ?? 0)
                    if 12 % zones == 0 { #expect(uneven <= 1) }
                }
            }
        }
    }

    @Test("a zone with fewer nodes than its turn gives way to the others")
    func smallZone() {
        let members = [
            Member(NodeID(1), zone: 1), Member(NodeID(2), zone: 2), Member(NodeID(3), zone: 2),
            Member(NodeID(4), zone: 2),
        ]
        let ring = Ring(members: members, epoch: 1)
        for range in KeyRange.all {
            let list = ring.preferenceList(of: range)
            #expect(list.prefix(2).contains(NodeID(1)))
            #expect(list.count == 4)
        }
    }
}
