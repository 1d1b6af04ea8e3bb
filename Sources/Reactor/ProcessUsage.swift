import CLinux
import Glibc

/// What this process takes from its machine, as the kernel counts it.
public enum ProcessUsage {
    /// Nanoseconds of processor time, user and system, of all threads.
    public static var processorNanoseconds: UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    /// Bytes of memory that are resident; nil when the kernel does not say.
    ///
    /// Source: proc(5), /proc/PID/statm.
    public static var residentBytes: Int? {
        let pages = read("/proc/self/statm").split(separator: " ").dropFirst().first
        return pages.flatMap { Int($0) }.map { $0 * sysconf(Int32(_SC_PAGESIZE)) }
    }

    /// Descriptors that are open; nil when the kernel does not say.
    public static var openDescriptors: Int? {
        guard let directory = opendir("/proc/self/fd") else { return nil }
        defer { closedir(directory) }
        var count = 0
        while readdir(directory) != nil { count += 1 }
        // Without `.`, `..` and the directory's own.
        return count - 3
    }

    /// Asks the allocator to give all that is free back to the kernel, where it knows how.
    ///
    /// Source: malloc_trim(3).
    public static func giveBackFreedMemory() { quorate_give_back_heap() }

    /// Has the allocator grow blocks of some MiB where they are, where it knows how: to copy one
    /// takes turns.
    ///
    /// Source: mallopt(3).
    public static func growLargeBlocksInPlace() { quorate_grow_large_blocks_in_place() }

    private static func read(_ path: String) -> String {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return "" }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 512)
        let count = Glibc.read(descriptor, &bytes, bytes.count)
        return String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
    }
}
