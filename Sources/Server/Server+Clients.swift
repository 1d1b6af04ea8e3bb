import Base
import Coding
import Reactor
import Replication

extension Server {
    /// Takes waiting connections, some at a time so that those who are in are served too.
    mutating func acceptClients() {
        for _ in 0..<64 {
            do throws(SocketError) {
                guard let socket = try clientListener.accept() else { return }
                admitClient(socket)
            } catch {
                pauseAccepting(error)
                return
            }
        }
    }

    private mutating func admitClient(_ socket: consuming Socket) {
        guard clients.count < configuration.limits.clientsMax else {
            counters.clientsRefused += 1
            let text: StaticString = "-ERR max number of clients reached\r\n"
            let bytes = UnsafeRawBufferPointer(
                start: text.utf8Start, count: text.utf8CodeUnitCount)
            _ = try? socket.write(bytes)
            return
        }
        counters.clientsAccepted += 1
        generation += 1
        let descriptor = socket.descriptor
        let (remote, local) = (socket.farAddress, socket.nearAddress)
        let origin = ClientOrigin(remote: remote ?? "", local: local ?? "")
        socket.detectDeadPath(within: configuration.limits.clientSilenceMilliseconds)
        let index = clients.insert(ClientConnection(socket: socket, generation: generation))
        do throws(SocketError) {
            try poller.add(descriptor, token: TokenKind.client.token(index), .readable)
        } catch {
            clients.remove(index)
            log.warning("client not admitted: \(error)")
            return
        }
        node.step(.opened(ConnectionID(UInt32(index)), from: origin), now: now, into: &effects)
    }

    /// A descriptor is needed for every connection; when none is left, waits instead of spinning.
    mutating func pauseAccepting(_ error: SocketError) {
        log.warning("accepting pauses for 100 ms: \(error)")
        acceptsAgainAt = now.monotonic + .nanoseconds(milliseconds: 100)
        try? poller.remove(clientListener.descriptor)
        try? poller.remove(linkListener.descriptor)
        if let scrapes = scrapeDescriptor { try? poller.remove(scrapes) }
    }

    /// Watches all listeners, at the start and after a pause.
    mutating func resumeAccepting() {
        acceptsAgainAt = nil
        guard stopsBy == nil else { return }
        do throws(SocketError) {
            try poller.add(
                clientListener.descriptor, token: TokenKind.clientListener.token(), .readable)
            try poller.add(
                linkListener.descriptor, token: TokenKind.linkListener.token(), .readable)
            if let scrapes = scrapeDescriptor {
                try poller.add(scrapes, token: TokenKind.scrapeListener.token(), .readable)
            }
        } catch {
            pauseAccepting(error)
        }
    }

    mutating func serveClient(_ index: Int, _ ready: Poller.Ready) {
        guard clients.contains(index), !clients[index].isGone else { return }
        if clients[index].lingersUntil != nil { return drain(index) }
        if ready.isWritable { markDirty(client: index) }
        let mayRead = clients[index].interest.contains(.readable)
        if ready.isReadable && mayRead {
            readClient(index)
        } else if ready.isHungUp {
            dropClient(index)
        }
    }

    private mutating func readClient(_ index: Int) {
        clients[index].readAt = now.monotonic
        defer {
            noteArrival(index)
            count(client: index)
        }
        if clients[index].unread.count > 0 {
            if admitsMore(index) { readOntoTail(index) }
            return
        }
        guard let count = receive(index, into: readBuffer) else { return }
        let bytes = UnsafeRawBufferPointer(rebasing: readBuffer[..<count])
        let consumed = offer(index, bytes)
        if consumed < count {
            let rest = UnsafeRawBufferPointer(rebasing: bytes[consumed...])
            clients[index].unread.buffer.append(rest)
        }
    }

    private mutating func readOntoTail(_ index: Int) {
        let room = UnsafeMutableRawBufferPointer(
            start: clients[index].unread.buffer.reserve(readBuffer.count), count: readBuffer.count)
        guard let count = receive(index, into: room) else { return }
        clients[index].unread.buffer.advance(count)
        offerUnread(index)
    }

    /// One read; a connection that broke is dropped, one whose client has said everything ends.
    private mutating func receive(
        _ index: Int, into buffer: UnsafeMutableRawBufferPointer
    ) -> Int? {
        do throws(SocketError) {
            guard let count = try clients[index].socket.read(into: buffer) else { return nil }
            if count > 0 { return count }
            noteEnd(index)
            markDirty(client: index)
        } catch {
            dropClient(index)
        }
        return nil
    }

