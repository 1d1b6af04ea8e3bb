import Base
import Reactor

// Connections on the link port whose other end has not proved yet that it is a member. There is
// room for few; whoever floods the port must not keep a member out. So a new connection takes the
// place of the one that is least likely to become a link: of an address that is no member's before
// that of a member, one that said nothing before one that greeted, the oldest first.
extension Server {
    mutating func admitStranger(_ socket: consuming Socket) {
        let source = socket.farHost
        let isMembers = neighbours.contains { $0.hostBytes == source }
        if !isMembers, count(from: source) >= configuration.limits.strangersPerSourceMax {
            dropStranger(weakest { $0.source == source })
        } else if strangerCount >= configuration.limits.strangersMax {
            guard let victim = weakest(where: { isMembers || !$0.isMembers }) else {
                return noteStranger("too many connections without a handshake")
            }
            dropStranger(victim)
        }
        let origin = Link.Origin(source: source, text: socket.farEnd, isMembers: isMembers)
        addLink(socket, calling: nil, origin)
    }

    private var strangerCount: Int { count { _ in true } }

    private func count(from source: [UInt8]) -> Int { count { $0.source == source } }

    private func count(where matches: (Link.Origin) -> Bool) -> Int {
        var count = 0
        for index in 0..<links.limit where isStranger(index) {
            if let origin = links[index].origin, matches(origin) { count += 1 }
        }
        return count
    }

    private func isStranger(_ index: Int) -> Bool {
        links.contains(index) && !links[index].isGone && links[index].stage == .greeting
            && links[index].origin != nil
    }

    /// The connection that goes first. Who has greeted is spared while at most half have.
    private func weakest(where matches: (Link.Origin) -> Bool) -> Int? {
        var greeted = 0
        for index in 0..<links.limit where isStranger(index) && hasGreeted(index) { greeted += 1 }
        let spares = greeted <= configuration.limits.strangersMax / 2
        var weakest: (index: Int, rank: (Int, Int, UInt64))?
        for index in 0..<links.limit where isStranger(index) {
            guard let origin = links[index].origin, matches(origin) else { continue }
            let rank = (
                origin.isMembers ? 1 : 0, spares && hasGreeted(index) ? 1 : 0,
                links[index].generation
            )
            if weakest.map({ rank < $0.rank }) ?? true { weakest = (index, rank) }
        }
        return weakest?.index
    }

    private func hasGreeted(_ index: Int) -> Bool { links[index].handshake?.claim != nil }

    private mutating func dropStranger(_ index: Int?) {
        guard let index else { return }
        noteStranger(
            "connection from \(links[index].origin?.text ?? "unknown"): another one takes its "
                + "place before it has proved to be a member")
        dropLink(index)
    }

    /// Logs a refused connection, a few in ten seconds, and counts all.
    mutating func noteStranger(_ text: String) {
        counters.strangersRefused += 1
        guard let suppressed = strangerLog.admit(at: now.monotonic) else { return }
        let rest = suppressed == 0 ? "" : " (and \(suppressed) more not logged)"
        log.warning("link port: refused \(text)\(rest)")
    }
}
