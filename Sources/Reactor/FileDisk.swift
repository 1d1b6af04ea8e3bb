import Base
import Glibc
import Synchronization

/// A data directory of real files, held against every other process by a lock on its file `LOCK`.
///
/// Files stay open from their first use until they are removed, or until too many are open at once;
/// one that was written stays open until it is synced, for a failed write-back is told to who has
/// the file open. One call at a time is meant; the calls may come from different threads (start-up
/// reads on one, the sync thread writes), so the table of open files has a lock of its own.
public final class FileDisk: Disk, Sendable {
    private static let lockName = "LOCK"
    /// Files that stay open without need.
    private static let openMax = 16
    /// What a value opens at most: files, the directory twice, the lock, and what is being synced.
    public static let descriptorsMax = openMax + 16

    private struct OpenFile {
        let descriptor: Int32
        /// Written and not synced since.
        var isDirty = false
    }

    public let path: String
    private let directory: Int32
    private let lock: Int32
    private let open = Mutex<[String: OpenFile]>([:])

    /// Creates the directory when there is none (its parent must exist), and locks it until the
    /// value is gone.
    ///
    /// - Throws: `locked` with the path while another process, or another `FileDisk` of this one,
    ///   holds it.
    public init(path: String) throws(DiskError) {
        let isNew = mkdir(path, 0o700) == 0
        if !isNew, errno != EEXIST { throw FileDisk.cannotMake(path) }
        let directory = Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard directory >= 0 else { throw FileDisk.cannotEnter(path) }
        let lock = openat(directory, FileDisk.lockName, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard lock >= 0, FileDisk.isFile(lock) else {
            let error = FileDisk.error(FileDisk.lockName, in: directory)
            if lock >= 0 { close(lock) }
            close(directory)
            throw error
        }
        guard FileDisk.retrying({ flock(lock, LOCK_EX | LOCK_NB) }) == 0,
            !isNew || FileDisk.syncParent(of: directory)
        else {
            let error = errno == EWOULDBLOCK ? DiskError.locked(path) : FileDisk.error(path)
            close(lock)
            close(directory)
            throw error
        }
        self.path = path
        self.directory = directory
        self.lock = lock
    }

    deinit {
        open.withLock { files in
            for file in files.values { close(file.descriptor) }
        }
        close(lock)
        close(directory)
    }

    public func list() throws(DiskError) -> [String] {
        let copy = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard copy >= 0, let stream = fdopendir(copy) else { throw FileDisk.error(path) }
        defer { closedir(stream) }
        var names: [String] = []
        errno = 0
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != "..", name != FileDisk.lockName { names.append(name) }
            errno = 0
        }
        guard errno == 0 else { throw FileDisk.error(path) }
        return names.sorted()
    }

    public func size(of name: String) throws(DiskError) -> Int {
        var status = stat()
        guard fstat(try descriptor(name), &status) == 0 else { throw FileDisk.error(name) }
        return Int(status.st_size)
    }

    public func read(
        _ name: String, at offset: Int, into target: UnsafeMutableRawBufferPointer
    ) throws(DiskError) -> Int {
        let descriptor = try descriptor(name)
        var done = 0
        while done < target.count {
            let rest = UnsafeMutableRawBufferPointer(rebasing: target[done...])
            let count = FileDisk.retrying {
                pread(descriptor, rest.baseAddress, rest.count, offset + done)
            }
            guard count >= 0 else { throw FileDisk.error(name) }
            if count == 0 { break }
            done += count
        }
        return done
    }

    public func write(
        _ name: String, at offset: Int, _ bytes: UnsafeRawBufferPointer
    ) throws(DiskError) {
        let descriptor = try descriptor(name, isWritten: true)
        var done = 0
        while done < bytes.count {
            let rest = UnsafeRawBufferPointer(rebasing: bytes[done...])
            let count = FileDisk.retrying {
                pwrite(descriptor, rest.baseAddress, rest.count, offset + done)
            }
            guard count > 0 else { throw FileDisk.error(name) }
            done += count
        }
    }

    public func create(_ name: String, size: Int) throws(DiskError) {
        let flags = O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC
        let created = FileDisk.retrying { openat(directory, name, flags, 0o600) }
        guard created >= 0 else { throw FileDisk.error(name, in: directory) }
        keep(name, OpenFile(descriptor: created, isDirty: true))
        guard size > 0 else { return }
        do {
            try reserve(name, created, size)
            try zero(name, size)
        } catch {
            try? remove(name)
            throw error
        }
    }

    public func sync(_ name: String) throws(DiskError) {
        let descriptor = try descriptor(name)
        guard FileDisk.retrying({ fdatasync(descriptor) }) == 0 else { throw FileDisk.error(name) }
        // The system goes on writing a file that has no name any more, but nobody will find it.
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_nlink > 0 else {
            throw .unusable(
                "\(name) was removed from \(path) while this process wrote it; what was "
                    + "acknowledged before may be lost")
        }
        open.withLock { $0[name]?.isDirty = false }
    }

    public func availableBytes() throws(DiskError) -> Int {
        var status = statvfs()
        guard FileDisk.retrying({ fstatvfs(directory, &status) }) == 0 else {
            throw FileDisk.error(path)
        }
        return Int(clamping: UInt64(status.f_bavail) * UInt64(status.f_frsize))
    }

    public func truncate(_ name: String, to size: Int) throws(DiskError) {
        let descriptor = try descriptor(name, isWritten: true)
        guard FileDisk.retrying({ ftruncate(descriptor, size) }) == 0 else {
            throw FileDisk.error(name)
        }
    }

