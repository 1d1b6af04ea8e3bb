import Base
import Coding
import RESP

/// What was ordered through a node and its driver has not taken.
public struct Orders: Equatable, Sendable {
    /// Lines that wait for the driver.
    static let linesMax = 1_000

    /// One line each, in their order.
    public private(set) var lines: [String] = []
    /// How many came when there was no room for a line.
    public private(set) var more = 0

    /// Whether nothing was ordered.
    public var isNone: Bool { lines.isEmpty }

    mutating func add(_ line: String) {
        guard lines.count < Orders.linesMax else {
            more += 1
            return
        }
        lines.append(line)
    }
}

// What operators order through this node, as one line each for its log: who asks later why a
// keyspace is empty, or which settings it had, finds the command, the time and the client there.
extension Node {
    /// Takes what was ordered since the last call.
    public mutating func takeOrders() -> Orders {
        defer { orders = Orders() }
        return orders
    }

    /// - Parameter target: where the reply goes.
    mutating func noteOrder(_ text: String, of target: ReplyTarget) {
        orders.add("\(text), ordered by \(origin(of: target))")
    }

    private func origin(of target: ReplyTarget) -> String {
        let index: Int
        switch target {
        case .direct(let connection): index = Int(connection.rawValue)
        case .outstanding(let connection, let serial, _):
            index = Int(connection.rawValue)
            guard sessions[index].serial == serial else { return "a client that is gone" }
        case .node, .gather, .request, .nobody: return "another command"
        }
        let remote = sessions[index].origin.remote
        return remote.isEmpty ? "a client" : "a client at \(remote)"
    }

    /// A keyspace is about to be changed here, or made, or dropped.
    ///
    /// - Parameter settings: those that it gets; nil drops it.
    mutating func noteChange(
        of name: [UInt8], to settings: KeyspaceSettings?, for target: ReplyTarget
    ) {
        let text = String(decoding: name, as: UTF8.self)
        guard let settings else { return noteOrder("KEYSPACE DROP \(text)", of: target) }
        let former = name.withUnsafeBytes { catalog.index(named: $0) }
            .map { catalog.active[$0].settings }
        let fields = zip(settings.fields, (former ?? KeyspaceSettings()).fields).filter {
            $0.value != $1.value || former == nil && ["n", "r", "w"].contains($0.name)
        }
        let words = fields.map { field, before in
            "\(field.name)=\(field.value)" + (former == nil ? "" : " (was \(before.value))")
        }
        let verb = former == nil ? "CREATE" : "ALTER"
        noteOrder((["KEYSPACE", verb, text] + words).joined(separator: " "), of: target)
    }
}

extension Node {
    /// Keyspaces whose n is what the list of members allowed when it was shorter: by name, with n.
    /// Only at the first start with the longer list.
    ///
    /// `default` follows the list while no command has changed a keyspace; what a command has made
    /// keeps its n, whatever is kept in it.
    public var keyspacesOfShorterList: [(name: String, n: Int)] {
        let before = generation.settledBefore.count
        let (former, present) = (min(3, before), min(3, configuration.members.count))
        guard configuration.takesOtherMembers, before > 0, former < present else { return [] }
        return catalog.definitions.indices.filter {
            !catalog.active[$0].isDropped && catalog.active[$0].n == former
        }.map { (String(decoding: catalog.definitions[$0].name, as: UTF8.self), former) }
    }
}
