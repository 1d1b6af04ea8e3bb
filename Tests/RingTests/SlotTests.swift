import Testing

@testable import Ring

func slot(_ key: String) -> UInt16 {
    Array(key.utf8).withUnsafeBytes { Slot(key: $0).rawValue }
}

@Suite("Slots as in Redis Cluster")
struct SlotTests {
    @Test("the checksum is CRC-16/XMODEM by its check value")
    func checkValue() {
        let checksum = Array("123456789".utf8).withUnsafeBytes { CRC16.checksum($0) }
        #expect(checksum == 0x31C3)
        #expect(slot("123456789") == 0x31C3)
        #expect(UnsafeRawBufferPointer(start: nil, count: 0).isEmpty && slot("") == 0)
    }

    @Test(
        "keys fall into the slots that CLUSTER KEYSLOT answers",
        arguments: [
            ("foo", 12_182), ("bar", 5_061), ("hello", 866), ("somekey", 11_058),
            ("foo{hash_tag}", 2_515), ("bar{hash_tag}", 2_515),
        ] as [(String, UInt16)])
    func published(key: String, expected: UInt16) {
        #expect(slot(key) == expected)
    }

    @Test(
        "a key with a hash tag lies where its tag lies",
        arguments: [
            ("{user1000}.following", "user1000"), ("{user1000}.followers", "user1000"),
            ("foo{{bar}}zap", "{bar"), ("foo{bar}{zap}", "bar"), ("}{a}", "a"), ("{a}", "a"),
        ])
    func tag(key: String, tag: String) {
        #expect(slot(key) == slot(tag))
    }

    @Test(
        "an empty or unclosed tag is no tag, so the whole key counts",
        arguments: [
            "foo{}{bar}", "{}", "{", "foo{bar", "foo}bar{", "{}x",
        ])
    func noTag(key: String) {
        let whole = Array(key.utf8).withUnsafeBytes { CRC16.checksum($0) } % 16_384
        #expect(slot(key) == whole)
    }

    @Test("ranges are 256 contiguous runs of 64 slots")
    func ranges() {
        #expect(KeyRange.all.flatMap { Array($0.slots) } == Array(0..<16_384))
        for number in 0..<UInt16(16_384) {
            #expect(KeyRange(Slot(number)).slots.contains(Int(number)))
        }
    }
}
