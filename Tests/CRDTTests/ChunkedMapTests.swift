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

    @Test("many keys at once do what one after the other does")
    func manyAtOnce() {
        var random = PRNG(seed: 2)
        var map = ChunkedMap<Int, Int>()
        var model: [Int: Int] = [:]
        for step in 0..<400 {
            let keys = Set(
                (0..<random.below(step % 9 == 0 ? 900 : 60)).map { _ in
                    random.below(6_000)
                }
            ).sorted()
            let removes = random.chance(perMille: 400)
            var asked: [Int] = []
            map.change(ascending: keys) { index, value in
                asked.append(index)
                #expect(value == model[keys[index]])
                value = removes || keys[index] % 7 == 0 ? nil : step
            }
            for key in keys { model[key] = removes || key % 7 == 0 ? nil : step }
            #expect(asked == Array(keys.indices))
            check(map, model)
            #expect(map.values(ascending: keys) == keys.map { model[$0] })
        }
    }

    @Test("entries are inserted and removed by their places")
    func places() {
        var random = PRNG(seed: 3)
        var map = ChunkedMap<Int, Int>()
        var model: [Int: Int] = [:]
        for step in 0..<300 {
            let sorted = model.keys.sorted()
            if random.chance(perMille: 600) || sorted.count < 10 {
                // Between two neighbours there is room for 1,000 numbers.
                let place = random.below(sorted.count + 1)
                let low = place > 0 ? sorted[place - 1] : (sorted.first ?? 0) - 1_000_000
                let high = place < sorted.count ? sorted[place] : low + 1_000_000
                let count = min(high - low - 1, 1 + random.below(step % 5 == 0 ? 700 : 20))
                guard count > 0 else { continue }
                let stride = max(1, (high - low) / (count + 1))
                let keys = (1...count).map { low + $0 * stride }.filter { $0 < high }
                map.insert(keys, keys.map { $0 + step }, at: place)
                for key in keys { model[key] = key + step }
            } else {
                let cuts = Set(
                    (0..<2 * (1 + random.below(9))).map { _ in
                        random.below(sorted.count + 1)
                    }
                ).sorted()
                let ranges = stride(from: 0, to: cuts.count - 1, by: 2).map {
                    cuts[$0]..<min(cuts[$0 + 1], cuts[$0] + 200)
                }
                var removed: [Int] = []
                map.remove(at: ranges) { key, value in
                    removed.append(key)
                    #expect(value == model[key])
                }
                #expect(removed == ranges.flatMap { sorted[$0] })
                for key in removed { model[key] = nil }
            }
            check(map, model)
        }
    }

    private func check(_ map: ChunkedMap<Int, Int>, _ model: [Int: Int]) {
        let sorted = model.sorted { $0.key < $1.key }
        #expect(map.count == sorted.count)
        #expect(map.map(\.key) == sorted.map(\.key))
        #expect(map.map(\.value) == sorted.map(\.value))
        #expect(map.chunks.allSatisfy { 1...ChunkedMap<Int, Int>.chunkMax ~= $0.keys.count })
    }

    /// A key that counts how often it is compared.
    private struct CountedKey: Comparable {
        final class Counter { var count = 0 }

        let number: Int
        let counter: Counter

        static func == (a: CountedKey, b: CountedKey) -> Bool {
            a.counter.count += 1
            return a.number == b.number
        }

        static func < (a: CountedKey, b: CountedKey) -> Bool {
            a.counter.count += 1
            return a.number < b.number
        }
    }

    @Test("to add or remove many keys at once compares each of them a few times")
    func comparisons() {
        let counter = CountedKey.Counter()
        let keys = (0..<50_000).map { CountedKey(number: $0, counter: counter) }
        var map = ChunkedMap<CountedKey, Int>()
        map.change(ascending: keys.filter { $0.number % 2 == 0 }) { $1 = $0 }
        #expect(counter.count <= 2 * 25_000)
        counter.count = 0
        map.change(ascending: keys) { $1 = $0 }
        #expect(counter.count <= 5 * 50_000)
        counter.count = 0
        map.change(ascending: keys.filter { $0.number % 3 > 0 }) { $1 = nil }
        #expect(counter.count <= 5 * 50_000)
        counter.count = 0
        var removed = 0
        map.remove(at: [100..<15_000]) { _, _ in removed += 1 }
        #expect(removed == 14_900)
        #expect(counter.count == 0)
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
