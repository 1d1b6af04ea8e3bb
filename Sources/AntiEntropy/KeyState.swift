import Coding

/// A key and which of its states a node holds, without either.
public struct KeyState: Equatable, Sendable {
    /// Bytes of the encoding.
    static let encodedBytes = 25

    /// The key's hash, the same on every node of the cluster.
    public let hash: UInt64
    /// The state's digest; equal digests are taken for equal states.
    public let digest: UInt64
    /// The hybrid logical clock stamp of the newest write in it.
    public let stamp: UInt64
    /// Whether states of the key merge; otherwise the newer one replaces the older.
    public let merges: Bool

    public init(hash: UInt64, digest: UInt64, stamp: UInt64, merges: Bool) {
        self.hash = hash
        self.digest = digest
        self.stamp = stamp
        self.merges = merges
    }

    init(_ reader: inout ByteReader) throws(DecodeError) {
        hash = try reader.integer()
        digest = try reader.integer()
        stamp = try reader.integer()
        let flag: UInt8 = try reader.integer()
        guard flag < 2 else { throw .invalid("a key's state has an unknown flag") }
        merges = flag == 1
    }

    func encode(into buffer: inout ByteBuffer) {
        buffer.append(integer: hash)
        buffer.append(integer: digest)
        buffer.append(integer: stamp)
        buffer.append(UInt8(merges ? 1 : 0))
    }
}
