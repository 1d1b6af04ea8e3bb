import Causality
import Coding

/// One key's change as a client asked for it.
struct WriteIntent {
    enum Change {
        case value(UnsafeRawBufferPointer)
        case delete
    }

    let key: UnsafeRawBufferPointer
    let change: Change
    /// Wall-clock milliseconds since 1970, 0 for never.
    var expiry: UInt64 = 0
    /// What the writer had read; nil for what this replica has.
    var context: CausalContext?
    let levels: WriteLevels
    let success: WriteReply
    /// What its record takes beside the key and the value, where that is much.
    var bytesBeside = 0
    /// It gives another expiry to what `context` has seen.
    var isOfExpiry = false

    var isDelete: Bool {
        if case .delete = change { return true }
        return false
    }

    /// What it is now: a write whose time is over when it is executed is a deletion.
    ///
    /// - Parameter now: wall-clock milliseconds since 1970.
    @inline(__always)
    func executed(at now: UInt64) -> WriteIntent {
        guard expiry != 0, expiry <= now else { return self }
        return WriteIntent(
            key: key, change: .delete, context: context, levels: levels, success: success)
    }

    /// What it changes where it leaves no value of its own; nil for what a plain write replaces.
    var changed: CausalContext? { isOfExpiry || isDelete ? context : nil }

    /// What its record takes at most, without what is stored.
    var byteCount: Int {
        guard case .value(let value) = change else { return key.count + bytesBeside }
        return key.count + value.count + bytesBeside
    }
}
