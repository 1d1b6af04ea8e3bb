import Base
import Testing

@testable import CRDT

@Suite("The chunked map")
struct ChunkedMapTests {
    @Test("it does what a sorted array of pairs does, and its chunks stay bounded")
    func model() {
        var random = PRNG(seed: 1)
        for keys in [40, 3_000] {
            var map = ChunkedMap<Int, Int>()
            var model: [Int: Int] = [:]
            for step in 0..<6_000 {
                let key = random.below(keys)
                let isRemoval = random.chance(perMille: step < 4_000 ? 200 : 800)
                model[key] = isRemoval ? nil : step
                map.change(key) { $0 = isRemoval ? nil : step }
            }
            let sorted = model.sorted { $0.key < $1.key }
            #expect(map.count == sorted.count)
            #expect(map.map(\.key) == sorted.map(\.key))
            #expect(map.map(\.value) == sorted.map(\.value))
            #expect(map.chunks.allSatisfy { 1...ChunkedMap<Int, Int>.chunkMax ~= $0.keys.count })
            for (index, pair) in sorted.enumerated() {
                #expect(map.entry(at: index) == (pair.key, pair.value))
                #expect(map.rank(of: pair.key) == index)
                #expect(map[pair.key] == pair.value)
            }
            for _ in 0..<50 {
                let key = random.below(keys)
                #expect(map.rank(of: key) == sorted.count { $0.key < key })
                let index = random.below(sorted.count + 1)
                var rest = map.iterator(from: index)
                #expect(rest.next()?.key == sorted.dropFirst(index).first?.key)
            }
        }
    }

    @Test("equality does not see the chunks")
    func equality() {
        var grown = ChunkedMap<Int, Int>()
        var built = ChunkedMap<Int, Int>()
        for key in (0..<500).reversed() { grown.change(key) { $0 = key } }
        for key in 0..<500 { built.append(key, key) }
        #expect(grown == built)
        #expect(grown.chunks.map(\.keys.count) != built.chunks.map(\.keys.count))
        built.change(499) { $0 = 0 }
        #expect(grown != built)
    }
}
