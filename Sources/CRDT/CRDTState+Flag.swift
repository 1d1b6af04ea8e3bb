import Causality

/// A flag: enable wins. A disable removes the enables that it has seen.
extension CRDTState {
    /// Whether the flag is enabled.
    public func isEnabled(now: UInt64) -> Bool { type(now: now) == .flag }

    /// - Parameters:
    ///   - dot: later than everything in `context`.
    ///   - now: wall-clock milliseconds since 1970.
    public mutating func enable(dot: Dot, now: UInt64) throws(CRDTRefusal) -> Delta {
        var delta = try begin(.flag, dot: dot, now: now)
        contents.flag.put(
            .unit, DotEntry(dot: dot, payload: Presence()), into: &delta.changes.flag)
        close(delta)
        return delta
    }

    /// - Parameters:
    ///   - dot: later than everything in `context`.
    ///   - now: wall-clock milliseconds since 1970.
    /// - Returns: nil when the flag is not enabled.
    public mutating func disable(dot: Dot, now: UInt64) throws(CRDTRefusal) -> Delta? {
        try check(.flag, now: now)
        return isEnabled(now: now) ? delete(dot: dot) : nil
    }
}
