import Base
import Causality
import Testing

@testable import Replication

@Suite("A table grows without moving everything at once")
struct RecordTableTests {
    /// Hashes that crowd into few homes as well as such that do not.
    private func hash(_ random: inout PRNG, _ isCrowded: Bool) -> UInt64 {
        let any = random.next()
        return isCrowded ? any | 0xFFF0_0000_0000_0000 : any
    }

    private func key(_ number: Int) -> [UInt8] { Array("key\(number)".utf8) }

    private func put(
        _ table: inout RecordTable, _ hash: UInt64, _ key: [UInt8], _ value: UInt8
    ) {
        key.withUnsafeBytes { key in
            let place = table.locate(hash, key)
            let length = Record.length(keyBytes: key.count, bodyBytes: 1)
            let target = table.prepare(
                place, hash, key, length: length, RecordTally(counting: 0, n: 0, isTyped: false))
            [value].withUnsafeBytes { body in
                let dot = Dot(
                    identity: ReplicaIdentity(rawValue: 1), stamp: Stamp(rawValue: 1))
                Record.write(
                    to: target, kind: .value, dot: dot, expiry: 0, key: key, body: body)
            }
        }
    }

    private func value(_ table: borrowing RecordTable, _ hash: UInt64, _ key: [UInt8]) -> UInt8? {
        key.withUnsafeBytes { table.locate(hash, $0).record?.body.first }
    }

    @Test(
        "keys that come, change and go while it grows are found as long as they are there",
        arguments: [false, true])
    func model(_ isCrowded: Bool) {
        var random = PRNG(seed: isCrowded ? 3 : 4)
        var table = RecordTable()
        var hashes: [UInt64] = []
        var values: [UInt8?] = []
        var (live, grown) = (0, 0)
        for step in 0..<20_000 {
            if hashes.isEmpty || random.below(3) > 0 {
                hashes.append(hash(&random, isCrowded && random.below(8) == 0))
                values.append(UInt8(truncatingIfNeeded: step))
                put(
                    &table, hashes[hashes.count - 1], key(hashes.count - 1),
                    UInt8(
                        truncatingIfNeeded: step))
                live += 1
            } else {
                let number = random.below(hashes.count)
                if random.below(2) == 0 {
                    let isThere = key(number).withUnsafeBytes { table.remove(hashes[number], $0) }
                    #expect(isThere == (values[number] != nil))
                    if isThere { live -= 1 }
                    values[number] = nil
                } else {
                    if values[number] == nil { live += 1 }
                    values[number] = UInt8(truncatingIfNeeded: step)
                    put(&table, hashes[number], key(number), UInt8(truncatingIfNeeded: step))
                }
            }
            if table.unmovedSlots > 0 { grown += 1 }
            #expect(table.count == live)
            let number = random.below(hashes.count)
            #expect(value(table, hashes[number], key(number)) == values[number])
        }
        #expect(grown > 20)
        for number in hashes.indices {
            #expect(value(table, hashes[number], key(number)) == values[number])
        }
    }

    @Test("one new key moves few slots, and a walk that goes on meanwhile comes by every key")
    func bounded() {
        var random = PRNG(seed: 9)
        var table = RecordTable()
        var hashes: [UInt64] = []
        var (cursor, seen): (UInt64?, Set<UInt64>) = (nil, [])
        var walked = 0
        var expected: Set<UInt64> = []
        for number in 0..<50_000 {
            let before = table.unmovedSlots
            hashes.append(random.next())
            put(&table, hashes[number], key(number), 1)
            if before > 0 { #expect(before - table.unmovedSlots <= 64 + 400) }
            if cursor == nil {
                (cursor, seen, expected) = (0, [], Set(hashes))
            }
            guard let place = cursor else { continue }
            var budget = WorkBudget(units: 8 * 200, bytes: .max)
            cursor = table.visitHomes(from: place, &budget) { entry in
                seen.insert(entry.hash)
                return 0
            }
            guard cursor == nil else { continue }
            #expect(expected.isSubset(of: seen))
            walked += 1
        }
        #expect(walked > 10)
        #expect(table.count == 50_000)
        var entries: [RecordTable.Entry] = []
        var budget = WorkBudget.unlimited
        _ = table.visitHomes(from: 0, &budget) { entry in
            entries.append(entry)
            return 0
        }
        #expect(entries.count == 50_000)
        for entry in entries { table.remove(entry) }
        #expect(table.count == 0)
    }

    @Test("a table from which most keys went has few slots, and one that is empty has least")
    func shrinks() {
        var random = PRNG(seed: 11)
        var table = RecordTable()
        let empty = table.allocatedBytes
        let hashes = (0..<20_000).map { _ in random.next() }
        for number in hashes.indices { put(&table, hashes[number], key(number), 1) }
        let full = table.capacity
        var (cursor, seen): (UInt64?, Set<UInt64>) = (0, [])
        var walks = 0
        for number in hashes.indices.dropLast(100) {
            let before = table.unmovedSlots
            #expect(key(number).withUnsafeBytes { table.remove(hashes[number], $0) })
            if before > 0 { #expect(before - table.unmovedSlots <= 64 + 400) }
            #expect(table.capacity + table.unmovedSlots <= max(5 * full / 4, 8))
            let other = random.below(hashes.count)
            #expect(value(table, hashes[other], key(other)) == (other > number ? 1 : nil))
            guard let place = cursor else { continue }
            var budget = WorkBudget(units: 8 * 200, bytes: .max)
            cursor = table.visitHomes(from: place, &budget) { entry in
                seen.insert(entry.hash)
                return 0
            }
            guard cursor == nil else { continue }
            #expect(hashes[(number + 1)...].allSatisfy { seen.contains($0) })
            (cursor, seen) = (0, [])
            walks += 1
        }
        #expect(walks > 10)
        #expect(table.capacity <= 8 * 100 && table.unmovedSlots == 0)
        for number in hashes.indices.suffix(100) {
            #expect(value(table, hashes[number], key(number)) == 1)
            #expect(key(number).withUnsafeBytes { table.remove(hashes[number], $0) })
        }
        #expect(table.allocatedBytes == empty)
        for number in 0..<1_000 { put(&table, hashes[number], key(number), 2) }
        #expect(table.count == 1_000 && value(table, hashes[9], key(9)) == 2)
    }

    @Test("hashes between two are visited wherever they stand")
    func between() {
        var random = PRNG(seed: 10)
        var table = RecordTable()
        var hashes: [UInt64] = []
        for number in 0..<5_000 {
            hashes.append(random.next())
            put(&table, hashes[number], key(number), 1)
            guard number % 97 == 0 || table.unmovedSlots > 0 else { continue }
            let (a, b) = (random.next(), random.next())
            let range = min(a, b)...max(a, b)
            var found: [UInt64] = []
            table.visit(range) { hash, _ in found.append(hash) }
            #expect(found.sorted() == hashes.filter { range.contains($0) }.sorted())
            let one = hashes[random.below(hashes.count)]
            var same: [UInt64] = []
            table.visit(one...one) { hash, _ in same.append(hash) }
            #expect(same == [one])
        }
    }
}
