import Base
import Glibc
import Testing

private func hash(_ bytes: [UInt8], _ key: UInt64 = 1) -> UInt64 {
    bytes.withUnsafeBytes { keyHash($0, key: key) }
}

@Suite("The key hash")
struct KeyHashTests {
    @Test("one flipped bit changes about half of the hash, at every place and length up to 70")
    func avalanche() {
        var random = PRNG(seed: 1)
        for length in 1...70 {
            let bytes = (0..<length).map { _ in UInt8(random.below(256)) }
            let original = hash(bytes)
            var changed = 0
            for bit in 0..<length * 8 {
                var flipped = bytes
                flipped[bit / 8] ^= 1 << UInt8(bit % 8)
                let distance = (hash(flipped) ^ original).nonzeroBitCount
                #expect(distance > 8)
                changed += distance
            }
            #expect(abs(Double(changed) / Double(length * 8) - 32) < 4)
        }
    }

    @Test("runs of zeros of different lengths differ, and so do different keys")
    func lengthAndKey() {
        let hashes = (0...200).map { hash(Array(repeating: 0, count: $0)) }
        #expect(Set(hashes).count == 201)
        let keyed = (0..<1_000).map { hash([1, 2, 3], $0) }
        #expect(Set(keyed).count == 1_000)
    }

    @Test("the same bytes have one hash at every alignment, and nothing behind them is read")
    func boundsAndAlignment() throws {
        let page = 4_096
        let memory = mmap(
            nil, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        let base = try #require(memory)
        defer { munmap(base, 2 * page) }
        #expect(mprotect(base + page, page, PROT_NONE) == 0)
        for length in 1...70 {
            let bytes = (0..<length).map { UInt8($0 * 7 % 256) }
            for gap in [0, 1, 3, 9] {
                let place = base + page - length - gap
                place.copyMemory(from: bytes, byteCount: length)
                #expect(keyHash(.init(start: place, count: length), key: 1) == hash(bytes))
            }
        }
    }

    @Test(
        "keys as people name them fill 1,024 buckets evenly, by low and by high bits",
        arguments: ["key:%", "user:%:profile", "%", "orders:{%}:a-rather-long-key-behind-it"])
    func buckets(pattern: String) {
        var low = Array(repeating: 0, count: 1_024)
        var high = low
        var all: Set<UInt64> = []
        let parts = pattern.split(separator: "%", omittingEmptySubsequences: false)
        for number in 0..<20_480 {
            let value = hash(Array((parts[0] + "\(number)" + parts[1]).utf8))
            low[Int(value & 1_023)] += 1
            high[Int(value >> 54)] += 1
            all.insert(value)
        }
        #expect(all.count == 20_480)
        for counts in [low, high] {
            let square = counts.reduce(0.0) { $0 + Double(($1 - 20) * ($1 - 20)) / 20 }
            #expect(square < 1_023 + 5 * (2 * 1_023.0).squareRoot())
        }
    }

    @Test("no keys collide under every key of the hash: none zeroes a factor of the multiply")
    func chosenKeys() {
        let secret: [UInt8] = withUnsafeBytes(of: UInt64(0xE703_7ED1_A0B4_28DB)) { Array($0) }
        let filler = [UInt8](repeating: 5, count: 16)
        for key in [1, 0x1234_5678_9ABC_DEF0] as [UInt64] {
            let short = (0..<100).map { hash(secret + [UInt8($0), 1, 2, 3, 4, 5, 6, 7], key) }
            #expect(Set(short).count == 100)
            let long = (0..<100).map {
                hash(secret + [UInt8($0), 1, 2, 3, 4, 5, 6, 7] + filler, key)
            }
            #expect(Set(long).count == 100)
        }
    }
}
