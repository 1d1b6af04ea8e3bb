import AntiEntropy
import Base
import Testing

@Suite struct CoverageTests {
    @Test("a tree is covered when each of its leaves was, in whatever order and however often")
    func leaves() {
        var random = PRNG(seed: 1)
        var coverage = Coverage()
        var left = Set(0..<HashTree.leafCount)
        while !left.isEmpty {
            #expect(!coverage.isComplete)
            let leaf = random.below(HashTree.leafCount)
            coverage.cover(1 << UInt32(leaf % 32), of: 1 + leaf / 32)
            left.remove(leaf)
            let branch = leaf / 32
            let isOpen = left.contains { $0 / 32 == branch }
            #expect((coverage.open(of: 0) & 1 << UInt32(branch) != 0) == isOpen)
        }
        #expect(coverage.isComplete && coverage.open(of: 0) == 0 && coverage.open(of: 7) == 0)
    }

    @Test("a branch covers its leaves, the root all")
    func branches() {
        var coverage = Coverage()
        coverage.cover(.max ^ 1, of: 0)
        #expect(coverage.open(of: 0) == 1 && coverage.open(of: 1) == .max)
        coverage.cover(.max, of: 1)
        #expect(coverage.isComplete)
        var other = Coverage()
        other.cover(.max, of: 0)
        #expect(other.isComplete)
    }

    @Test("what a replica lacked before it was whole counts for nothing once it is")
    func wholeness() {
        var coverage = Coverage()
        let isFirstCounted = coverage.counts(answerOfWhole: false)
        coverage.coverAll()
        let isWholeCounted = coverage.counts(answerOfWhole: true)
        #expect(isFirstCounted && isWholeCounted)
        #expect(!coverage.isComplete && coverage.isOfWhole)
        coverage.cover(1, of: 0)
        let isLateCounted = coverage.counts(answerOfWhole: false)
        let isNextCounted = coverage.counts(answerOfWhole: true)
        #expect(!isLateCounted && isNextCounted, "an answer from before comes too late")
        #expect(coverage.open(of: 0) == UInt32.max - 1)
    }
}
