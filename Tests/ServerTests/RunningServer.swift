import Base
import Glibc
import Reactor
import Replication
import Ring
import Synchronization
import Testing

@testable import Server

/// A server on a thread of its own, on ports that the kernel picked, stopped when the value goes.
final class RunningServer: Sendable {
    private struct State {
        var client: SocketAddress?
        var link: SocketAddress?
        var stop: StopHandle?
        var failure: ServerError?
        var ending: Server.Ending?
        var counters = Server.Counters()
        var thread: pthread_t?
    }

    private let state = Mutex(State())

    init(_ configuration: Server.Configuration, log: Log = .silent) throws {
        let started = Semaphore()
        let thread = try startThread { [self] in
            do throws(ServerError) {
                var server = try Server(configuration, log: log)
                state.withLock {
                    $0.client = server.clientAddress
                    $0.link = server.linkAddress
                    $0.stop = server.stop
                }
                started.signal()
                let ending = server.run()
                let counters = server.counters
                state.withLock {
                    $0.ending = ending
                    $0.counters = counters
                }
            } catch {
                state.withLock { $0.failure = error }
                started.signal()
            }
        }
        state.withLock { $0.thread = thread }
        started.wait()
        if let failure = state.withLock({ $0.failure }) {
            join()
            throw failure
        }
    }

    deinit { stop() }

    var clientPort: UInt16 { state.withLock { $0.client?.port ?? 0 } }
    var linkPort: UInt16 { state.withLock { $0.link?.port ?? 0 } }

    /// Stops it as SIGTERM would and waits for its end.
    @discardableResult
    func stop() -> Server.Ending? {
        state.withLock { $0.stop }?()
        join()
        return state.withLock { $0.ending }
    }

    /// After `stop`.
    var counters: Server.Counters { state.withLock { $0.counters } }

    private func join() {
        let thread = state.withLock { $0.thread.take() }
        if let thread { pthread_join(thread, nil) }
    }
}

extension Log {
    static let silent = Log(descriptor: open("/dev/null", O_WRONLY | O_CLOEXEC))
}

/// A counting semaphore.
final class Semaphore: @unchecked Sendable {
    private let semaphore = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)
    init() { sem_init(semaphore, 0, 0) }
    deinit {
        sem_destroy(semaphore)
        semaphore.deallocate()
    }
    func signal() { sem_post(semaphore) }
    func wait() { while sem_wait(semaphore) != 0 {} }
}

/// A directory that is gone with the value.
final class TemporaryDirectory: Sendable {
    let path: String

    init() throws {
        var template = Array("/tmp/quorate-server-XXXXXX".utf8CString)
        path = try #require(mkdtemp(&template)).withMemoryRebound(to: CChar.self, capacity: 1) {
            String(cString: $0)
        }
    }

    /// A directory inside that does not exist yet.
    func inner(_ name: String) -> String { "\(path)/\(name)" }

    deinit {
        removeTree(path)
    }
}

/// The configuration of a cluster's nodes on loopback: a node per port pair.
struct ClusterPlan {
    let directory: TemporaryDirectory
    var members: [ClusterMember] = []

    init(nodes: Int) throws {
        directory = try TemporaryDirectory()
        for number in 1...nodes {
            members.append(
                ClusterMember(
                    member: Member(NodeID(UInt16(number))), host: "127.0.0.1",
                    clientPort: try ClusterPlan.freePort(), linkPort: try ClusterPlan.freePort()))
        }
    }

    func configuration(
        _ number: UInt16, directory name: String? = nil, clusterID: UInt64 = 7
    ) -> Server.Configuration {
        let node = NodeConfiguration(node: NodeID(number), clusterID: clusterID, members: members)
        var configuration = Server.Configuration(
            node: node, dataDirectory: directory.inner(name ?? "node-\(number)"))
        configuration.limits.journal = .init(segmentBytes: 4 << 20, batchBytesMax: 1 << 20)
        return configuration
    }

    /// A port that nobody listened on a moment ago.
    static func freePort() throws -> UInt16 {
        try Listener(SocketAddress(host: "127.0.0.1", port: 0)).address.port
    }
}

/// Removes a directory of files and directories of files.
private func removeTree(_ path: String) {
    guard let stream = opendir(path) else { return }
    while let entry = readdir(stream) {
        let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
            String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
        guard name != ".", name != ".." else { continue }
        let inner = "\(path)/\(name)"
        if unlink(inner) != 0 { removeTree(inner) }
    }
    closedir(stream)
    rmdir(path)
}
