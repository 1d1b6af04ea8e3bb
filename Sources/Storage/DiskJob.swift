import Base

/// One call on a `Disk`, with all it needs.
public enum DiskOperation: Sendable {
    /// Ends the job as a full disk would unless files may still grow by so many bytes.
    case needRoom(String, bytes: Int)
    case create(String, size: Int)
    /// Writes zeros over `offset..<offset + count`, extending the file where needed.
    case zero(String, at: Int, count: Int)
    case write(String, at: Int, SharedBytes)
    case sync(String)
    case rename(String, to: String)
    case remove(String)
    case syncDirectory

    /// - Throws: what the disk threw; nothing of the operation may be relied upon.
    public func run(on disk: some Disk) throws(DiskError) {
        switch self {
        case .needRoom(let name, let bytes):
            if try disk.availableBytes() < bytes { throw .full(name) }
        case .create(let name, let size): try disk.create(name, size: size)
        case .zero(let name, let offset, let count):
            try DiskOperation.zero(name, offset..<offset + count, on: disk)
        case .write(let name, let offset, let shared):
            try disk.write(name, at: offset, shared.bytes)
        case .sync(let name): try disk.sync(name)
        case .rename(let old, let new): try disk.rename(old, to: new)
        case .remove(let name): try disk.remove(name)
        case .syncDirectory: try disk.syncDirectory()
        }
    }

    private static func zero(
        _ name: String, _ range: Range<Int>, on disk: some Disk
    ) throws(DiskError) {
        let piece = min(range.count, 256 * 1024)
        let zeros = UnsafeMutableRawBufferPointer.allocate(byteCount: piece, alignment: 16)
        defer { zeros.deallocate() }
        zeros.initializeMemory(as: UInt8.self, repeating: 0)
        var offset = range.lowerBound
        while offset < range.upperBound {
            let count = min(piece, range.upperBound - offset)
            try disk.write(name, at: offset, UnsafeRawBufferPointer(rebasing: zeros[..<count]))
            offset += count
        }
    }
}

/// Disk operations to run in order, on whatever thread or in whatever time the interpreter likes;
/// the first that throws ends the job. The outcome goes back into `Journal.completed`.
public struct DiskJob: Sendable {
    /// In order; an interpreter that wants to fail between two of them walks them itself.
    public let operations: [DiskOperation]

    /// - Throws: what the disk threw; later operations were not tried.
    public func run(on disk: some Disk) throws(DiskError) {
        for operation in operations { try operation.run(on: disk) }
    }
}
