/// A key of HMAC-SHA-256, with the two blocks hashed that every message begins with: who holds the
/// key makes and checks codes that nobody else can make.
///
/// Source: RFC 2104, §2 and §4; test vectors in RFC 4231.
public struct MACKey: Sendable {
    private let inner: SIMD8<UInt32>
    private let outer: SIMD8<UInt32>

    /// - Parameter key: any number of bytes; fewer than 32 make it weaker.
    public init(_ key: UnsafeRawBufferPointer) {
        guard key.count <= SHA256.blockBytes else {
            let short = SHA256.digest(key).bytes
            self = short.withUnsafeBytes { MACKey($0) }
            return
        }
        inner = MACKey.state(key, padding: 0x36)
        outer = MACKey.state(key, padding: 0x5C)
    }

    private static func state(_ key: UnsafeRawBufferPointer, padding: UInt8) -> SIMD8<UInt32> {
        var block = [UInt8](repeating: padding, count: SHA256.blockBytes)
        for (index, byte) in key.enumerated() { block[index] ^= byte }
        var state = SHA256.initial
        block.withUnsafeBytes { SHA256.compress(&state, $0) }
        return state
    }

    /// The code of a message.
    ///
    /// - Complexity: O(count); two blocks for a message of up to 55 bytes.
    public func code(of message: UnsafeRawBufferPointer) -> Digest {
        let first = SHA256.digest(message, from: inner, after: SHA256.blockBytes).bytes
        return first.withUnsafeBytes {
            SHA256.digest($0, from: outer, after: SHA256.blockBytes)
        }
    }
}

/// Nothing of a key is ever printed.
extension MACKey: CustomStringConvertible, CustomReflectable {
    public var description: String { "a key" }
    public var customMirror: Mirror { Mirror(self, unlabeledChildren: EmptyCollection<Any>()) }
}
