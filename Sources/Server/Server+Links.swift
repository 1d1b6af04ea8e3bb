import Base
import Coding
import Reactor
import Replication

extension Server {
    // MARK: Calling and being called

    mutating func acceptLinks() {
        for _ in 0..<64 {
            do throws(SocketError) {
                guard let socket = try linkListener.accept() else { return }
                admitStranger(socket)
            } catch {
                pauseAccepting(error)
                return
            }
        }
    }

    mutating func addLink(
        _ socket: consuming Socket, calling node: NodeID?, _ origin: Link.Origin?
    ) {
        generation += 1
        let wait = UInt64.nanoseconds(milliseconds: configuration.limits.handshakeMilliseconds)
        var link = Link(
            socket: socket, generation: generation, calling: node, origin,
            handshakeBy: now.monotonic + wait)
        if node == nil { link.handshake = Handshake(nonce: Server.nonce()) }
        tendLinksAt = min(tendLinksAt, link.handshakeBy)
        let descriptor = link.socket.descriptor
        let interest = link.interest
        let index = links.insert(link)
        if let node, let position = position(of: node) { neighbours[position].link = index }
        do throws(SocketError) {
            try poller.add(descriptor, token: TokenKind.link.token(index), interest)
        } catch {
            dropLink(index)
        }
    }

    /// Calls the nodes whose turn it is, and gives up handshakes that took too long.
    mutating func tendLinks() {
        tendLinksAt = .max
        for index in 0..<links.limit where links.contains(index) {
            guard links[index].stage != .open, !links[index].isGone else { continue }
            if links[index].handshakeBy <= now.monotonic {
                refuse(index, unfinished(index, "no handshake in time"))
            } else {
                tendLinksAt = min(tendLinksAt, links[index].handshakeBy)
            }
        }
        for position in neighbours.indices
        where neighbours[position].isCalled && neighbours[position].link == nil
            && node.seeksLinks
        {
            if neighbours[position].callAt <= now.monotonic { call(position) }
            if neighbours[position].link == nil {
                tendLinksAt = min(tendLinksAt, neighbours[position].callAt)
            }
        }
    }

    /// Connects, after looking the host up if it has a name: at each call, for a name may get
    /// another address.
    private mutating func call(_ position: Int) {
        let (host, port) = (neighbours[position].host, neighbours[position].port)
        if let address = SocketAddress(literal: host, port: port) {
            return connect(position, to: address)
        }
        neighbours[position].callAt = .max
        do throws(SocketError) {
            try resolver.ask(host, port: port, number: position)
        } catch {
            callFailed(position, error.description)
        }
    }

    mutating func takeLookups() {
        for answer in resolver.takeAnswers() where neighbours[answer.number].link == nil {
            let isCalled = neighbours[answer.number].isCalled
            switch answer.result {
            case .success(let address) where isCalled: connect(answer.number, to: address)
            case .success(let address): missCaller(answer.number, at: address)
            case .failure(let error) where isCalled: callFailed(answer.number, error.description)
            case .failure(let error): complain(answer.number, error.description)
            }
        }
    }

    private mutating func connect(_ position: Int, to address: SocketAddress) {
        do throws(SocketError) {
            let socket = try Socket.connecting(to: address)
            neighbours[position].hostBytes = address.hostBytes
            addLink(socket, calling: neighbours[position].node, nil)
        } catch {
            callFailed(position, error.description)
        }
    }

    private mutating func callFailed(_ position: Int, _ reason: String) {
        complain(position, reason)
        neighbours[position].backOff(now: now.monotonic, random: &random)
        tendLinksAt = min(tendLinksAt, neighbours[position].callAt)
    }

    /// Logs why there is no link to a node, once for each reason in a row.
    mutating func complain(_ position: Int, _ reason: String) {
        guard neighbours[position].complaint != reason else { return }
        neighbours[position].complaint = reason
        let again = neighbours[position].isCalled ? ", calling again" : ""
        log.warning("no link to \(neighbours[position].node)\(again): \(reason)")
    }

