import Base
import Testing

@Suite("The sorted map against an array of pairs")
struct SortedMapTests {
    @Test("any run of writes, removals and look-ups gives what the naive model gives")
    func model() {
        var random = PRNG(seed: 1)
        for bound in [1, 4, 30, 300] {
            var map = SortedMap<Int, Int>()
            var model: [(key: Int, value: Int)] = []
            for step in 0..<1_500 {
                let key = random.below(bound)
                change(&map, &model, key, step, random.below(40))
                #expect(map[key] == model.first { $0.key == key }?.value)
                guard Array(map.keys) == model.map(\.key), Array(map.values) == model.map(\.value)
                else {
                    Issue.record("step \(step) with bound \(bound)")
                    return
                }
                #expect(map.count == model.count && map.isEmpty == model.isEmpty)
            }
        }
    }

    private func change(
        _ map: inout SortedMap<Int, Int>, _ model: inout [(key: Int, value: Int)], _ key: Int,
        _ value: Int, _ kind: Int
    ) {
        let present = model.firstIndex { $0.key == key }
        switch kind {
        case 39:
            map.removeAll { $0.key < key / 2 }
            model.removeAll { $0.key < key / 2 }
        case 0...20:
            map[key] = value
            model.removeAll { $0.key == key }
            model.append((key, value))
            model.sort { $0.key < $1.key }
        case 21...30:
            map[key] = nil
            model.removeAll { $0.key == key }
        default:
            let old = map.update(key) { (held: inout Int) -> Int in
                defer { held += 1 }
                return held
            }
            #expect(old == present.map { model[$0].value })
            if let present { model[present].value += 1 }
        }
    }

    @Test("it iterates in key order, whatever the order of insertion")
    func iteration() {
        var random = PRNG(seed: 2)
        var first = SortedMap<Int, String>()
        var second = SortedMap<Int, String>()
        let keys = (0..<50).shuffled(using: &random)
        for key in keys { first[key] = "\(key)" }
        for key in keys.reversed() { second[key] = "\(key)" }
        #expect(first == second)
        #expect(first.map(\.0) == Array(0..<50))
        #expect(first.map(\.1) == (0..<50).map { "\($0)" })
        first.removeAll()
        #expect(first.isEmpty && first != second)
    }
}
