import Base
import Glibc
import Reactor
import Storage
import Testing

@Suite struct FileDiskTests {
    /// A directory of its own, removed at the end.
    private final class Scratch {
        let path: String

        init(in directory: String = "/tmp") throws {
            var template = Array("\(directory)/quorate-disk-XXXXXX".utf8CString)
            let made = template.withUnsafeMutableBufferPointer { mkdtemp($0.baseAddress!) }
            path = String(cString: try #require(made))
        }

        deinit {
            if let directory = opendir(path) {
                while let entry = readdir(directory) {
                    let name = withUnsafeBytes(of: &entry.pointee.d_name) {
                        String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
                    }
                    unlink("\(path)/\(name)")
                }
                closedir(directory)
            }
            rmdir(path)
        }
    }

    private func read(
        _ disk: FileDisk, _ name: String, at offset: Int, _ count: Int
    ) throws -> [UInt8] {
        let target = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 1)
        defer { target.deallocate() }
        return Array(target[..<(try disk.read(name, at: offset, into: target))])
    }

    private func write(_ disk: FileDisk, _ name: String, at offset: Int, _ bytes: [UInt8]) throws {
        try bytes.withUnsafeBytes { try disk.write(name, at: offset, $0) }
    }

    @Test("a file that somebody has removed is not synced")
    func removedFromOutside() throws {
        let scratch = try Scratch()
        let disk = try FileDisk(path: scratch.path)
        try disk.create("a", size: 3_000)
        try write(disk, "a", at: 5, [1, 2, 3])
        try disk.sync("a")
        unlink("\(scratch.path)/a")
        try write(disk, "a", at: 8, [4])
        #expect(throws: DiskError.self) { try disk.sync("a") }
    }

    @Test("a file is created zeroed, written, read, cut, renamed and removed")
    func files() throws {
        let scratch = try Scratch()
        let disk = try FileDisk(path: scratch.path)
        try disk.create("a", size: 3_000_000)
        #expect(try disk.size(of: "a") == 3_000_000)
        #expect(try read(disk, "a", at: 2_999_990, 100) == [UInt8](repeating: 0, count: 10))
        try write(disk, "a", at: 5, [1, 2, 3])
        try disk.sync("a")
        #expect(try read(disk, "a", at: 4, 5) == [0, 1, 2, 3, 0])
        try disk.truncate("a", to: 7)
        try disk.create("b", size: 0)
        try disk.rename("a", to: "b")
        try disk.syncDirectory()
        #expect(try disk.list() == ["b"])
        #expect(try read(disk, "b", at: 0, 100) == [0, 0, 0, 0, 0, 1, 2])
        try disk.remove("b")
        #expect(try disk.list() == [])
    }

    @Test("errors say which: not found, exists with its errno, and the rest by errno")
    func errors() throws {
        let scratch = try Scratch()
        let disk = try FileDisk(path: scratch.path)
        #expect(throws: DiskError.notFound("a")) { try disk.size(of: "a") }
        #expect(throws: DiskError.notFound("a")) { try disk.remove("a") }
        try disk.create("a", size: 1)
        #expect(throws: DiskError.failed("a", errno: EEXIST)) { try disk.create("a", size: 1) }
        #expect(throws: DiskError.failed("a", errno: EINVAL)) { try disk.truncate("a", to: -1) }
    }

    private func objection(_ body: () throws -> Void) -> String {
        do { try body() } catch DiskError.unusable(let text) { return text } catch {
            return "another error: \(error)"
        }
        return "no error"
    }