    public func rename(_ old: String, to new: String) throws(DiskError) {
        guard renameat(directory, old, directory, new) == 0 else {
            let code = errno
            throw FileDisk.objection(to: new, in: directory) ?? FileDisk.error(old, code)
        }
        open.withLock { files in
            if let replaced = files.removeValue(forKey: new) { close(replaced.descriptor) }
            files[new] = files.removeValue(forKey: old)
        }
    }

    public func remove(_ name: String) throws(DiskError) {
        guard unlinkat(directory, name, 0) == 0 else {
            throw FileDisk.error(name, in: directory)
        }
        open.withLock { files in
            if let removed = files.removeValue(forKey: name) { close(removed.descriptor) }
        }
    }

    public func syncDirectory() throws(DiskError) {
        guard FileDisk.retrying({ fsync(directory) }) == 0 else { throw FileDisk.error(path) }
    }

    // MARK: Leaves

    /// Names the room before zeros are written, so that a full disk is found out at once and the
    /// extents are whole. A file system that cannot reserve is left to find out while the zeros are
    /// written.
    private func reserve(_ name: String, _ descriptor: Int32, _ size: Int) throws(DiskError) {
        var code = EINTR
        while code == EINTR { code = posix_fallocate(descriptor, 0, size) }
        if code != 0, code != EOPNOTSUPP, code != EINVAL { throw FileDisk.error(name, code) }
    }

    private func zero(_ name: String, _ size: Int) throws(DiskError) {
        let piece = min(size, 1 << 20)
        let zeros = UnsafeMutableRawBufferPointer.allocate(byteCount: piece, alignment: 4096)
        defer { zeros.deallocate() }
        zeros.initializeMemory(as: UInt8.self, repeating: 0)
        for offset in stride(from: 0, to: size, by: piece) {
            let count = min(piece, size - offset)
            try write(name, at: offset, UnsafeRawBufferPointer(rebasing: zeros[..<count]))
        }
    }

    /// A new directory is durable once the one that holds it is.
    private static func syncParent(of directory: Int32) -> Bool {
        let parent = openat(directory, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard parent >= 0 else { return false }
        defer { close(parent) }
        return fsync(parent) == 0
    }

    private func descriptor(
        _ name: String, isWritten: Bool = false
    ) throws(DiskError) -> Int32 {
        let known = open.withLock { files in
            if isWritten { files[name]?.isDirty = true }
            return files[name]?.descriptor
        }
        if let known { return known }
        let opened = FileDisk.retrying { openat(directory, name, O_RDWR | O_CLOEXEC) }
        guard opened >= 0, FileDisk.isFile(opened) else {
            let error = FileDisk.error(name, in: directory)
            if opened >= 0 { close(opened) }
            throw error
        }
        keep(name, OpenFile(descriptor: opened, isDirty: isWritten))
        return opened
    }

    private func keep(_ name: String, _ file: OpenFile) {
        open.withLock { files in
            if files.count >= FileDisk.openMax {
                for (other, file) in files where !file.isDirty {
                    close(file.descriptor)
                    files[other] = nil
                }
            }
            files[name] = file
        }
    }

    /// How many files are open.
    var openCount: Int { open.withLock { $0.count } }

    private static func retrying<Result: BinaryInteger>(_ call: () -> Result) -> Result {
        while true {
            let result = call()
            if result >= 0 || errno != EINTR { return result }
        }
    }

    fileprivate static func error(_ name: String, _ code: Int32 = errno) -> DiskError {
        switch code {
        case ENOENT: .notFound(name)
        case ENOSPC, EDQUOT: .full(name)
        default: .failed(name, errno: code)
        }
    }
}

// What stands in the way.
extension FileDisk {
    private static func isFile(_ descriptor: Int32) -> Bool {
        var status = stat()
        return fstat(descriptor, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
    }

    private static func error(_ name: String, in directory: Int32) -> DiskError {
        let code = errno
        return objection(to: name, in: directory) ?? error(name, code)
    }

    /// - Returns: nil for a file, and for nothing.
    private static func objection(to name: String, in directory: Int32) -> DiskError? {
        guard let kind = kind(of: name, in: directory), kind != "a file" else { return nil }
        return .unusable(
            "\(name) is \(kind), where the store has a file of its own; put it aside")
    }

    private static func kind(of name: String, in directory: Int32) -> String? {
        var status = stat()
        guard fstatat(directory, name, &status, 0) == 0 else {
            let isLink = fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) == 0
            return isLink ? "a symbolic link that leads to nothing" : nil
        }
        return switch status.st_mode & S_IFMT {
        case S_IFREG: "a file"
        case S_IFDIR: "a directory"
        case S_IFIFO: "a named pipe"
        case S_IFSOCK: "a socket"
        default: "a device"
        }
    }

    private static func cannotMake(_ path: String) -> DiskError {
        switch errno {
        case ENOENT where kind(of: parent(of: path), in: AT_FDCWD) != nil:
            .unusable(
                "\(path) cannot be made, because the file system there takes no new directories; "
                    + "name another path")
        case ENOENT:
            .unusable(
                "\(path) cannot be made, because the directory that is to hold it is not there; "
                    + "make that one first")
        case ENOTDIR:
            .unusable(
                "\(path) cannot be made, because a part of the path before it is no directory")
        default: error(path)
        }
    }

    private static func parent(of path: String) -> String {
        let end = path.reversed().drop { $0 == "/" }.drop { $0 != "/" }
        let parent = String(end.reversed())
        return parent.isEmpty ? "." : parent
    }

    private static func cannotEnter(_ path: String) -> DiskError {
        let code = errno
        guard let kind = kind(of: path, in: AT_FDCWD), kind != "a directory" else {
            return error(path, code)
        }
        return .unusable(
            "\(path) is \(kind) and has to be a directory; put it aside, or name another path")
    }
}
