/// What the nodes of one cluster know and nobody else: who proves to know it is a member.
///
/// It is never sent and never used itself. Each purpose has a key of its own, made of the secret
/// and the purpose's name, so that what is said for one purpose, or in one of two clusters that
/// share a secret by mistake, proves nothing for another:
/// `HMAC-SHA-256(secret, "quorate " | name | 0 | cluster (8))`.
///
/// Source: NIST SP 800-108r1, §4.1, for outputs of one block.
public struct ClusterSecret: Equatable, Sendable {
    /// How many bytes a secret has.
    public static let byteCounts = 32...1_024

    private let bytes: [UInt8]

    /// - Parameter bytes: from a generator that nobody can predict; nil unless there are 32…1,024.
    public init?(_ bytes: [UInt8]) {
        guard ClusterSecret.byteCounts ~= bytes.count else { return nil }
        self.bytes = bytes
    }

    /// 256 bits of a generator.
    ///
    /// - Parameter generator: the system's own wherever others could gain by guessing.
    public init(from generator: inout some RandomNumberGenerator) {
        bytes = (0..<32).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
    }

    /// The key for one purpose in one cluster.
    public func key(for purpose: StaticString, cluster: UInt64) -> MACKey {
        var label = Array("quorate \(purpose)".utf8) + [0]
        withUnsafeBytes(of: cluster.littleEndian) { label += $0 }
        let derived = bytes.withUnsafeBytes { MACKey($0) }.code(of: label).bytes
        return derived.withUnsafeBytes { MACKey($0) }
    }

    /// All of it, for the file that keeps it.
    var hexadecimal: String {
        let digits = Array("0123456789abcdef".utf8)
        let pairs = bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }
        return String(decoding: pairs, as: UTF8.self)
    }

    public static func == (a: ClusterSecret, b: ClusterSecret) -> Bool {
        guard a.bytes.count == b.bytes.count else { return false }
        return zip(a.bytes, b.bytes).reduce(0) { $0 | ($1.0 ^ $1.1) } == 0
    }
}

extension MACKey {
    /// The code of a message that is an array.
    public func code(of message: [UInt8]) -> Digest {
        message.withUnsafeBytes { code(of: $0) }
    }
}

/// Nothing of a secret is ever printed.
extension ClusterSecret: CustomStringConvertible, CustomReflectable {
    public var description: String { "a cluster secret" }
    public var customMirror: Mirror { Mirror(self, unlabeledChildren: EmptyCollection<Any>()) }
}
