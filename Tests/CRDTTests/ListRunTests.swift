import Base
import Causality
import Testing

@testable import CRDT

/// "Each side's pushes and inserts stay together and in order", whichever nodes of a side made
/// them, wherever, and whatever was removed meanwhile.
@Suite("Runs of the sides of a cut")
struct ListRunTests {
    /// A side of two nodes that hear of each other after every command.
    private struct Side {
        var nodes: [Replica]
        let name: String
        /// Pairs of elements of this side between which nobody else may get; either one of the two
        /// is enough where there are two.
        var bonds: [[[String]]] = []
        var orders: [[String]] = []

        /// - Parameter removes: elements are taken away as well, or given another value.
        mutating func act(_ step: Int, removes: Bool, _ random: inout PRNG) throws {
            let index = random.below(2)
            let texts = nodes[index].state.listTexts(now: 0)
            let dot = nodes[index].dot(UInt64(100 + step))
            if removes, !texts.isEmpty, random.chance(perMille: 50) {
                let place = random.below(texts.count)
                _ = try nodes[index].state.listSet(
                    bytes(texts[place]), at: place, dot: dot, now: 0)
            } else if removes, !texts.isEmpty, random.chance(perMille: 300) {
                let place = random.below(texts.count)
                _ = try nodes[index].state.listRemove(at: [place], dot: dot, now: 0)
            } else {
                // Mostly where the side has been before.
                let own = texts.indices.filter { texts[$0].hasPrefix(name) }
                let near =
                    own.isEmpty || random.chance(perMille: 300)
                    ? random.below(texts.count + 1)
                    : own[random.below(own.count)] + random.below(2)
                let text = "\(name)\(step)"
                _ = try nodes[index].state.listInsert([bytes(text)], at: near, dot: dot, now: 0)
                let left = near > 0 ? texts[near - 1] : ""
                let right = near < texts.count ? texts[near] : ""
                bonds.append(
                    [[left, text], [text, right]].filter { pair in
                        pair.allSatisfy { $0.hasPrefix(name) }
                    })
            }
            orders.append(nodes[index].state.listTexts(now: 0))
            nodes[1 - index].join(nodes[index])
        }

        /// Bonds that something of another side has torn.
        func torn(in texts: [String]) -> [[[String]]] {
            bonds.filter { pairs in
                let whole = pairs.filter { pair in
                    guard let first = texts.firstIndex(of: pair[0]),
                        let last = texts.firstIndex(of: pair[1])
                    else { return true }
                    return texts[min(first, last)...max(first, last)].allSatisfy {
                        $0.hasPrefix(name) || $0.hasPrefix("x")
                    }
                }
                return !pairs.isEmpty && whole.isEmpty
            }
        }
    }

    @Test(
        "random commands of two nodes on each of two or three sides, with removals and without",
        arguments: [false, true], [2, 3])
    func runs(_ removes: Bool, _ count: Int) throws {
        for seed in 0..<300 as Range<UInt64> {
            var random = PRNG(seed: seed)
            // All have written what is there before the cut.
            var nodes = (1...2 * count).map { Replica(UInt16($0)) }
            for step in 0..<random.below(6) {
                let author = random.below(nodes.count)
                let place = random.below(nodes[author].state.listCount(now: 0) + 1)
                _ = try nodes[author].state.listInsert(
                    [bytes("x\(step)")], at: place, dot: nodes[author].dot(UInt64(step + 1)),
                    now: 0)
                for index in nodes.indices { nodes[index].join(nodes[author]) }
            }
            var sides = (0..<count).map { side in
                Side(nodes: Array(nodes[2 * side..<2 * side + 2]), name: ["a", "b", "c"][side])
            }
            for step in 0..<12 {
                for side in sides.indices { try sides[side].act(step, removes: removes, &random) }
            }
            var merged = sides[0].nodes[0]
            for side in sides { merged.join(side.nodes[1]) }
            let texts = merged.state.listTexts(now: 0)
            for side in sides {
                let torn = side.torn(in: texts)
                #expect(torn.isEmpty, "seed \(seed): \(texts) tears \(torn)")
                for order in side.orders {
                    let shared = order.filter { texts.contains($0) }
                    #expect(texts.filter { order.contains($0) } == shared, "seed \(seed)")
                }
            }
        }
    }
}
