import Base
import Glibc
import Reactor
import Replication
import Ring
import Secrets
import Synchronization
import Testing

@testable import Server

/// A server on a thread of its own, on ports that the kernel picked, stopped when the value goes.
final class RunningServer: Sendable {
    /// What the server's thread tells; it must not hold the value that stops it.
    private final class Shared: Sendable {
        let state = Mutex(State())
    }

    private struct State {
        var client: SocketAddress?
        var link: SocketAddress?
        var metrics: SocketAddress?
        var stop: StopHandle?
        var failure: ServerError?
        var ending: Server.Ending?
        var counters: Server.Counters?
        var thread: pthread_t?
    }

    private let shared = Shared()
    /// Where its data is, at least as long as it runs.
    private let directory: TemporaryDirectory

    /// - Parameter disk: its data directory when it is not plain files.
    init(
        _ configuration: Server.Configuration, in directory: TemporaryDirectory,
        on disk: FaultyDisk? = nil, log: Log = .silent
    ) throws {
        self.directory = directory
        let started = Semaphore()
        let thread = try startThread { [shared] in
            do throws(ServerError) {
                var server = try RunningServer.make(configuration, disk, log)
                shared.state.withLock {
                    $0.client = server.clientAddress
                    $0.link = server.linkAddress
                    $0.metrics = server.metricsAddress
                    $0.stop = server.stop
                }
                started.signal()
                let ending = server.run()
                let counters = server.counters
                shared.state.withLock {
                    $0.ending = ending
                    $0.counters = counters
                }
            } catch {
                shared.state.withLock { $0.failure = error }
                started.signal()
            }
        }
        shared.state.withLock { $0.thread = thread }
        started.wait()
        if let failure = shared.state.withLock({ $0.failure }) {
            join()
            throw failure
        }
    }

    deinit { stop() }

    private static func make(
        _ configuration: Server.Configuration, _ disk: FaultyDisk?, _ log: Log
    ) throws(ServerError) -> Server {
        guard let disk else { return try Server(configuration, log: log) }
        return try Server(configuration, on: disk, seed: 1, log: log)
    }

    var clientPort: UInt16 { shared.state.withLock { $0.client?.port ?? 0 } }
    var linkPort: UInt16 { shared.state.withLock { $0.link?.port ?? 0 } }

    /// Nil when it serves no metrics.
    var metricsPort: UInt16? { shared.state.withLock { $0.metrics?.port } }

    /// Stops it as SIGTERM would.
    func requestStop() { shared.state.withLock { $0.stop }?() }

    /// Stops it as SIGTERM would and waits for its end.
    @discardableResult
    func stop() -> Server.Ending? {
        requestStop()
        join()
        return shared.state.withLock { $0.ending }
    }

    /// Waits for it to end by itself.
    func awaitEnd() -> Server.Ending? {
        join()
        return shared.state.withLock { $0.ending }
    }

    /// After `stop`.
    var counters: Server.Counters {
        get throws { try #require(shared.state.withLock { $0.counters }) }
    }

    private func join() {
        let thread = shared.state.withLock { $0.thread.take() }
        if let thread { pthread_join(thread, nil) }
    }
}

extension Log {
    static let silent = Log(descriptor: open("/dev/null", O_WRONLY | O_CLOEXEC))

    init(creating path: String) {
        self.init(descriptor: open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600))
    }

    /// What was logged so far.
    static func text(of path: String) -> String {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 64 << 10)
        let count = read(descriptor, &bytes, bytes.count)
        return String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
    }
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

extension RunningServer {
    /// The only node of a cluster.
    static func single(
        _ adjust: (inout Server.Configuration) -> Void = { _ in }
    ) throws -> RunningServer {
        let plan = try ClusterPlan(nodes: 1)
        var configuration = plan.configuration(1)
        adjust(&configuration)
        return try RunningServer(configuration, in: plan.directory)
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
        configuration.secret = ClusterPlan.secret
        configuration.limits.journal = .init(segmentBytes: 4 << 20, batchBytesMax: 1 << 20)
        return configuration
    }

    /// The same for all clusters.
    static let secret: ClusterSecret = {
        var random = PRNG(seed: 7)
        return ClusterSecret(from: &random)
    }()

    /// Those that were given out: tests run side by side.
    private static let portsTaken = Mutex(Set<UInt16>())

    /// A port that nobody listened on a moment ago, and no other test was given, below those that
    /// the kernel gives to clients: a server that is started again must not find a client on its
    /// port.
    static func freePort() throws -> UInt16 {
        for _ in 0..<50 {
            let port = UInt16.random(in: 20_000..<32_000)
            guard portsTaken.withLock({ $0.insert(port).inserted }) else { continue }
            if (try? Listener(SocketAddress(host: "127.0.0.1", port: port))) != nil { return port }
        }
        return try Listener(SocketAddress(host: "127.0.0.1", port: 0)).address.port
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