    /// Why a connection that ended, or was given up, was no link yet.
    private func unfinished(_ index: Int, _ reason: String) -> String {
        guard let claim = links[index].handshake?.claim else { return reason }
        return "\(reason), before the handshake with \(claim) was complete: it may be starting, "
            + "stopping or hanging"
    }

    // MARK: Reading

    mutating func serveLink(_ index: Int, _ ready: Poller.Ready) {
        guard links.contains(index), !links[index].isGone else { return }
        if links[index].stage == .connecting {
            finishConnect(index)
            return
        }
        if ready.isWritable { markDirty(link: index) }
        if ready.isReadable || ready.isHungUp { readLink(index) }
    }

    private mutating func finishConnect(_ index: Int) {
        guard let node = links[index].node, let position = position(of: node) else { return }
        do throws(SocketError) { try links[index].socket.connectOutcome() } catch {
            dropLink(index)
            neighbours[position].link = nil
            callFailed(position, error.description)
            return
        }
        links[index].stage = .greeting
        greet(index, recipient: node)
    }

    private mutating func readLink(_ index: Int) {
        if links[index].isInLine { return }
        if links[index].unread.count > 0 {
            let room = UnsafeMutableRawBufferPointer(
                start: links[index].unread.reserve(readBuffer.count), count: readBuffer.count)
            guard let count = receive(index, into: room) else { return }
            links[index].unread.advance(count)
            takeUnread(index)
        } else {
            guard let count = receive(index, into: readBuffer) else { return }
            let bytes = UnsafeRawBufferPointer(rebasing: readBuffer[..<count])
            let consumed = takeFrames(index, bytes)
            guard consumed < count else { return }
            links[index].unread.append(UnsafeRawBufferPointer(rebasing: bytes[consumed...]))
        }
    }

    /// Takes what was read before.
    mutating func takeUnread(_ index: Int) {
        let consumed = takeFrames(index, links[index].unread.bytes)
        links[index].unread.removeFirst(consumed)
        links[index].unread.shrink(to: 64 << 10)
    }

    private mutating func receive(
        _ index: Int, into buffer: UnsafeMutableRawBufferPointer
    ) -> Int? {
        do throws(SocketError) {
            guard let count = try links[index].socket.read(into: buffer) else { return nil }
            if count > 0 { return count }
            lose(index, "it closed the connection")
        } catch {
            lose(index, error.description)
        }
        return nil
    }

    /// Steps the node with every complete frame, or as many as the turn admits.
    ///
    /// - Returns: the bytes used up.
    private mutating func takeFrames(_ index: Int, _ bytes: UnsafeRawBufferPointer) -> Int {
        var offset = 0
        if links[index].stage == .greeting { offset = takeHandshake(index, bytes) }
        guard links[index].stage == .open, let node = links[index].node else { return offset }
        let payloadMax = configuration.limits.framePayloadBytesMax
        let spent = self.node.turnUnits
        while !links[index].isGone {
            if self.node.isTurnSpent, self.node.turnUnits - spent >= Server.linkUnits,
                offset < bytes.count
            {
                lineUp(link: index)
                break
            }
            do throws(DecodeError) {
                let rest = UnsafeRawBufferPointer(rebasing: bytes[offset...])
                guard let frame = try Frame.next(in: rest, payloadMax: payloadMax) else { break }
                offset += frame.consumed
                self.node.step(.message(node, frame.payload), now: now, into: &effects)
            } catch {
                counters.malformedFrames += 1
                lose(index, error.text)
            }
            if effects.bytes.count > Server.turnBytesMax { walkEffects() }
        }
        return offset
    }

    // MARK: Writing

    mutating func position(of node: NodeID) -> Int? {
        for position in neighbours.indices where neighbours[position].node == node {
            return position
        }
        return nil
    }

    /// The index of the open link to a node.
    private mutating func openLink(_ node: NodeID) -> Int? {
        guard let position = position(of: node), let index = neighbours[position].link,
            links[index].stage == .open, !links[index].isGone
        else { return nil }
        return index
    }

    mutating func linkGeneration(_ node: NodeID) -> UInt64? {
        openLink(node).map { links[$0].generation }
    }

