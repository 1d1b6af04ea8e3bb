import Base
import Coding
import Reactor
import Replication

// The handshake: the first frame each way is a `Hello`. Who called greets first, who was called
// answers when it has admitted the other; each side's link is open once it has admitted the other's
// hello.
extension Server {
    /// Sends this node's hello.
    mutating func greet(_ index: Int, recipient: NodeID) {
        var hello = ByteBuffer(capacity: Hello.encodedBytes)
        node.hello(to: recipient).encode(into: &hello)
        links[index].output.append(hello.bytes)
        markDirty(link: index)
    }

    /// Reads the other side's hello off the front and opens the link, or refuses it.
    ///
    /// - Returns: the bytes used up, 0 while the hello is incomplete.
    mutating func takeHello(_ index: Int, _ bytes: UnsafeRawBufferPointer) -> Int {
        let hello: Hello
        do throws(DecodeError) {
            guard let next = try Hello.next(in: bytes) else { return 0 }
            hello = next
        } catch {
            refuse(index, error.text)
            return 0
        }
        // A link that broke in this turn must not stand in the way of its successor.
        settle()
        let called = links[index].node
        do throws(LinkRefusal) { try node.admit(hello, dialled: called) } catch {
            if called == nil, case .otherRing(let caller) = error {
                // So that the caller finds the difference as well, and its log says so.
                greet(index, recipient: caller)
                flush(link: index)
            }
            refuse(index, error.text)
            return 0
        }
        guard let position = position(of: hello.identity.node) else {
            refuse(index, LinkRefusal.notAMember(hello.identity.node).text)
            return 0
        }
        if called == nil { guard answer(index, position) else { return 0 } }
        open(index, position, hello.identity)
        return Hello.encodedBytes
    }

    /// Takes a caller in: one link a pair of nodes, called by the one with the higher number.
    private mutating func answer(_ index: Int, _ position: Int) -> Bool {
        let neighbour = neighbours[position]
        if neighbour.isCalled {
            refuse(index, "\(neighbour.node) is called by this node, not the other way round")
            return false
        }
        if neighbour.link != nil {
            refuse(index, "a link to \(neighbour.node) is up: a second process under its number?")
            return false
        }
        links[index].node = neighbour.node
        neighbours[position].link = index
        greet(index, recipient: neighbour.node)
        return true
    }

    private mutating func open(_ index: Int, _ position: Int, _ identity: ReplicaIdentity) {
        links[index].stage = .open
        links[index].socket.detectDeadPath(within: configuration.limits.linkSilenceMilliseconds)
        neighbours[position].failures = 0
        neighbours[position].complaint = ""
        counters.linksOpened += 1
        log.info("link to \(identity.node) is up, identity \(identity)")
        node.step(.linked(identity.node, identity), now: now, into: &effects)
    }

    /// Closes a connection that has not become a link.
    mutating func refuse(_ index: Int, _ reason: String) {
        guard !links[index].isGone else { return }
        if let called = links[index].node, let position = position(of: called) {
            complain(position, reason)
        } else {
            noteStranger("connection from \(links[index].socket.farEnd): \(reason)")
        }
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
