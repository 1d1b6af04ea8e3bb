import Base
import Coding
import Glibc
import Reactor

/// Why a server did not start, or stopped.
public enum ServerError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The configuration contradicts itself; the text says where.
    case configuration(String)
    /// An address could not be resolved or listened on, or the kernel refused something the loop
    /// needs.
    case network(SocketError)
    /// The data directory cannot be used, or it failed: nothing that waited for it was
    /// acknowledged.
    case storage(DiskError)
    /// What is on the disk is not what was written; the text names the file and place.
    case corruption(String)

    /// What the process ends with: 78 (EX_CONFIG), 71 (EX_OSERR), 74 (EX_IOERR), 65 (EX_DATAERR).
    ///
    /// Source: sysexits.h.
    public var exitStatus: Int32 {
        switch self {
        case .configuration: 78
        case .network: 71
        case .storage: 74
        case .corruption: 65
        }
    }

    public var description: String {
        switch self {
        case .configuration(let text): "configuration: \(text)"
        case .network(let error) where error.errno == EADDRINUSE:
            "network: \(error); end what uses it (ss -ltnp names it) or set another port"
        case .network(let error): "network: \(error)"
        case .storage(let error): "data directory: \(ServerError.describe(error))"
        case .corruption(let text): "data directory is damaged: \(text)"
        }
    }

    private static func describe(_ error: DiskError) -> String {
        switch error {
        case .notFound(let name): "\(name): no such file"
        case .full(let name): "\(name): no space left on the volume; free some of it"
        case .locked(let name): "\(name): another process uses it"
        case .unusable(let text): text
        case .failed(let name, let errno): "\(SocketError(name, errno: errno))\(advice(errno))"
        }
    }

    private static func advice(_ errno: Int32) -> String {
        switch errno {
        case EACCES, EPERM:
            "; the user that this process runs as (\(geteuid())) has to own it, and to be allowed "
                + "to read and write it"
        case EROFS: "; mount the volume so that it can be written to"
        default: ""
        }
    }
}