    @Test("what stands where a file or the directory belongs is named, with what it is")
    func obstructions() throws {
        let scratch = try Scratch()
        let disk = try FileDisk(path: scratch.path)
        let byte = UnsafeMutableRawBufferPointer.allocate(byteCount: 1, alignment: 1)
        defer { byte.deallocate() }
        func paths(_ name: String) -> String { "\(scratch.path)/\(name)" }
        #expect(mkdir(paths("directory"), 0o700) == 0 && mkfifo(paths("pipe"), 0o600) == 0)
        #expect(symlink("/nowhere/at/all", paths("link")) == 0)
        defer { for name in ["directory", "path"] { rmdir(paths(name)) } }
        for (name, kind) in [
            ("directory", "a directory"), ("pipe", "a named pipe"),
            ("link", "a symbolic link that leads to nothing"),
        ] {
            let begin = "\(name) is \(kind), "
            #expect(objection { _ = try disk.read(name, at: 0, into: byte) }.hasPrefix(begin))
            #expect(objection { try disk.create(name, size: 1) }.hasPrefix(begin))
        }
        #expect(objection { try disk.remove("directory") }.hasPrefix("directory is a directory, "))
        try disk.create("file", size: 1)
        #expect(objection { try disk.rename("file", to: "directory") }.hasPrefix("directory is a "))
        for (path, sentence) in [
            (paths("file"), "\(paths("file")) is a file and has to be a directory"),
            (paths("link"), "\(paths("link")) is a symbolic link that leads to nothing and has to"),
            (paths("no/no"), "\(paths("no/no")) cannot be made, because the directory that is"),
            (paths("file/no"), "\(paths("file/no")) cannot be made, because a part of the path"),
            ("/proc/no", "/proc/no cannot be made, because the file system there takes no new"),
        ] {
            #expect(objection { _ = try FileDisk(path: path) }.hasPrefix(sentence))
        }
        #expect(mkdir(paths("path"), 0o700) == 0 && mkdir(paths("path/LOCK"), 0o700) == 0)
        defer { rmdir(paths("path/LOCK")) }
        let locked = objection { _ = try FileDisk(path: paths("path")) }
        #expect(locked.hasPrefix("LOCK is a directory, "))
    }

    @Test("room that is not there is a full disk, and leaves no file behind")
    func full() throws {
        // A tmpfs refuses more than it could ever hold without filling up, which would disturb
        // whoever else writes there.
        let scratch = try Scratch(in: "/dev/shm")
        let disk = try FileDisk(path: scratch.path)
        var room = statvfs()
        try #require(statvfs(scratch.path, &room) == 0)
        let tooMuch = Int(room.f_blocks) * Int(room.f_frsize) + (1 << 30)
        do {
            try disk.create("a", size: tooMuch)
            Issue.record("created \(tooMuch) bytes")
        } catch DiskError.full(let name) { #expect(name == "a") }
        #expect(try disk.list() == [])
    }

    @Test("a second holder of a directory is refused by path until the first is gone")
    func lock() throws {
        let scratch = try Scratch()
        let path = "\(scratch.path)/fresh"
        defer {
            unlink("\(path)/LOCK")
            rmdir(path)
        }
        var first: FileDisk? = try FileDisk(path: path)
        #expect(throws: DiskError.locked(path)) { try FileDisk(path: path) }
        #expect(try first?.list() == [])
        first = nil
        // A process that another test is starting may hold the lock until it runs its program.
        #expect(
            (0..<10_000).contains { _ in
                sched_yield()
                return (try? FileDisk(path: path)) != nil
            })
    }

    @Test("another process is refused as well")
    func otherProcess() throws {
        let scratch = try Scratch()
        let disk = try FileDisk(path: scratch.path)
        #expect(try tryLock(scratch.path) == 1)
        withExtendedLifetime(disk) {}
    }

    /// The exit code of `flock -n` on the lock file.
    private func tryLock(_ path: String) throws -> Int32 {
        let words = ["flock", "-n", "\(path)/LOCK", "true"]
        var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        var child: pid_t = 0
        try #require(posix_spawnp(&child, "flock", nil, nil, &arguments, environ) == 0)
        var status: Int32 = 0
        waitpid(child, &status, 0)
        return status >> 8
    }

    @Test("a journal and its checkpoint on real files come back after a restart")
    func journal() throws {
        let scratch = try Scratch()
        let limits = JournalLimits(segmentBytes: 1 << 20, batchBytesMax: 64 << 10)
        var accepted: [[UInt8]] = []
        for start in 0..<3 {
            let disk = try FileDisk(path: scratch.path)
            var recovered: [[UInt8]] = []
            let report = try Recovery.run(on: disk) { recovered.append(Array($0)) }
            #expect(report.lastPosition == UInt64(accepted.count))
            #expect(recovered.suffix(20) == accepted.suffix(20))
            var journal = Journal(resuming: report, limits: limits, salt: UInt64(start))
            for number in 0..<60 {
                accepted.append([UInt8](repeating: UInt8(number), count: 30_000 + number))
                _ = accepted[accepted.count - 1].withUnsafeBytes { journal.append($0) }
                if number == 30 {
                    let begun = journal.beginCheckpoint()
                    #expect(begun)
                    for payload in accepted {
                        payload.withUnsafeBytes { journal.appendToCheckpoint($0) }
                    }
                    journal.finishCheckpoint()
                }
                while let job = journal.nextJob() {
                    try job.run(on: disk)
                    journal.completed(.success(()))
                }
            }
            #expect(journal.durablePosition == UInt64(accepted.count))
            #expect(journal.counters.checkpointsFinished == 1)
        }
    }
}
