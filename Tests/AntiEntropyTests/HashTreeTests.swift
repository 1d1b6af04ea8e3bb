import AntiEntropy
import Base
import Testing

@Suite struct HashTreeTests {
    @Test("trees of the same states are equal, whatever the order and the detours")
    func order() {
        var random = PRNG(seed: 1)
        let states = (0..<500).map { _ in (hash: random.next(), digest: random.next()) }
        var straight = HashTree()
        for state in states { straight.change(state.hash, from: 0, to: state.digest) }
        var detour = HashTree()
        for state in states.reversed() { detour.change(state.hash, from: 0, to: 7) }
        for state in states { detour.change(state.hash, from: 7, to: state.digest) }
        #expect(straight == detour)
        straight.checkInvariants()
    }

    @Test("one state more shows in the root, its branch and its leaf, and nowhere else")
    func difference() {
        var random = PRNG(seed: 2)
        for _ in 0..<200 {
            var tree = HashTree()
            for _ in 0..<50 { tree.change(random.next(), from: 0, to: random.next()) }
            var other = tree
            let hash = random.next()
            other.change(hash, from: 0, to: random.next())
            let leaf = HashTree.leaf(of: hash)
            #expect(tree.root != other.root)
            for branch in 0..<HashTree.fanOut {
                let isOwn = branch == leaf / 32
                #expect((Array(tree.branches)[branch] != Array(other.branches)[branch]) == isOwn)
                let differing = zip(tree.leaves(of: branch), other.leaves(of: branch)).enumerated()
                    .filter { $0.element.0 != $0.element.1 }.map { $0.offset + branch * 32 }
                #expect(differing == (isOwn ? [leaf] : []))
            }
        }
    }

    @Test("a tree from which everything was taken equals one that never held anything")
    func empty() {
        var tree = HashTree()
        tree.change(1 << 63, from: 0, to: 5)
        tree.change(1 << 63, from: 5, to: 0)
        let untouched = HashTree()
        #expect(tree.root == untouched.root && tree.branches.elementsEqual(untouched.branches))
        #expect(tree.leaves(of: 16).elementsEqual(untouched.leaves(of: 16)))
    }

    @Test("the leaves divide the hashes among them", arguments: [0, 1, 511, 1_022, 1_023])
    func leaves(leaf: Int) {
        let hashes = HashTree.hashes(of: leaf)
        #expect(HashTree.leaf(of: hashes.lowerBound) == leaf)
        #expect(HashTree.leaf(of: hashes.upperBound) == leaf)
        #expect(leaf == 1_023 ? hashes.upperBound == .max : leaf >= 0)
        if leaf > 0 {
            #expect(HashTree.hashes(of: leaf - 1).upperBound + 1 == hashes.lowerBound)
        }
    }
}
