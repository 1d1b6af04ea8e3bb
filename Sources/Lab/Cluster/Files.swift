import Glibc

/// The few file operations that a laboratory needs: small texts, directories, and a lock.
public enum Files {
    /// Larger files than this are no settings and no state of ours.
    private static let textBytesMax = 16 << 20

    /// Reads a whole text file.
    ///
    /// - Throws: `badFile` when it cannot be read, is too long or is not UTF-8.
    public static func read(_ path: String) throws(Failure) -> String {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw Failure(.badFile, "cannot read \(path): \(lastError())")
        }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            guard count >= 0 else { throw Failure(.badFile, "cannot read \(path): \(lastError())") }
            if count == 0 { break }
            bytes += chunk[..<count]
            guard bytes.count <= textBytesMax else {
                throw Failure(.badFile, "\(path) is longer than 16 MiB")
            }
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw Failure(.badFile, "\(path) is not UTF-8 text")
        }
        return text
    }

    /// Whether others than its owner may read a file; false where there is none.
    public static func othersMayRead(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & 0o044 != 0
    }

    /// Replaces a file as a whole, so that nobody reads half of it; readable by its owner alone.
    public static func write(_ text: String, to path: String) throws(Failure) {
        let draft = path + ".new"
        let descriptor = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw Failure(.cannotCreate, "cannot write \(draft): \(lastError())")
        }
        let bytes = Array(text.utf8)
        let written = Glibc.write(descriptor, bytes, bytes.count)
        close(descriptor)
        guard written == bytes.count, rename(draft, path) == 0 else {
            throw Failure(.cannotCreate, "cannot write \(path): \(lastError())")
        }
    }

    /// Makes a directory for its owner alone, or takes one that is already there and belongs to
    /// this user.
    ///
    /// A directory of somebody else, or a symbolic link, is refused: under a shared temporary
    /// directory anyone could have put it there.
    public static func makeDirectory(_ path: String) throws(Failure) {
        if mkdir(path, 0o700) == 0 { return }
        guard errno == EEXIST else {
            throw Failure(.cannotCreate, "cannot create \(path): \(lastError())")
        }
        guard isOwnDirectory(path) else {
            throw Failure(.cannotCreate, "\(path) exists and is no directory of this user")
        }
    }

    /// True for a directory of this user, and nothing that points at one.
    static func isOwnDirectory(_ path: String) -> Bool {
        var status = stat()
        return lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
            && status.st_uid == getuid()
    }

    /// The path from the root, so that it means the same wherever a process works.
    static func absolute(_ path: String) throws(Failure) -> String {
        if path.hasPrefix("/") { return path }
        var buffer = [CChar](repeating: 0, count: 4096)
        guard let here = getcwd(&buffer, buffer.count) else {
            throw Failure(.cannotCreate, "no working directory: \(lastError())")
        }
        return String(cString: here) + "/" + path
    }

    /// True when something is there.
    ///
    /// - Throws: `badFile` when one may not, or cannot, look.
    public static func exists(_ path: String) throws(Failure) -> Bool {
        var status = stat()
        if lstat(path, &status) == 0 { return true }
        guard errno == ENOENT || errno == ENOTDIR else {
            throw Failure(.badFile, "cannot read \(path): \(lastError())")
        }
        return false
    }

    /// Removes a directory with all that is in it; follows no symbolic link.
    public static func removeTree(_ path: String) {
        var status = stat()
        guard lstat(path, &status) == 0 else { return }
        guard status.st_mode & S_IFMT == S_IFDIR else {
            unlink(path)
            return
        }
        for name in names(in: path) { removeTree(path + "/" + name) }
        rmdir(path)
    }

    /// What is in a directory; nothing when it cannot be read.
    static func names(in path: String) -> [String] {
        guard let directory = opendir(path) else { return [] }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names
    }

    /// What a symbolic link points at, or nil.
    static func linkTarget(_ path: String) -> String? {
        var buffer = [CChar](repeating: 0, count: 4096)
        let count = readlink(path, &buffer, buffer.count)
        guard count > 0 else { return nil }
        return String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Holds a lock file until the returned descriptor is closed, by the process's end at the
    /// latest.
    static func lock(_ path: String) throws(Failure) -> Int32 {
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw Failure(.cannotCreate, "cannot write \(path): \(lastError())")
        }
        guard lockf(descriptor, F_TLOCK, 0) == 0 else {
            close(descriptor)
            throw Failure(.cannotCreate, "another quorate command is working on this cluster")
        }
        return descriptor
    }

    /// The last lines of a log, for a message about why something ended.
    static func tail(of path: String, lines: Int) -> [String] {
        guard let text = try? read(path) else { return [] }
        return text.split(separator: "\n").suffix(lines).map(String.init)
    }
}
