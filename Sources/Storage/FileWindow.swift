import Base

/// A read-only view of one file after the other, through a window that is filled by large
/// sequential reads.
struct FileWindow: ~Copyable {
    static let readBytes = 4 << 20

    private(set) var name = ""
    private(set) var size = 0
    private var window: UnsafeMutableRawBufferPointer
    private var start = 0
    private var filled = 0

    init() { window = .allocate(byteCount: FileWindow.readBytes, alignment: 4096) }

    deinit { window.deallocate() }

    mutating func open(_ name: String, on disk: some Disk) throws(DiskError) {
        self.name = name
        size = try disk.size(of: name)
        start = 0
        filled = 0
    }

    /// The bytes at `offset`, at most `count`, fewer only at the end of the file; valid until the
    /// next call.
    mutating func bytes(
        at offset: Int, _ count: Int, on disk: some Disk
    ) throws(DiskError) -> UnsafeMutableRawBufferPointer {
        let wanted = max(0, min(count, size - offset))
        guard wanted > 0 else { return UnsafeMutableRawBufferPointer(rebasing: window[..<0]) }
        if offset < start || offset + wanted > start + filled {
            try fill(from: offset, atLeast: wanted, on: disk)
        }
        let first = offset - start
        let available = max(0, min(wanted, filled - first))
        return UnsafeMutableRawBufferPointer(rebasing: window[first..<first + available])
    }

    private mutating func fill(
        from offset: Int, atLeast count: Int, on disk: some Disk
    ) throws(DiskError) {
        if count > window.count {
            window.deallocate()
            window = .allocate(byteCount: count, alignment: 4096)
        }
        start = offset
        filled = 0
        let target = UnsafeMutableRawBufferPointer(
            rebasing: window[..<min(window.count, size - offset)])
        filled = try disk.read(name, at: offset, into: target)
    }
}
