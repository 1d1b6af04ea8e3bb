import Base
import Causality
import Coding

// Lists. A position is encoded by what those before it say, so what stands behind the first change
// is encoded anew; what stands before it is copied as one.
extension StateGraft {
    /// What is more is built.
    private static let changesMax = 128

    /// An element that a delta added.
    private struct NewElement {
        let position: Position
        let value: UnsafeRawBufferPointer
    }

    private struct ListChanges {
        var removed: [(position: Position, dot: Dot)] = []
        var added: [NewElement] = []
    }

    /// - Returns: whether anything is left of the list; nil for what is not known here.
    mutating func joinList(
        _ sides: (here: Bool, there: Bool), _ buffer: inout ByteBuffer
    ) throws(DecodeError) -> Bool? {
        var changes = ListChanges()
        if sides.there {
            guard let read = try readListChanges() else { return nil }
            changes = read
        }
        var decoder = DotDecoder(state)
        let count = sides.here ? try decoder.count() : 0
        var joined = DotEncoder(
            buffer: ByteBuffer(capacity: 1_024), identities: [], own: nil)
        let isKnown = try copyList(count, &decoder, changes, into: &joined)
        guard let left = isKnown else { return nil }
        state = decoder.reader
        guard left > 0 else { return false }
        var rest = left
        while rest >= 128 {
            buffer.append(UInt8(truncatingIfNeeded: rest) | 128)
            rest >>= 7
        }
        buffer.append(UInt8(truncatingIfNeeded: rest))
        buffer.append(joined.buffer.bytes)
        isLive = true
        return true
    }

    /// - Returns: how many elements there are now; nil for what is not known here.
    private func copyList(
        _ count: Int, _ decoder: inout DotDecoder, _ changes: ListChanges,
        into joined: inout DotEncoder
    ) throws(DecodeError) -> Int? {
        var (added, removed) = (changes.added[...], changes.removed[...])
        var left = 0
        // Where what is to be copied as it stands begins; nil behind the first change.
        var copied: Int? = decoder.reader.offset
        for _ in 0..<count {
            let (start, paths) = (decoder.reader.offset, decoder.paths)
            let position = try Position(decoding: &decoder)
            let entries = decoder.reader.offset
            guard let dot = try passElement(&decoder.reader) else { return nil }
            let bytes = decoder.reader.bytes
            while let next = added.first, !(position < next.position) {
                if next.position == position { return nil }
                copy(bytes, &copied, start, paths, &joined)
                append(next, &joined)
                left += 1
                added.removeFirst()
            }
            while let next = removed.first, next.position < position { removed.removeFirst() }
            if let next = removed.first, next.position == position, next.dot == dot {
                copy(bytes, &copied, start, paths, &joined)
                continue
            }
            left += 1
            guard copied == nil else { continue }
            position.encode(into: &joined)
            joined.buffer.append(
                UnsafeRawBufferPointer(rebasing: bytes[entries..<decoder.reader.offset]))
        }
        copy(decoder.reader.bytes, &copied, decoder.reader.offset, decoder.paths, &joined)
        for element in added { append(element, &joined) }
        return left + added.count
    }

    /// Before the first change: copies what stands before it.
    private func copy(
        _ bytes: UnsafeRawBufferPointer, _ start: inout Int?, _ end: Int, _ paths: PositionTable,
        _ joined: inout DotEncoder
    ) {
        guard let from = start else { return }
        joined.buffer.append(UnsafeRawBufferPointer(rebasing: bytes[from..<end]))
        joined.paths = paths
        start = nil
    }

    private func append(_ element: NewElement, _ joined: inout DotEncoder) {
        element.position.encode(into: &joined)
        joined.buffer.append(1)
        append(element.value, &joined.buffer)
    }

    /// Reads over the one entry of an element of the state.
    ///
    /// - Returns: its dot; nil where there are more.
    private func passElement(_ reader: inout ByteReader) throws(DecodeError) -> Dot? {
        guard try reader.integer() == UInt8(1) else { return nil }
        let index: UInt64 = try reader.varint()
        guard index > 0, index <= UInt64(context.count / 16) else { return nil }
        let stamp = try reader.stamp()
        let head: UInt64 = try reader.varint()
        _ = try reader.slice(Int(head >> 1))
        if head & 1 != 0 {
            guard try reader.varint(UInt64.self) > 0 else { return nil }
            _ = try reader.stamp()
        }
        return Dot(
            identity: StateGraft.dot(context, Int(index - 1)).identity, stamp: stamp)
    }

    /// - Returns: nil for what is not known here.
    private mutating func readListChanges() throws(DecodeError) -> ListChanges? {
        var decoder = DotDecoder(delta)
        var changes = ListChanges()
        let removed = try decoder.count()
        guard removed <= StateGraft.changesMax else { return nil }
        for _ in 0..<removed {
            let position = try Position(decoding: &decoder)
            if let last = changes.removed.last, position <= last.position { return nil }
            guard try readRemoved(&decoder.reader), removedCount == 1 else { return nil }
            changes.removed.append((position, self.removed[0]))
        }
        let added = try decoder.count()
        guard added <= StateGraft.changesMax, removed + added > 0 else { return nil }
        for _ in 0..<added {
            let position = try Position(decoding: &decoder)
            if let last = changes.added.last, position <= last.position { return nil }
            guard try decoder.reader.integer() == UInt8(1),
                try decoder.reader.integer() == UInt8(0)
            else { return nil }
            let start = decoder.reader.offset
            let head: UInt64 = try decoder.reader.varint()
            guard head & 1 == 0, head >> 1 <= CRDTState.elementBytesMax else { return nil }
            _ = try decoder.reader.slice(Int(head >> 1))
            let value = UnsafeRawBufferPointer(
                rebasing: decoder.reader.bytes[start..<decoder.reader.offset])
            changes.added.append(NewElement(position: position, value: value))
        }
        delta = decoder.reader
        return changes
    }
}