    /// Nothing is left to be sent to a client that sends no more, or that is to be closed.
    func isFinished(_ index: Int) -> Bool {
        guard clients[index].output.isEmpty else { return false }
        if clients[index].isClosing { return true }
        return clients[index].hasEnded && clients[index].heldCount == 0
            && !node.owesReplies(to: ConnectionID(UInt32(index)))
    }

    /// For how long a client that was refused may go on sending, nanoseconds.
    private static let lingerNanoseconds: UInt64 = 2_000_000_000

    /// Ends a connection that is owed nothing. A socket that is closed with unread bytes breaks the
    /// connection, and the client finds that instead of its last reply, the error: so what it sends
    /// is read until it has seen the end, or for a moment.
    mutating func end(client index: Int) {
        guard clients[index].lingersUntil == nil else { return }
        guard clients[index].isClosing, clients[index].unread.count > 0,
            !clients[index].hasEnded, stopsBy == nil
        else { return dropClient(index) }
        clients[index].socket.endWriting()
        clients[index].unread = InputBuffer()
        clients[index].arrivesSince = nil
        let until = now.monotonic + Server.lingerNanoseconds
        clients[index].lingersUntil = until
        tendRequestsAt = min(tendRequestsAt, until)
        node.letGo(of: ConnectionID(UInt32(index)))
        count(client: index)
        watchClient(index)
    }

    private mutating func drain(_ index: Int) {
        do throws(SocketError) {
            if try clients[index].socket.read(into: readBuffer) != 0 { return }
        } catch {
            return dropClient(index)
        }
        dropClient(index)
    }

    private mutating func offerUnread(_ index: Int) {
        let bytes = clients[index].unread.bytes
        let consumed = offer(index, bytes, owner: clients[index].unread)
        guard !clients[index].isGone else { return }
        InputBuffer.removeFirst(consumed, of: &clients[index].unread)
    }

    /// - Returns: how many of the bytes the node used up.
    private mutating func offer(
        _ index: Int, _ bytes: UnsafeRawBufferPointer, owner: InputBuffer? = nil
    ) -> Int {
        node.step(
            .received(ConnectionID(UInt32(index)), bytes), now: now, into: &effects, owner: owner)
        if effects.isOutOfTurn { lineUp(client: index) }
        if effects.stalled != clients[index].isStalled {
            clients[index].isStalled = effects.stalled
            watchClient(index)
        }
        return effects.consumed
    }

    /// Offers a stalled connection's bytes again, now that a reply to it has left.
    mutating func resumeClient(_ index: Int, _ generation: UInt64) {
        guard clients.contains(index), clients[index].generation == generation,
            !clients[index].isGone, clients[index].isStalled, !clients[index].isInLine,
            stopsBy == nil
        else { return }
        guard clients[index].unread.count > 0 else {
            clients[index].isStalled = false
            watchClient(index)
            return
        }
        offerUnread(index)
        noteArrival(index)
        count(client: index)
    }

    /// Tells the node that a connection takes more.
    mutating func giveMore(_ index: Int, _ generation: UInt64) {
        guard clients.contains(index), clients[index].generation == generation,
            !clients[index].isGone
        else { return }
        node.step(.drained(ConnectionID(UInt32(index))), now: now, into: &effects)
        resumeClient(index, generation)
    }

    /// Tells the poller when what it watches has changed.
    mutating func watchClient(_ index: Int) {
        let wanted = clients[index].wantedInterest(outputMax: clientOutputMax)
        guard wanted != clients[index].interest, !clients[index].isGone else { return }
        clients[index].interest = wanted
        let descriptor = clients[index].socket.descriptor
        do throws(SocketError) {
            try poller.modify(descriptor, token: TokenKind.client.token(index), wanted)
        } catch {
            dropClient(index)
        }
    }

    /// Ends a connection whatever is still in its queue. Its memory is given back at once; its
    /// index is free from the start of the next turn on.
    mutating func dropClient(_ index: Int) {
        guard !clients[index].isGone else { return }
        clients[index].isGone = true
        clients[index].unread = InputBuffer()
        clients[index].output = OutputQueue()
        node.letGo(of: ConnectionID(UInt32(index)))
        count(client: index)
        try? poller.remove(clients[index].socket.descriptor)
        settlements.append(.clientGone(index))
    }

    mutating func forgetClient(_ index: Int) {
        clients.remove(index)
        node.step(.closed(ConnectionID(UInt32(index))), now: now, into: &effects)
    }
}
