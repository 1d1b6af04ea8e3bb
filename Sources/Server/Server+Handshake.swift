import Base
import Coding
import Reactor
import Replication

// The handshake: `Replication.Handshake` over a connection. Nothing else that comes from the other
// side is read before it has proved to know the cluster's secret.
extension Server {
    /// Greets the node that was called.
    mutating func greet(_ index: Int, recipient: NodeID) {
        var said = ByteBuffer(capacity: 128)
        links[index].handshake = node.greet(recipient, nonce: Server.nonce(), into: &said)
        links[index].output.append(said.bytes)
        markDirty(link: index)
    }

    /// Never used before, and known to nobody.
    static func nonce() -> Nonce {
        var generator = SystemRandomNumberGenerator()
        return Nonce(from: &generator)
    }

    /// Follows the handshake until more bytes must come, or the link is open, or refused.
    ///
    /// - Returns: the bytes used up.
    mutating func takeHandshake(_ index: Int, _ bytes: UnsafeRawBufferPointer) -> Int {
        // A link that broke in this turn must not stand in the way of its successor.
        settleLinks()
        var offset = 0
        while links[index].stage == .greeting, !links[index].isGone,
            var handshake = links[index].handshake
        {
            var said = ByteBuffer(capacity: 256)
            let rest = UnsafeRawBufferPointer(rebasing: bytes[offset...])
            var step = node.advance(&handshake, rest, into: &said)
            links[index].handshake = handshake
            if case .proven(let identity, let consumed) = step {
                offset += consumed
                step = node.conclude(
                    handshake, isTaken: isTaken(identity.node), into: &said)
            }
            if said.count > 0 {
                links[index].output.append(said.bytes)
                markDirty(link: index)
            }
            switch step {
            case .waits, .proven: return offset
            case .goesOn(let consumed): offset += consumed
            case .linked(let identity, let consumed):
                offset += consumed
                open(index, identity)
            case .refused(let refusal, let isProven):
                flush(link: index)
                refuse(index, refusal, handshake, isProven: isProven)
            case .malformed(let error): refuse(index, error.text)
            }
        }
        return offset
    }

    /// Whether this side has a link to a node already, or calls it by itself.
    private mutating func isTaken(_ node: NodeID) -> Bool {
        guard let position = position(of: node) else { return false }
        return neighbours[position].isCalled || neighbours[position].link != nil
    }

    private mutating func open(_ index: Int, _ identity: ReplicaIdentity) {
        guard let position = position(of: identity.node) else {
            return refuse(index, LinkRefusal.notAMember(identity.node).text)
        }
        links[index].node = identity.node
        neighbours[position].link = index
        links[index].stage = .open
        links[index].handshake = nil
        links[index].socket.detectDeadPath(within: configuration.limits.linkSilenceMilliseconds)
        if let origin = links[index].origin { neighbours[position].hostBytes = origin.source }
        neighbours[position].failures = 0
        neighbours[position].complaint = ""
        counters.linksOpened += 1
        log.info("link to \(identity.node) is up, identity \(identity)")
        node.step(.linked(identity.node, identity), now: now, into: &effects)
    }

    /// Ends a handshake; what a proved member said is told.
    private mutating func refuse(
        _ index: Int, _ refusal: LinkRefusal, _ handshake: Handshake, isProven: Bool
    ) {
        guard isProven, let hello = handshake.greeting,
            let position = position(of: hello.identity.node)
        else { return refuse(index, refusal.text) }
        complain(position, refusal.text)
        counters.linksRefused += 1
        dropLink(index)
        node.step(
            .told(by: hello.identity.node, hello.standing, of: hello.sender), now: now,
            into: &effects)
    }

    /// Closes a connection that has not become a link.
    mutating func refuse(_ index: Int, _ reason: String) {
        guard !links[index].isGone else { return }
        if let called = links[index].node, let position = position(of: called) {
            complain(position, reason)
        } else {
            noteStranger("connection from \(links[index].origin?.text ?? "unknown"): \(reason)")
        }
        dropLink(index)
    }
}
