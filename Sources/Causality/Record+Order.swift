import Base
import Coding
import Glibc

extension Record {
    /// Whether both are the same state of the same key.
    ///
    /// - Complexity: O(length).
    @inlinable public func isEqual(to other: Record) -> Bool {
        length == other.length && memcmp(base, other.base, length) == 0
    }

    /// A short stand-in for the record in comparisons between nodes: equal states have equal
    /// digests, different ones different digests but for 1 in 2³². The dot enters by itself, so
    /// that no choice of value hides a newer write.
    ///
    /// - Complexity: O(length).
    public var digest: UInt64 {
        let header = stride(from: 0, to: Record.headerBytes, by: 8).reduce(UInt64(0)) {
            finalMix($0 ^ base.loadUnaligned(fromByteOffset: $1, as: UInt64.self))
        }
        let rest = UnsafeRawBufferPointer(rebasing: bytes[Record.headerBytes...])
        return finalMix(header ^ UInt64(CRC32C.checksum(rest)))
    }

    /// Whether this plain record wins over another plain record of its key: the later dot does. One
    /// dot with two contents is the mark of a broken disk or node; then the tombstone wins, or the
    /// later expiry, or the larger value, as in `SiblingSet.join`.
    @inlinable public func supersedes(_ other: Record) -> Bool {
        dot == other.dot ? breaksTie(with: other) : other.dot < dot
    }

    @usableFromInline func breaksTie(with other: Record) -> Bool {
        if isTombstone != other.isTombstone { return isTombstone }
        if expiry != other.expiry { return other.expiry < expiry }
        return other.body.lexicographicallyPrecedes(body)
    }
}
