import Base
import Testing

@testable import Causality

@Suite("Version vectors")
struct VersionVectorTests {
    /// Every vector of three identities with stamps up to 2, beside the set of dots it stands for.
    private var all: [(vector: VersionVector, dots: Set<Dot>)] {
        (0..<27).map { number in
            var result = VersionVector()
            var dots: Set<Dot> = []
            for (node, highest) in [(3, number / 9), (1, number / 3 % 3), (2, number % 3)] {
                for stamp in (0..<highest).reversed() {
                    result.insert(dot(UInt16(node), UInt64(stamp) + 1))
                    dots.insert(dot(UInt16(node), UInt64(stamp) + 1))
                }
            }
            return (result, dots)
        }
    }

    @Test("membership, order and join are those of sets of dots")
    func sets() {
        for a in all {
            for node in 1...3 {
                for stamp in 1...2 {
                    let one = dot(UInt16(node), UInt64(stamp))
                    #expect(a.vector.contains(one) == a.dots.contains(one))
                }
            }
            for b in all {
                #expect(a.vector.dominates(b.vector) == a.dots.isSuperset(of: b.dots))
                #expect(a.vector.compare(b.vector) == order(a.dots, b.dots))
                var joined = a.vector
                joined.join(b.vector)
                let union = a.dots.union(b.dots)
                #expect(joined == all.first { $0.dots == union }?.vector)
            }
        }
    }

    private func order(_ a: Set<Dot>, _ b: Set<Dot>) -> CausalOrder {
        if a == b { return .equal }
        if a.isSuperset(of: b) { return .after }
        return a.isSubset(of: b) ? .before : .concurrent
    }

    @Test("the newest dot is the last in last-writer-wins order")
    func newest() {
        #expect(VersionVector().newest == nil)
        #expect(vector(dot(1, 5), dot(2, 7), dot(3, 7)).newest == dot(3, 7))
    }
}
