import Base
import Glibc
import Reactor

/// Patience with a process that was just killed: the kernel first takes back its memory, and only
/// then frees its ports and the lock on its directory. Bounded, for who holds them may live.
struct PredecessorWait {
    private static let stepMilliseconds: UInt64 = 100

    private var leftMilliseconds: UInt64
    private var isTold = false
    private let log: Log

    init(milliseconds: UInt64, log: Log) {
        leftMilliseconds = milliseconds
        self.log = log
    }

    /// Lets a moment pass.
    ///
    /// - Parameter what: is in use.
    /// - Returns: false when there was patience enough.
    mutating func lasts(for what: String) -> Bool {
        guard leftMilliseconds > 0 else { return false }
        if !isTold { log.warning("\(what) is in use; waiting for whoever uses it to end") }
        isTold = true
        let step = min(leftMilliseconds, PredecessorWait.stepMilliseconds)
        poll(nil, 0, Int32(step))
        leftMilliseconds -= step
        return true
    }
}

extension Server {
    /// Listens as soon as nobody else does.
    ///
    /// - Parameter callers: who is listened for, in words.
    static func listener(
        for callers: StaticString, on address: SocketAddress, _ wait: inout PredecessorWait
    ) throws(SocketError) -> Listener {
        while true {
            do throws(SocketError) { return try Listener(address) } catch {
                guard error.errno == EADDRINUSE, wait.lasts(for: "\(address)") else {
                    throw SocketError("listen for \(callers) on \(address)", errno: error.errno)
                }
            }
        }
    }

    /// Opens the data directory as soon as nobody else has it.
    static func disk(
        at path: String, _ wait: inout PredecessorWait
    ) throws(ServerError) -> FileDisk {
        while true {
            do throws(DiskError) { return try FileDisk(path: path) } catch {
                guard case .locked = error, wait.lasts(for: path) else { throw .storage(error) }
            }
        }
    }
}
