import Base
import Testing

@testable import Secrets

private func bytes(_ hexadecimal: String) -> [UInt8] {
    let digits = hexadecimal.compactMap { $0.hexDigitValue.map(UInt8.init) }
    return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
}

private func sha256(_ message: [UInt8]) -> [UInt8] {
    message.withUnsafeBytes { SHA256.digest($0).bytes }
}

@Suite("FIPS 180-4, SHA-256: the published examples") struct SHA256Tests {
    @Test(
        "the digest of each message",
        arguments: [
            ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (
                "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
            ),
            (
                "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmn"
                    + "hijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
                "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"
            ),
        ])
    func example(message: String, digest: String) {
        #expect(sha256(Array(message.utf8)) == bytes(digest))
    }

    @Test("one million letters a")
    func million() {
        let digest = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"
        #expect(sha256([UInt8](repeating: 97, count: 1_000_000)) == bytes(digest))
    }

    @Test("messages of every length around the ends of blocks have digests of their own")
    func lengths() {
        let digests = Set((0...200).map { sha256([UInt8](repeating: 0, count: $0)) })
        #expect(digests.count == 201)
    }
}

@Suite("RFC 4231: HMAC-SHA-256") struct HMACTests {
    @Test(
        "the code of each test case",
        arguments: [
            (
                [UInt8](repeating: 0x0B, count: 20), Array("Hi There".utf8),
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
            ),
            (
                Array("Jefe".utf8), Array("what do ya want for nothing?".utf8),
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
            ),
            (
                [UInt8](repeating: 0xAA, count: 20), [UInt8](repeating: 0xDD, count: 50),
                "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"
            ),
            (
                Array(1...25), [UInt8](repeating: 0xCD, count: 50),
                "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"
            ),
            (
                [UInt8](repeating: 0xAA, count: 131),
                Array("Test Using Larger Than Block-Size Key - Hash Key First".utf8),
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
            ),
            (
                [UInt8](repeating: 0xAA, count: 131),
                Array(
                    ("This is a test using a larger than block-size key and a larger than "
                        + "block-size data. The key needs to be hashed before being used by the "
                        + "HMAC algorithm.").utf8),
                "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"
            ),
        ])
    func vector(key: [UInt8], message: [UInt8], code: String) {
        let digest = key.withUnsafeBytes { MACKey($0) }.code(of: message)
        #expect(digest.bytes == bytes(code))
    }

    @Test("test case 5: a code that is cut to 128 bits proves as much as it says")
    func truncated() {
        let key = [UInt8](repeating: 0x0C, count: 20).withUnsafeBytes { MACKey($0) }
        let digest = key.code(of: Array("Test With Truncation".utf8))
        var claim = bytes("a3b6167473100ee06e0c796c2955552b")
        #expect(claim.withUnsafeBytes { digest.isProven(by: $0) })
        #expect(!claim.dropLast().withUnsafeBytes { digest.isProven(by: $0) })
        for index in claim.indices {
            claim[index] ^= 1
            #expect(!claim.withUnsafeBytes { digest.isProven(by: $0) })
            claim[index] ^= 1
        }
        #expect(!digest.isProven(by: UnsafeRawBufferPointer(start: nil, count: 0)))
    }
}

@Suite("The cluster's secret") struct ClusterSecretTests {
    private static let plain = [UInt8](0..<32)
    private static let hexadecimal =
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

    @Test(
        "hexadecimal digits, base64 and base64url say the same",
        arguments: [
            hexadecimal, hexadecimal.uppercased(), " \(hexadecimal)\r\n",
            "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
            "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
        ])
    func spellings(text: String) throws {
        #expect(try ClusterSecret(text: text) == ClusterSecret(ClusterSecretTests.plain))
        #expect(try ClusterSecret(text: text).text == ClusterSecretTests.hexadecimal)
    }

    @Test("both alphabets of base64 are read")
    func alphabets() throws {
        let ones = [UInt8](repeating: 0xFF, count: 33)
        for text in ["/", "_"] {
            let secret = try ClusterSecret(text: String(repeating: text, count: 44))
            #expect(secret == ClusterSecret(ones))
        }
    }

    private static let wrong: [(String, ClusterSecret.TextError)] = [
        ("", .tooShort(byteCount: 0)),
        ("00ff", .tooShort(byteCount: 2)), ("correct horse", .malformed),
        (String(hexadecimal.dropLast(2)), .tooShort(byteCount: 31)),
        ("A", .malformed), (String(repeating: "0", count: 2_050), .tooLong),
        (String(hexadecimal.dropLast()), .mistypedHexadecimal(others: 0)),
        ("g" + String(hexadecimal.dropFirst()), .mistypedHexadecimal(others: 1)),
        (String(hexadecimal.dropLast(2)) + "Oo", .mistypedHexadecimal(others: 2)),
    ]

    @Test("what is no secret is refused by what is wrong with it", arguments: wrong)
    func refused(text: String, error: ClusterSecret.TextError) {
        #expect(throws: error) { try ClusterSecret(text: text) }
        #expect(!error.text.contains("correct"))
    }

    @Test("each purpose has a key of its own, and nothing of secret or key is printed")
    func purposes() throws {
        var random = PRNG(seed: 1)
        let (one, other) = (ClusterSecret(from: &random), ClusterSecret(from: &random))
        let codes = [
            one.key(for: "a", cluster: 1).code(of: [1]),
            one.key(for: "b", cluster: 1).code(of: [1]),
            one.key(for: "a", cluster: 2).code(of: [1]),
            other.key(for: "a", cluster: 1).code(of: [1]),
        ]
        #expect(Set(codes.map(\.bytes)).count == 4)
        var printed = ""
        dump(one, to: &printed)
        dump(one.key(for: "a", cluster: 1), to: &printed)
        printed += "\(one) \(String(reflecting: one)) \(one.key(for: "a", cluster: 1))"
        for run in 0..<28 {
            let begin = one.text.index(one.text.startIndex, offsetBy: 2 * run)
            #expect(!printed.contains(one.text[begin..<one.text.index(begin, offsetBy: 8)]))
        }
    }
}
