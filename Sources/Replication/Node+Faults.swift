import Base
import RESP

/// What an experiment does to the link to another node. It ends by itself, whatever becomes of
/// whoever ordered it.
struct LinkFault {
    let until: Deadline
    /// Nothing is sent.
    var isMute = false
    /// Of messages that come, so many in a thousand are not heard.
    var lossPerMille = 0
}

// Faults for experiments: silent, directed loss of what goes over a link, while the link stays up.
//
// `DEBUG CUT node milliseconds [IN|OUT]` loses everything, both ways or one;
// `DEBUG LOSE node milliseconds permille` loses so many of the messages that come;
// `DEBUG HEAL` ends both. Each node is told for itself, so a script makes every shape of partition.
extension Node {
    /// Whether nothing may be sent over a link.
    @inline(__always)
    func isCut(_ index: Int) -> Bool {
        guard let fault = links[index].fault else { return false }
        return fault.isMute && now.monotonic < fault.until
    }

    /// Whether a message that came is lost to an injected fault.
    mutating func isLostToFault(_ index: Int) -> Bool {
        guard let fault = links[index].fault, now.monotonic < fault.until else { return false }
        return fault.lossPerMille > 0 && random.chance(perMille: fault.lossPerMille)
    }

    mutating func debug(_ effects: inout Effects) throws(CommandError) {
        guard configuration.faults else {
            return effects.bytes.writeError("ERR faults are off; start the node with faults: true")
        }
        try request.checkSubcommand(of: .debug)
        let isCut = request.matches(1, "CUT")
        if request.matches(1, "HEAL") {
            for index in links.indices { links[index].fault = nil }
            return effects.bytes.writeOK()
        }
        let number = try request.integer(2)
        let milliseconds = try request.integer(3)
        guard let node = UInt16(exactly: number), let index = linkIndex(of: NodeID(node)),
            links[index].node != configuration.node
        else { return effects.bytes.writeError("ERR no such other node") }
        guard 1...600_000 ~= milliseconds else {
            return effects.bytes.writeError("ERR a fault lasts 1 to 600000 ms")
        }
        var fault = LinkFault(
            until: now.monotonic + .nanoseconds(milliseconds: UInt64(milliseconds)))
        if isCut {
            let isOneWay = request.count == 5
            guard !isOneWay || request.matches(4, "IN") || request.matches(4, "OUT") else {
                throw .syntax
            }
            fault.isMute = !isOneWay || request.matches(4, "OUT")
            fault.lossPerMille = !isOneWay || request.matches(4, "IN") ? 1_000 : 0
        } else {
            let share = try request.integer(4)
            guard 0...1_000 ~= share else { throw .notAnInteger }
            fault.lossPerMille = Int(share)
        }
        links[index].fault = fault
        effects.bytes.writeOK()
    }
}
