import Causality
import Coding

// Counters.
extension StateGraft {
    /// - Returns: whether there is any account; nil for what is not known here.
    mutating func joinAccounts(
        _ sides: (here: Bool, there: Bool), _ buffer: inout ByteBuffer
    ) throws(DecodeError) -> Bool? {
        guard sides.there else { return try copyAccounts(replacing: nil, &buffer) }
        guard try delta.integer() == UInt8(1), try delta.integer() == UInt8(0) else {
            return nil
        }
        let start = delta.offset
        let reset = try passAccount(&delta, own.stamp)
        guard let reset, reset.stamp < own.stamp.rawValue else { return nil }
        let entry = UnsafeRawBufferPointer(
            rebasing: delta.bytes[start..<delta.offset])
        guard sides.here else {
            buffer.append(1)
            append(entry, &buffer)
            isLive = true
            return true
        }
        return try copyAccounts(replacing: (entry, reset), &buffer)
    }

    /// Passes over what stands behind an account's dot.
    ///
    /// - Returns: the balance up to which it was reset; nil for what is none.
    func passAccount(
        _ reader: inout ByteReader, _ stamp: Stamp
    ) throws(DecodeError) -> Reset? {
        _ = try reader.signed()
        let age: UInt64 = try reader.varint()
        let reset = try reader.signed()
        guard age <= stamp.rawValue, age < stamp.rawValue || reset == 0 else { return nil }
        return (stamp.rawValue - age, reset)
    }

    typealias Reset = (stamp: UInt64, total: Int128)

    mutating func copyAccounts(
        replacing new: (entry: UnsafeRawBufferPointer, reset: Reset)?,
        _ buffer: inout ByteBuffer
    ) throws(DecodeError) -> Bool? {
        let bytes = state.bytes
        let countAt = buffer.count
        let count = try state.count()
        guard count < 127 else { return nil }
        buffer.append(UInt8(count))
        var rest = new
        for _ in 0..<count {
            let start = state.offset
            let index: UInt64 = try state.varint()
            let stamp = try state.stamp()
            guard let reset = try passAccount(&state, stamp) else { return nil }
            if let next = rest, index >= UInt64(place) {
                // A later reset is not undone.
                guard index > UInt64(place) || reset == next.reset || reset.stamp < next.reset.stamp
                else { return nil }
                append(next.entry, &buffer)
                isLive = true
                rest = nil
                if index == UInt64(place) { continue }
                buffer.store(UInt8(count + 1), at: countAt)
            }
            isLive = isLive || reset.stamp < stamp.rawValue
            buffer.append(UnsafeRawBufferPointer(rebasing: bytes[start..<state.offset]))
        }
        if let next = rest {
            append(next.entry, &buffer)
            isLive = true
            buffer.store(UInt8(count + 1), at: countAt)
        }
        return true
    }
}
