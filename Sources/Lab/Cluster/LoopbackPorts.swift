import Glibc

/// Ports of 127.0.0.1 that nobody listens on.
enum LoopbackPorts {
    /// The largest base port: the link ports, 10,000 above as in Redis Cluster, have to exist.
    static let baseMax = 55_000

    /// Below what the kernel gives to outgoing connections (32,768 and up): a node that is down for
    /// a moment must find its port free when it returns.
    private static let quiet = 10_240..<32_768

    /// The ports of one node.
    struct Ports {
        let client: Int
        /// 10,000 above a client port that was counted from a base.
        let link: Int
        /// 5,000 above it.
        let metrics: Int
    }

    /// The ports of so many nodes, counted from a base or picked among free ones.
    ///
    /// They are listened on until all are known, so they differ, also from those that another
    /// process picks at the same time (ports that are only bound may be bound twice); between here
    /// and the node's own bind somebody else could take one, which the node then reports.
    ///
    /// - Throws: `cannotCreate` naming the port that is in use.
    static func choose(nodes: Int, base: Int?) throws(Failure) -> [Ports] {
        var held: [Int32] = []
        defer { for descriptor in held { close(descriptor) } }
        var ports: [Ports] = []
        for position in 0..<nodes {
            guard let base else {
                ports.append(
                    Ports(
                        client: try pick(&held), link: try pick(&held), metrics: try pick(&held)))
                continue
            }
            let client = try take(base + position, &held)
            let link = try take(client + 10_000, &held)
            ports.append(
                Ports(client: client, link: link, metrics: try take(client + 5_000, &held)))
        }
        return ports
    }

    private static func pick(_ held: inout [Int32]) throws(Failure) -> Int {
        var last = Failure(.cannotCreate, "no free port of 127.0.0.1")
        for _ in 0..<1_000 {
            do throws(Failure) { return try take(Int.random(in: quiet), &held) } catch {
                last = error
            }
        }
        throw last
    }

    private static func take(_ port: Int, _ held: inout [Int32]) throws(Failure) -> Int {
        let flags = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
        let descriptor = socket(AF_INET, flags, 0)
        guard descriptor >= 0 else { throw Failure(.cannotCreate, "no socket: \(lastError())") }
        held.append(descriptor)
        var one: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, socklen_t(MemoryLayout<Int32>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(UInt16(port).bigEndian)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let isBound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { general in
                bind(descriptor, general, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
        guard isBound, listen(descriptor, 1) == 0 else {
            throw Failure(
                .cannotCreate, "port \(port) of 127.0.0.1 is not free: \(lastError())",
                hint: "choose another --port, or leave it out to get free ones")
        }
        return port
    }
}
