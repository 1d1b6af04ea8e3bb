import Base

/// When the allocator is asked to give back to the kernel what was freed: it keeps most of that
/// otherwise, for good where something that is in use lies above it.
///
/// It takes its time for all of it (some 0.1 ms for each MiB), and the node answers nobody
/// meanwhile. So it is asked again and again while much is being freed, and rests so long in
/// between that it takes a twentieth of the time.
struct HeapRelease {
    /// Freed bytes that are worth it.
    static let bytesMin = 16 << 20
    static let rest: UInt64 = 20

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
        if highest - bytes < HeapRelease.bytesMin {
            dueAt = .max
        } else if dueAt == .max {
            dueAt = max(now, notBefore)
        }
    }

    /// It was asked at a time, and was done at another.
    mutating func done(from start: Deadline, to end: Deadline) {
        highest = latest
        notBefore = end + (end - start) * HeapRelease.rest
        dueAt = .max
    }
}
