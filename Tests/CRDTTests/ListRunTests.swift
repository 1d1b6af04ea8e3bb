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

        mutating func act(_ step: Int, removes: Bool, _ random: inout PRNG) throws {
            let index = random.below(2)
            let texts = nodes[index].state.listTexts(now: 0)
            let dot = nodes[index].dot(UInt64(100 + step))
            if removes, !texts.isEmpty, random.chance(perMille: 200) {
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
        "random commands of two nodes on each side; with removals, elements keep their order",
        arguments: [false, true])
    func runs(_ removes: Bool) throws {
        for seed in 0..<400 as Range<UInt64> {
            var random = PRNG(seed: seed)
            var first = Replica(UInt16(1 + random.below(4)))
            for step in 0..<random.below(5) {
                let place = random.below(step + 1)
                _ = try first.state.listInsert(
                    [bytes("x\(step)")], at: place, dot: first.dot(UInt64(step + 1)), now: 0)
            }
            var nodes = (1...4).map { Replica(UInt16($0)) }
            for index in nodes.indices { nodes[index].join(first) }
            var sides = [
                Side(nodes: Array(nodes[..<2]), name: "a"),
                Side(nodes: Array(nodes[2...]), name: "b"),
            ]
            for step in 0..<12 {
                for side in 0...1 { try sides[side].act(step, removes: removes, &random) }
            }
            var merged = sides[0].nodes[0]
            merged.join(sides[1].nodes[0])
            let texts = merged.state.listTexts(now: 0)
            for side in sides {
                // Between elements that stand together because what was between them is gone, the
                // other side may have put something.
                let torn = removes ? [] : side.torn(in: texts)
                #expect(torn.isEmpty, "seed \(seed): \(texts) tears \(torn)")
                for order in side.orders {
                    let shared = order.filter { texts.contains($0) }
                    #expect(texts.filter { order.contains($0) } == shared, "seed \(seed)")
                }
            }
        }
    }
}
