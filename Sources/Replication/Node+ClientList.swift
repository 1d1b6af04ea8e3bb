import Base
import RESP

/// Where a connection comes from and what it says of itself, for `CLIENT LIST`.
public struct ClientOrigin: Equatable, Sendable {
    /// Addresses with ports, as text; empty where the driver knows none.
    public var remote: String
    public var local: String
    /// What `CLIENT SETINFO` said.
    var library: [UInt8] = []
    var libraryVersion: [UInt8] = []
    /// Nanoseconds of the monotonic clock.
    var openedAt: Deadline = 0
    var heardAt: Deadline = 0
    /// The last command that took the general path.
    var lastCommand: CommandName?

    public init(remote: String = "", local: String = "") {
        self.remote = remote
        self.local = local
    }
}

// `CLIENT LIST` and `CLIENT INFO`, in Redis's format.
extension Node {
    func listClients(_ effects: inout Effects) throws(CommandError) {
        var wanted: [UInt64]?
        if request.matches(2, "ID") {
            guard request.count > 3 else { throw .syntax }
            wanted = []
            for index in 3..<request.count {
                guard let id = UInt64(exactly: try request.integer(index)), id > 0 else {
                    throw .value(.outOfRange)
                }
                wanted?.append(id)
            }
        } else if request.matches(2, "TYPE"), request.count == 4 {
            // All clients are of Redis's type `normal`.
            guard isOne(of: ["NORMAL", "MASTER", "REPLICA", "PUBSUB"], 3) else {
                return effects.bytes.writeError(
                    "ERR Unknown client type '", quoting: request[3], "'")
            }
            if !request.matches(3, "NORMAL") { wanted = [] }
        } else if request.count > 2 {
            throw .syntax
        }
        let lines = sessions.indices.filter { index in
            sessions[index].isOpen && wanted.map { $0.contains(sessions[index].serial) } ?? true
        }
        effects.bytes.writeBulk(text: lines.map { clientLine($0) + "\n" }.joined())
    }

    func clientLine(_ index: Int) -> String {
        let session = sessions[index]
        let origin = session.origin
        let (age, idle) = (seconds(since: origin.openedAt), seconds(since: origin.heardAt))
        let flags = session.transaction.isOpen ? "x" : "N"
        let command = origin.lastCommand.map { $0.text.description } ?? "NULL"
        return "id=\(session.serial) addr=\(origin.remote) laddr=\(origin.local) fd=\(index) "
            + "name=\(String(decoding: session.name, as: UTF8.self)) age=\(age) idle=\(idle) "
            + "flags=\(flags) db=0 sub=0 psub=0 ssub=0 multi=\(session.transaction.multi) "
            + "watch=\(session.transaction.watches.count) qbuf=0 qbuf-free=0 argv-mem=0 "
            + "multi-mem=\(session.transaction.byteCount) rbs=0 rbp=0 obl=0 oll=0 omem=0 tot-mem=0 "
            + "events=r cmd=\(command) user=default redir=-1 resp=\(session.protocolVersion) "
            + "lib-name=\(String(decoding: origin.library, as: UTF8.self)) "
            + "lib-ver=\(String(decoding: origin.libraryVersion, as: UTF8.self))"
    }

    private func seconds(since moment: Deadline) -> UInt64 {
        (now.monotonic - min(moment, now.monotonic)) / 1_000_000_000
    }
}
