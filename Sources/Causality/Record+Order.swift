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
    /// that no choice of value hides a newer write. Of a plain value that expires only the dots
    /// enter, which name it: replicas let go of its bytes at different moments.
    ///
    /// - Complexity: O(length).
    public var digest: UInt64 {
        if expiry != 0, !isSiblingSet, !isMergeable { return digestOfDots }
        let header = stride(from: 0, to: Record.headerBytes, by: 8).reduce(UInt64(0)) {
            finalMix($0 ^ base.loadUnaligned(fromByteOffset: $1, as: UInt64.self))
        }
        let rest = UnsafeRawBufferPointer(rebasing: bytes[Record.headerBytes...])
        return finalMix(header ^ UInt64(CRC32C.checksum(rest)))
    }

    private var digestOfDots: UInt64 {
        var sum = UInt64(CRC32C.checksum(key))
        for dot in [dot, written, expiryDot] {
            sum = finalMix(finalMix(sum ^ dot.identity.rawValue) ^ dot.stamp.rawValue)
        }
        return finalMix(sum ^ expiry)
    }

    /// Whether this plain record wins over another plain record of its key: the later write does,
    /// and of one write the state with the expiry that was given later, as in `SiblingSet.join`.
    /// Beyond that, one dot with two contents is the mark of a broken disk or node; then the
    /// deletion wins, or the later expiry, or the larger value.
    @inlinable public func supersedes(_ other: Record) -> Bool {
        let (own, others) = (written, other.written)
        return own == others ? breaksTie(with: other) : others < own
    }

    @usableFromInline func breaksTie(with other: Record) -> Bool {
        let (isDeletion, isOther) = (
            isTombstone && expiry == 0, other.isTombstone && other.expiry == 0
        )
        if isDeletion != isOther { return isDeletion }
        if expiryDot != other.expiryDot { return other.expiryDot < expiryDot }
        if isTombstone != other.isTombstone { return isTombstone }
        if expiry != other.expiry { return other.expiry < expiry }
        // Copies of one value, as most that meet are: byte by byte would be slow.
        let shared = min(bodyBytes, other.bodyBytes)
        if shared > 0, let own = body.baseAddress, let others = other.body.baseAddress {
            let order = memcmp(own, others, shared)
            if order != 0 { return order > 0 }
        }
        return other.bodyBytes < bodyBytes
    }

    /// Appends a plain record's version as it is once this dot was seen as well, which is later
    /// than all that the record has seen.
    func encode(seeing dot: Dot, into buffer: inout ByteBuffer) -> Range<Int> {
        let start = buffer.count
        let length = bodyBytes + Record.layerBytes + Record.headerBytes + keyBytes
        let kind = isTombstone ? RecordKind.layeredTombstone : .layeredValue
        Record.write(
            to: buffer.reserve(length), kind: kind, dot: dot, expiry: expiry, key: key,
            body: UnsafeRawBufferPointer(start: nil, count: 0))
        buffer.advance(Record.headerBytes + keyBytes)
        written.encode(into: &buffer)
        expiryDot.encode(into: &buffer)
        buffer.append(body)
        buffer.store(UInt32(length), at: start)
        return start..<buffer.count
    }
}
