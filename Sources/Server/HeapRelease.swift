import Base

/// When the allocator is asked to give back to the kernel what was freed: it keeps most of that
/// otherwise, for good where something that is in use lies above it.
///
/// It is asked a second after much was freed, so that what is freed step by step goes at once, and
/// then not for a while, because it looks at all that is free.
struct HeapRelease {
    /// Freed bytes that are worth it, or a quarter of what there was where that is more.
    static let bytesMin = 16 << 20
    static let delay: UInt64 = 1_000_000_000
    static let pause: UInt64 = 5_000_000_000

    /// Bytes in use at most since it was last asked.
    private var highest = 0
    private var latest = 0
    private var notBefore: Deadline = 0
    /// When it is to be asked; `max` while too little has been freed.
    private(set) var dueAt: Deadline = .max

    /// - Parameter bytes: in use now.
    mutating func note(bytes: Int, at now: Deadline) {
        latest = bytes
        highest = max(highest, bytes)
        if highest - bytes < max(HeapRelease.bytesMin, highest / 4) {
            dueAt = .max
        } else if dueAt == .max {
            dueAt = max(now + HeapRelease.delay, notBefore)
        }
    }

    /// It was asked.
    mutating func done(at now: Deadline) {
        highest = latest
        notBefore = now + HeapRelease.pause
        dueAt = .max
    }
}
