import AntiEntropy
import Base
import Causality
import Coding
import Membership
import Ring

@testable import Replication

// A journal payload of each kind, as the node's own encoders write it.
extension Hostility {
    /// - Parameter ringDigest: of the ring that the node has.
    mutating func payload(of kind: JournalKind, ringDigest: UInt64) -> [UInt8] {
        let head = [kind.rawValue]
        switch kind {
        case .record, .corrected: return head + record()
        case .removal: return head + key()
        case .definitions:
            let list = (0..<one(of: [0, 1, 1, 2])).map { _ in definition() }
            return head + little(UInt16(list.count)) + list.flatMap { $0 }
        case .delta: return head + delta()
        case .members:
            let drawn = membershipMessage()
            let message =
                random.below(8) == 0
                ? drawn
                : MembershipMessage(
                    sender: drawn.sender, content: .records(memberRecords()),
                    updates: drawn.updates)
            return head + encoded { message.encode(into: &$0) }
        case .wholeness:
            var whole = RangeSet()
            for _ in 0..<random.below(300) { whole.insert(UInt8(random.below(256))) }
            let choices: [[(n: UInt8, whole: RangeSet)]] = [
                [], [(2, .all)], [(3, whole)], [(2, whole), (3, .all), (64, whole)],
            ]
            let marker = WholenessMarker(
                ringDigest: random.below(8) == 0 ? number() : ringDigest,
                isOver: random.below(3) == 0, parts: one(of: choices))
            return encoded { marker.encode(into: &$0) }
        case .hint: return head + little(one(of: Hostility.nodes)) + little(number()) + record()
        case .hintOver: return head + little(one(of: Hostility.nodes)) + key()
        case .collection:
            var marker = CollectionMarker()
            for n in [2, 3, 64] where random.below(2) == 0 {
                // What no clock shows is refused.
                let (promised, collected) = (promise(), promise())
                marker.parts.append(
                    .init(n: n, hintedUntil: number(), promised: promised, collected: collected))
            }
            return encoded { marker.encode(into: &$0) }
        case .dropped:
            let (first, last) = (number(), number())
            let piece = DroppedPiece(
                n: one(of: [2, 3, 64]), range: KeyRange(UInt8(random.below(256))),
                hashes: min(first, last)...max(first, last))
            return encoded { piece.encode(into: &$0) }
        case .request: return request()
        case .correction:
            let correction = ClockCorrection(
                retired: identity(), limit: stamp(), bound: one(of: [0, wall, number()]))
            return head + encoded { correction.encode(into: &$0) }
        case .correctionOver: return head
        case .configured:
            var configured = ConfiguredKeyspaces()
            let names = ["default", "s", "t", "gone", "", String(repeating: "n", count: 255)]
            configured.take(
                (0..<random.below(4)).map { _ in
                    (name: Array(one(of: names).utf8), digest: number())
                })
            if random.below(2) == 0 { configured.noteCommand() }
            return head + encoded { configured.encode(into: &$0) }
        case .forgetting:
            let marker = marker()
            return head + encoded { marker.encode(into: &$0) }
        }
    }

    private mutating func promise() -> RangeStamps {
        guard random.below(10) > 0 else { return rangeStamps() }
        var stamps = RangeStamps()
        let end = ClockReading.millisecondsMax << 16 - 1
        for range in UInt8.min...UInt8.max { stamps.raise(range, to: min(stamp().rawValue, end)) }
        return stamps
    }

    private mutating func request() -> [UInt8] {
        let entry: RequestLedger.Entry = random.below(2) == 0 ? .claimed(claim()) : .done(outcome())
        let (name, since) = (requestName(), one(of: [wall, number()]))
        let isBeforeEffect = random.below(2) == 0
        return encoded {
            Node.encode(name, entry, since: since, isBeforeEffect: isBeforeEffect, into: &$0)
        }
    }
}