    /// Queues a framed message; without a link it is lost, as the node was told.
    mutating func send(_ node: NodeID, _ bytes: UnsafeRawBufferPointer) {
        guard let index = openLink(node) else { return }
        let most = min(
            configuration.limits.linkOutputBytesMax, self.node.memoryBytesMax / 8)
        // One message always finds room, however little memory there is. What is short (answers,
        // heartbeats) still does where what is large does not.
        let limit = bytes.count > Link.shortBytes ? most : most + most / 4
        guard links[index].output.isEmpty || links[index].output.count + bytes.count <= limit else {
            // What is lost here comes in an exchange; a link that broke would lose everything.
            counters.messagesDropped += 1
            return
        }
        links[index].output.append(bytes)
        markDirty(link: index)
        guard links[index].output.count > min(Link.behindBytes, most / 4), !links[index].isBehind
        else { return }
        links[index].isBehind = true
        self.node.noteBacklog(of: node)
    }

    mutating func disconnect(_ node: NodeID) {
        guard let index = openLink(node) else { return }
        lose(index, reasonToPart(from: node))
    }

    /// Why this node itself ends a link.
    private func reasonToPart(from other: NodeID) -> String {
        if node.isRemoved(other) { return "CLUSTER FORGET took it out of the cluster" }
        switch node.membershipEnd {
        case .removed: return "CLUSTER FORGET took this node out of the cluster"
        case .superseded, .reborn, .left: return "this life of this node is over"
        case nil:
            return "this node ended it and begins it anew: a message was malformed, or this node "
                + "has to find out whether a later life of it runs"
        }
    }

    mutating func markDirty(link index: Int) {
        guard !links[index].isDirty else { return }
        links[index].isDirty = true
        dirtyLinks.append(index)
    }

    mutating func flushLinks() {
        for index in dirtyLinks {
            guard links.contains(index), !links[index].isGone else { continue }
            links[index].isDirty = false
            flush(link: index)
        }
        dirtyLinks.removeAll(keepingCapacity: true)
    }

    mutating func flush(link index: Int) {
        var wanted: Poller.Interest = .readable
        do throws(SocketError) {
            let taken = try links[index].socket.write(links[index].output.bytes)
            links[index].output.removeFirst(taken)
            if links[index].isBehind, let node = links[index].node,
                links[index].output.isEmpty || links[index].output.count < Link.relievedBytes
            {
                links[index].isBehind = false
                settlements.append(.relieved(node))
            }
            if !links[index].output.isEmpty { wanted.insert(.writable) }
            guard wanted != links[index].interest else { return }
            links[index].interest = wanted
            let descriptor = links[index].socket.descriptor
            try poller.modify(descriptor, token: TokenKind.link.token(index), wanted)
        } catch {
            lose(index, error.description)
        }
    }

    // MARK: Ending

    /// Breaks a link whose other end is known, or a stranger's connection.
    mutating func lose(_ index: Int, _ reason: String) {
        guard !links[index].isGone else { return }
        if links[index].stage == .open, let node = links[index].node {
            log.warning("link to \(node) lost: \(reason)")
            dropLink(index)
        } else {
            let isGreeting = links[index].stage == .greeting
            refuse(index, isGreeting ? unfinished(index, reason) : reason)
        }
    }

    /// Ends a link; the node is told at the start of the next turn.
    mutating func dropLink(_ index: Int) {
        guard !links[index].isGone else { return }
        links[index].isGone = true
        try? poller.remove(links[index].socket.descriptor)
        settlements.append(.linkGone(index))
    }

    mutating func forgetLink(_ index: Int) {
        let wasOpen = links[index].stage == .open
        let node = links[index].node
        links.remove(index)
        guard let node, let position = position(of: node), neighbours[position].link == index
        else { return }
        neighbours[position].link = nil
        if neighbours[position].isCalled {
            neighbours[position].backOff(now: now.monotonic, random: &random)
            tendLinksAt = min(tendLinksAt, neighbours[position].callAt)
        }
        if wasOpen { self.node.step(.unlinked(node), now: now, into: &effects) }
    }
}
