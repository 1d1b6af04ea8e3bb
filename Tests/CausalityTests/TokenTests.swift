import Base
import Coding
import Secrets
import Testing

@testable import Causality

@Suite("The causal context as a token")
struct TokenTests {
    private static let key = Array("carts:1".utf8)
    private static func seal(_ key: [UInt8]) -> Seal {
        Seal(key.withUnsafeBytes { MACKey($0) })
    }
    private static let seal = seal([7])

    private func token(_ context: CausalContext, _ seal: Seal = seal) -> [UInt8] {
        var buffer = ByteBuffer()
        TokenTests.key.withUnsafeBytes {
            context.encodeToken(of: $0, sealedBy: seal, into: &buffer)
        }
        return Array(buffer.bytes)
    }

    private func context(
        _ token: [UInt8], of key: [UInt8] = key
    ) throws(DecodeError) -> CausalContext {
        var result: Result<CausalContext, DecodeError> = .failure(.truncated)
        token.withUnsafeBytes { bytes in
            key.withUnsafeBytes { key in
                do throws(DecodeError) {
                    result = .success(
                        try CausalContext(token: bytes, of: key, sealedBy: TokenTests.seal))
                } catch {
                    result = .failure(error)
                }
            }
        }
        return try result.get()
    }

    private func random(_ random: inout PRNG) -> CausalContext {
        var result = CausalContext()
        for _ in 0..<random.below(12) {
            result.insert(
                Dot(
                    identity: ReplicaIdentity(rawValue: random.next()),
                    stamp: Stamp(rawValue: random.next())))
        }
        return result
    }

    @Test("every context survives the round trip in printable characters")
    func roundTrip() throws {
        var generator = PRNG(seed: 4)
        for _ in 0..<500 {
            let original = random(&generator)
            let bytes = token(original)
            #expect(bytes.count <= CausalContext.tokenBytesMax)
            #expect(
                bytes.allSatisfy { character in
                    (48...57).contains(character) || (65...90).contains(character)
                        || (97...122).contains(character) || character == 45 || character == 95
                })
            #expect(try context(bytes) == original)
        }
    }

    @Test(
        "base64url is that of RFC 4648",
        arguments: [
            ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foob", "Zm9vYg"), ("fooba", "Zm9vYmE"),
            ("foobar", "Zm9vYmFy"), ("", ""), ("\u{FB}\u{FF}", "w7vDvw"), (">>>???", "Pj4-Pz8_"),
        ])
    func base64(plain: String, expected: String) throws {
        var buffer = ByteBuffer()
        Array(plain.utf8).withUnsafeBytes { Base64URL.encode($0, into: &buffer) }
        #expect(Array(buffer.bytes) == Array(expected.utf8))
        var decoded = ByteBuffer()
        try Base64URL.decode(buffer.bytes, into: &decoded)
        #expect(Array(decoded.bytes) == Array(plain.utf8))
    }

    @Test("any changed, missing or added character is an error, never a trap or another context")
    func damaged() {
        var generator = PRNG(seed: 5)
        for _ in 0..<3_000 {
            let original = token(random(&generator))
            var bytes = original
            switch generator.below(3) {
            case 0: bytes.removeLast(1 + generator.below(bytes.count))
            case 1: bytes.append(65)
            default:
                let place = generator.below(bytes.count)
                bytes[place] = UInt8(generator.below(256))
            }
            if bytes == original { continue }
            #expect(throws: DecodeError.self) { try context(bytes) }
        }
    }

    @Test("the largest context has a token, and anything longer is refused unread")
    func bounds() throws {
        var largest = CausalContext()
        largest.entries = (1...4_096).map { dot(1, 1, epoch: UInt64($0)) }
        let bytes = token(largest)
        #expect(bytes.count <= CausalContext.tokenBytesMax)
        #expect(try context(bytes) == largest)
        let long = [UInt8](repeating: 65, count: CausalContext.tokenBytesMax + 1)
        #expect(throws: DecodeError.invalid("causal context is too long")) { try context(long) }
        #expect(throws: DecodeError.self) { try context([]) }
    }

    @Test("the token of another cluster, and one that was made up, are refused by name")
    func forged() {
        let context = CausalContext(dot(1, 1))
        let foreign = token(context, TokenTests.seal([8]))
        #expect(throws: CausalContext.foreignToken) { try self.context(foreign) }
        let zeros = [UInt8](repeating: 65, count: 64)
        #expect(throws: CausalContext.foreignToken) { try self.context(zeros) }
    }

    @Test("the token of one key is not taken for another")
    func foreign() {
        let own = token(CausalContext(dot(1, 1)))
        for key in ["carts:2", "carts:", "", "Carts:1"] {
            #expect(throws: CausalContext.foreignToken) { try context(own, of: Array(key.utf8)) }
        }
    }

    @Test("a well-formed token out of order or of another format is refused")
    func wellFormed() {
        func sealed(_ format: UInt8, _ dots: [Dot]) -> [UInt8] {
            var plain = ByteBuffer()
            plain.append(format)
            plain.append(integer: UInt16(dots.count))
            for dot in dots {
                plain.append(integer: dot.identity.rawValue)
                plain.append(integer: dot.stamp.rawValue)
            }
            var text = ByteBuffer()
            let sealed = TokenTests.key.withUnsafeBytes {
                TokenTests.seal.close(plain.bytes, for: $0)
            }
            sealed.withUnsafeBytes { Base64URL.encode($0, into: &text) }
            return Array(text.bytes)
        }
        #expect(throws: Never.self) { try context(sealed(3, [dot(1, 1), dot(2, 1)])) }
        #expect(throws: DecodeError.invalid("causal context has an unknown format")) {
            try context(sealed(1, []))
        }
        #expect(throws: DecodeError.invalid("causal context is out of order")) {
            try context(sealed(3, [dot(2, 1), dot(1, 1)]))
        }
    }
}
