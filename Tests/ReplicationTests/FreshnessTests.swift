import Base
import Causality
import Ring
import Testing

@testable import Replication

@Suite("What is known of another node's writes")
struct FreshnessTests {
    private let range = KeyRange(9)

    private func closed(_ at: UInt64) -> LinkFreshness.Closed {
        .init(stamp: Stamp(rawValue: at), at: at)
    }

    @Test("nothing is known before trees were found equal, however much was reported")
    func unknown() {
        var link = LinkFreshness()
        _ = link.heard(0, closed(10))
        #expect(link.closed(3, range) == LinkFreshness.Closed())
        link.foundEqual(3, range, 0)
        #expect(link.closed(3, range) == closed(10))
        #expect(link.closed(2, range) == LinkFreshness.Closed(), "other replicas, other trees")
        _ = link.heard(0, closed(20))
        #expect(link.closed(3, range) == closed(20))
    }

    @Test("a write that was sent and not received stops the clock until trees are equal again")
    func missing() {
        var link = LinkFreshness()
        link.foundEqual(3, range, 0)
        var missed = [link.heard(0, closed(10)), link.heard(55, closed(20))]
        #expect(link.closed(3, range) == closed(10))
        missed.append(link.heard(55, closed(30)))
        #expect(missed == [false, true, false], "what was missed is told once")
        #expect(link.closed(3, range) == closed(10))
        link.foundEqual(3, range, 55)
        #expect(link.closed(3, range) == closed(30))
        #expect(link.closed(3, KeyRange(8)) == LinkFreshness.Closed())
    }

    @Test("a write that arrives late counts when it is there")
    func late() {
        var link = LinkFreshness()
        link.foundEqual(3, range, 0)
        _ = link.heard(0, closed(10))
        _ = link.heard(55, closed(20))
        link.received &+= 55
        _ = link.heard(55, closed(30))
        #expect(link.closed(3, range) == closed(30))
    }

    @Test("a write that arrives twice is never taken for another one")
    func twice() {
        var link = LinkFreshness()
        link.foundEqual(3, range, 0)
        link.received &+= 2 &* 55
        _ = link.heard(55 &+ 77, closed(10))
        #expect(link.closed(3, range) == LinkFreshness.Closed())
    }

    @Test("what was known when a link broke stays known, and no more")
    func broken() {
        var link = LinkFreshness()
        link.foundEqual(3, range, 0)
        _ = link.heard(0, closed(10))
        link.begin(forgetting: true)
        _ = link.heard(0, closed(20))
        #expect(link.closed(3, range) == closed(10))
        link.foundEqual(3, range, 0)
        #expect(link.closed(3, range) == closed(20))
    }

    @Test("an older report that arrives later takes nothing back")
    func overtaken() {
        var link = LinkFreshness()
        link.foundEqual(3, range, 0)
        _ = link.heard(0, closed(20))
        _ = link.heard(0, closed(10))
        #expect(link.closed(3, range) == closed(20))
    }

    /// One sender, one receiver, messages lost, doubled, overtaken and refused: whatever a report
    /// closes is really there.
    @Test("whatever is lost, doubled, overtaken or refused, a range is closed only if it is whole")
    func schedules() {
        var closedSomething = 0
        for seed in 0..<400 as Range<UInt64> {
            var random = PRNG(seed: seed)
            var link = LinkFreshness()
            var sum: UInt64 = 0
            var (sent, held): (Set<UInt64>, Set<UInt64>) = ([], [])
            var way: [(write: UInt64?, sum: UInt64, time: UInt64)] = []
            var writtenAt: [(write: UInt64, time: UInt64)] = []
            for time in 1..<120 as Range<UInt64> {
                switch random.below(6) {
                case 0, 1:
                    sum &+= finalMix(time)
                    sent.insert(time)
                    writtenAt.append((time, time))
                    if random.below(5) > 0 { way.append((time, sum, time)) }
                    if random.below(12) == 0 { way.append((time, sum, time)) }
                case 2: way.append((nil, sum, time))
                case 3 where sent == held: link.foundEqual(3, range, sum)
                case 3 where random.below(4) == 0:
                    held = sent
                    link.foundEqual(3, range, sum)
                default:
                    guard !way.isEmpty else { continue }
                    let message = way.remove(at: random.below(3) == 0 ? way.count - 1 : 0)
                    if let write = message.write {
                        guard random.below(10) > 0 else { continue }
                        held.insert(write)
                        link.received &+= finalMix(write)
                    } else {
                        _ = link.heard(message.sum, closed(message.time))
                    }
                }
                let at = link.closed(3, range).at
                closedSomething += at > 0 ? 1 : 0
                #expect(writtenAt.allSatisfy { $0.time > at || held.contains($0.write) })
            }
        }
        #expect(closedSomething > 1_000)
    }
}
