import Glibc

/// Where a socket is: an IPv4 or IPv6 address and a port.
public struct SocketAddress: Sendable, CustomStringConvertible {
    private var storage: sockaddr_storage
    private let length: socklen_t

    /// Resolves a host once; a literal address never blocks, a name asks the system's resolver and
    /// may.
    ///
    /// - Parameter port: 0 lets the kernel pick one when listening.
    /// - Throws: with `errno` 0 and the resolver's words when the host has no address.
    public init(host: String, port: UInt16) throws(SocketError) {
        try self.init(host: host, port: port, flags: 0)
    }

    /// Reads an address in digits; a name is nil, and nobody is asked for it.
    public init?(literal host: String, port: UInt16) {
        guard let address = try? SocketAddress(host: host, port: port, flags: AI_NUMERICHOST)
        else { return nil }
        self = address
    }

    private init(host: String, port: UInt16, flags: Int32) throws(SocketError) {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_flags = AI_NUMERICSERV | AI_PASSIVE | flags
        var list: UnsafeMutablePointer<addrinfo>?
        let status = getaddrinfo(host, String(port), &hints, &list)
        defer { freeaddrinfo(list) }
        guard status == 0, let first = list, let address = first.pointee.ai_addr else {
            throw SocketError("host \(host): \(String(cString: gai_strerror(status)))", errno: 0)
        }
        storage = sockaddr_storage()
        length = first.pointee.ai_addrlen
        memcpy(&storage, address, Int(length))
    }

    /// The address of one end of a socket: `getsockname` for the near one, `getpeername` for the
    /// far one.
    init(
        of descriptor: Int32,
        _ ask: (Int32, UnsafeMutablePointer<sockaddr>, UnsafeMutablePointer<socklen_t>) -> Int32
    ) throws(SocketError) {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let status = withUnsafeMutablePointer(to: &storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                ask(descriptor, $0, &length)
            }
        }
        guard status == 0 else { throw SocketError("address of a socket", errno: errno) }
        self.storage = storage
        self.length = length
    }

    /// `AF_INET` or `AF_INET6`.
    var family: Int32 { Int32(storage.ss_family) }

    /// Whether only this machine reaches it: 127.0.0.0/8, ::1, or the former mapped into IPv6.
    public var isLoopback: Bool {
        withUnsafeBytes(of: storage) { bytes in
            // IPv4 stands behind family and port, IPv6 behind the flow as well.
            guard family == AF_INET6 else { return bytes[4] == 127 }
            let (zeros, rest) = (bytes[8..<18], bytes[18..<24])
            guard zeros.allSatisfy({ $0 == 0 }) else { return false }
            return rest.elementsEqual([0, 0, 0, 0, 0, 1]) || rest.starts(with: [0xFF, 0xFF, 127])
        }
    }

    /// Whether it stands for every address of this machine.
    var isEverywhere: Bool {
        withUnsafeBytes(of: storage) { bytes in
            family == AF_INET6
                ? bytes[8..<24].allSatisfy { $0 == 0 } : bytes[4..<8].allSatisfy { $0 == 0 }
        }
    }

    /// Whether two listeners there would be in each other's way.
    public func overlaps(_ other: SocketAddress) -> Bool {
        guard port == other.port, port != 0 else { return false }
        return isEverywhere || other.isEverywhere || description == other.description
    }

    /// The address without the port, an IPv4 one that is mapped into IPv6 as itself: equal for
    /// equal hosts.
    public var hostBytes: [UInt8] {
        withUnsafeBytes(of: storage) { bytes in
            guard family == AF_INET6 else { return Array(bytes[4..<8]) }
            let isMapped =
                bytes[8..<18].allSatisfy { $0 == 0 }
                && bytes[18..<20].allSatisfy { $0 == 0xFF }
            return isMapped ? Array(bytes[20..<24]) : Array(bytes[8..<24])
        }
    }

    /// 0…65,535, in the host's byte order.
    public var port: UInt16 {
        // The port stands at the same place in sockaddr_in and sockaddr_in6, in network order.
        withUnsafeBytes(of: storage) {
            UInt16(bigEndian: $0.loadUnaligned(fromByteOffset: 2, as: UInt16.self))
        }
    }

    public var description: String {
        var host = [CChar](repeating: 0, count: Int(NI_MAXHOST))
        let status = withAddress { address, length in
            getnameinfo(address, length, &host, socklen_t(host.count), nil, 0, NI_NUMERICHOST)
        }
        guard status == 0 else { return "unknown:\(port)" }
        let text = host.withUnsafeBufferPointer { buffer in
            buffer.baseAddress.map { String(cString: $0) } ?? ""
        }
        return family == AF_INET6 ? "[\(text)]:\(port)" : "\(text):\(port)"
    }

    func withAddress<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
        withUnsafePointer(to: storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, length) }
        }
    }
}
