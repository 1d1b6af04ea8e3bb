import Base
import Causality
import Coding

// The entries of keys.
extension StateGraft {
    /// Finds what a delta removed from a store and what it added.
    func findChanges(_ cursors: inout Cursors) throws(DecodeError) -> Bool {
        cursors.gone.left = try cursors.gone.reader.count()
        var passed = cursors.gone.reader
        for _ in 0..<cursors.gone.left {
            _ = try passed.passBytes()
            for _ in 0..<(try passed.count()) where try passed.varint(UInt64.self) > 0 {
                _ = try passed.stamp()
            }
        }
        cursors.new = Cursor(passed)
        cursors.new.left = try cursors.new.reader.count()
        return cursors.gone.left + cursors.new.left > 0
    }

    /// Copies what is left of a key's entries, and among them, in the order of dots, what was
    /// added.
    ///
    /// - Parameter added: nil afterwards where it has been copied.
    /// - Returns: how many entries were copied; nil for what is not known here.
    mutating func keep<Payload: ScannedPayload>(
        _ type: Payload.Type, of held: inout Cursor, _ isGone: Bool,
        _ added: inout UnsafeRawBufferPointer?, _ buffer: inout ByteBuffer
    ) throws(DecodeError) -> Int? {
        let bytes = held.reader.bytes
        let count = try held.reader.count()
        let isChanged = isGone || added != nil
        var from = held.start
        if isChanged {
            let end = held.reader.offset
            guard count < 128 else { return nil }
            buffer.append(UnsafeRawBufferPointer(rebasing: bytes[from..<end]))
            from = end
        }
        var kept = 0
        for _ in 0..<count {
            let start = held.reader.offset
            let index: UInt64 = try held.reader.varint()
            guard index > 0, index <= UInt64(context.count / 16) else { return nil }
            let stamp = try held.reader.stamp()
            let dot = Dot(
                identity: StateGraft.dot(context, Int(index - 1)).identity, stamp: stamp)
            guard try Payload.pass(&held.reader, under: dot) else { return nil }
            guard isChanged else { continue }
            let end = held.reader.offset
            if isRemoved(dot) { continue }
            if own < dot, let entry = added {
                append(entry, &buffer)
                added = nil
                kept += 1
            }
            buffer.append(UnsafeRawBufferPointer(rebasing: bytes[start..<end]))
            kept += 1
        }
        guard !isChanged else { return kept }
        let end = held.reader.offset
        buffer.append(UnsafeRawBufferPointer(rebasing: bytes[from..<end]))
        return count
    }

    func isRemoved(_ dot: Dot) -> Bool {
        for index in 0..<removedCount where removed[index] == dot { return true }
        return false
    }

    /// Reads the dots that go from a key.
    ///
    /// - Returns: false when the state lacks one of them, or there are many.
    mutating func readRemoved(_ reader: inout ByteReader) throws(DecodeError) -> Bool {
        let count = try reader.count()
        guard 1...StateGraft.removedMax ~= count else { return false }
        for index in 0..<count {
            let number: UInt64 = try reader.varint()
            guard number > 0, number <= UInt64(identities.count / 8) else { return false }
            let identity = ReplicaIdentity(
                rawValue: identities.loadUnaligned(
                    fromByteOffset: Int(number - 1) * 8, as: UInt64.self))
            let dot = Dot(identity: identity, stamp: try reader.stamp())
            used |= 1 << UInt32(number - 1)
            guard dot != own, isKnown(dot), index == 0 || removed[index - 1] < dot else {
                return false
            }
            removed[index] = dot
        }
        removedCount = count
        return true
    }

    /// Whether the state, with all that the delta's identity did, has seen a dot.
    func isKnown(_ dot: Dot) -> Bool {
        if dot.identity == own.identity { return dot.stamp <= own.stamp }
        for index in 0..<context.count / 16 {
            let seen = StateGraft.dot(context, index)
            if seen.identity == dot.identity { return dot.stamp <= seen.stamp }
        }
        return false
    }

    /// - Returns: the payload of the one entry, under the delta's dot, that was added to a key; nil
    ///   for what is not known here.
    mutating func readAdded<Payload: ScannedPayload>(
        _ type: Payload.Type, _ reader: inout ByteReader
    ) throws(DecodeError) -> UnsafeRawBufferPointer? {
        guard try reader.integer() == UInt8(1), try reader.integer() == UInt8(0)
        else { return nil }
        let start = reader.offset
        guard try Payload.pass(&reader, under: own) else { return nil }
        return UnsafeRawBufferPointer(
            rebasing: reader.bytes[start..<reader.offset])
    }

    /// Appends the entry that was added.
    func append(_ payload: UnsafeRawBufferPointer, _ buffer: inout ByteBuffer) {
        buffer.append(place)
        buffer.append(integer: own.stamp.rawValue)
        buffer.append(payload)
    }

    // MARK: Keys

    func append(key: UnsafeRawBufferPointer, _ buffer: inout ByteBuffer) {
        var rest = key.count
        while rest >= 128 {
            buffer.append(UInt8(truncatingIfNeeded: rest) | 128)
            rest >>= 7
        }
        buffer.append(UInt8(truncatingIfNeeded: rest))
        buffer.append(key)
    }

    /// Bytes of a key as it is encoded.
    static func length(of key: UnsafeRawBufferPointer) -> Int {
        (max(1, key.count.bitWidth - key.count.leadingZeroBitCount) + 6) / 7 + key.count
    }
}
