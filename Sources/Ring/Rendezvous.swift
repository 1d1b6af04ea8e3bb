import Base

/// How much a node wants a key range: the node whose clock rings first gets it.
///
/// Each pair of node and range draws a fixed uniform u; the time −log₂(u) / weight is exponential
/// with the weight as its rate, so a node is first with the probability weight / sum of weights,
/// whatever other nodes there are. A node that joins takes ranges only for itself; one that leaves
/// gives only its own away.
///
/// Source: Thaler & Ravishankar, "Using Name-Based Mappings to Increase Hit Rates" (1998);
/// weights after Schindelhauer & Schomaker, "Weighted Distributed Hash Tables" (2005), §4.
struct Rendezvous: Equatable, Comparable {
    /// −log₂(u) in units of 2⁻⁴⁸.
    let delay: UInt64
    let weight: UInt64
    let node: NodeID

    init(_ member: Member, _ range: KeyRange) {
        let seed = finalMix(UInt64(member.node.rawValue) &+ 0x9E37_79B9_7F4A_7C15)
        let drawn = finalMix(seed &+ UInt64(range.rawValue) &* 0xD1B5_4A32_D192_ED03)
        delay = negativeLog2(drawn)
        weight = UInt64(member.weight)
        node = member.node
    }

    /// Earlier first, compared crosswise so that nothing is divided; equal times by node.
    static func < (a: Rendezvous, b: Rendezvous) -> Bool {
        // 65 · 2⁴⁸ · 2¹⁶ does not fit into 64 bits.
        let left = a.delay.multipliedFullWidth(by: b.weight)
        let right = b.delay.multipliedFullWidth(by: a.weight)
        if left == right { return a.node < b.node }
        return (left.high, left.low) < (right.high, right.low)
    }
}

/// −log₂(drawn / 2⁶⁴) in units of 2⁻⁴⁸, taking 0 as 1.
///
/// One binary digit of the logarithm a squaring. Truncation adds below 2⁻⁶² in the first digit and
/// half as much in each next, so the result is too large by less than one unit and 2⁻¹³ of a unit.
func negativeLog2(_ drawn: UInt64) -> UInt64 {
    let value = max(1, drawn)
    var mantissa = value << UInt64(value.leadingZeroBitCount)
    var fraction: UInt64 = 0
    for _ in 0..<48 {
        let square = mantissa.multipliedFullWidth(by: mantissa).high
        let isTwoOrMore = square >> 63 != 0
        mantissa = isTwoOrMore ? square : square << 1
        fraction = fraction << 1 | (isTwoOrMore ? 1 : 0)
    }
    return UInt64(value.leadingZeroBitCount + 1) << 48 - fraction
}
