import Base
import Causality
import Coding
import Testing

@testable import Replication

@Suite("The hints for one node")
struct HintQueueTests {
    private func hint(_ key: [UInt8], _ stamp: UInt64) -> Hint {
        var bytes = [UInt8](repeating: 0, count: Record.length(keyBytes: key.count, bodyBytes: 1))
        let dot = Dot(
            identity: ReplicaIdentity(node: NodeID(1), epoch: 1), stamp: Stamp(rawValue: stamp))
        bytes.withUnsafeMutableBytes { bytes in
            guard let base = bytes.baseAddress else { return }
            key.withUnsafeBytes { key in
                [UInt8(7)].withUnsafeBytes {
                    Record.write(to: base, kind: .value, dot: dot, expiry: 0, key: key, body: $0)
                }
            }
        }
        return Hint(record: bytes, since: 1)
    }

    @Test("an old hint and a key that is rewritten for ever take what two hints take")
    func rewritten() {
        var queue = HintQueue()
        let (old, new): ([UInt8], [UInt8]) = ([1], [2])
        queue.put(hint(old, 1), key: old)
        for stamp in 2..<200_000 as Range<UInt64> {
            queue.put(hint(new, stamp), key: new)
            #expect(queue.slotCount <= 1_024)
        }
        queue.checkInvariants()
        #expect(queue.count == 2)
        #expect(queue.first(from: 0)?.number == 1)
        #expect(queue.number(of: new) == 199_999)
        #expect(queue.latest.rawValue == 199_999)
    }

    @Test("a number names one state for ever, and the order is that of the numbers")
    func model() {
        var random = PRNG(seed: 5)
        var queue = HintQueue()
        var kept: [(number: UInt64, key: [UInt8], stamp: UInt64)] = []
        var next: UInt64 = 1
        for step in 0..<20_000 as Range<UInt64> {
            let key = [UInt8(random.below(200)), UInt8(random.below(8))]
            if random.below(3) > 0 {
                kept.removeAll { $0.key == key }
                queue.put(hint(key, step), key: key)
                kept.append((next, key, step))
                next += 1
            } else if let index = kept.isEmpty ? nil : random.below(kept.count) {
                queue.remove(kept[index].number, key: kept[index].key)
                kept.remove(at: index)
            }
            guard step % 500 == 0 else { continue }
            queue.checkInvariants()
            var walked: [UInt64] = []
            var from: UInt64 = 0
            while let (number, hint) = queue.first(from: from) {
                walked.append(number)
                #expect(
                    hint.withRecord { $0.dot.stamp.rawValue }
                        == kept.first { $0.number == number }?.stamp)
                from = number + 1
            }
            #expect(walked == kept.map(\.number))
            #expect(queue.slotCount <= 2 * kept.count + 1_024)
            #expect((1..<next).count { queue[$0] != nil } == kept.count)
        }
    }
}
