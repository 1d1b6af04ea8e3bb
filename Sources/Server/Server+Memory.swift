import Base
import Coding
import Reactor
import Replication

// The driver's part of the memory account, and what it refuses: a request that does not fit, one
// that does not arrive, and replies that nobody takes.
extension Server {
    /// Counts what a client's buffers hold.
    mutating func count(client index: Int) {
        let requests = clients[index].isGone ? 0 : clients[index].unread.count
        let output = clients[index].isGone ? 0 : clients[index].output.count
        buffers.count(&clients[index].counted, requests: requests, output: output)
    }

    /// Tells the node what the buffers hold.
    mutating func noteBuffers() {
        var bytes = 0
        for neighbour in neighbours {
            guard let index = neighbour.link, links.contains(index) else { continue }
            bytes += links[index].output.count + links[index].unread.count
        }
        node.noteBuffers(
            requests: buffers.requests, output: buffers.output + holds.byteCount, links: bytes)
    }

    /// Bytes of one client's replies from which on its requests wait.
    var clientOutputMax: Int {
        buffers.outputMaxOfOne(
            sharedMax: node.memoryAccount.outputMax,
            limit: configuration.limits.clientOutputBytesMax / 2)
    }

    // MARK: Requests

    /// Whether a client may send more of the request that is arriving; its connection is closed
    /// when there is no room for it.
    mutating func admitsMore(_ index: Int) -> Bool {
        let bytes = clients[index].unread.count
        guard bytes >= ClientBuffers.requestBytesFree,
            !node.memoryAccount.admitsMore(of: bytes, among: buffers.requests)
        else { return true }
        // Whoever does not go on sending gives way first.
        if let idle = largestIdleRequest(besides: index) {
            refuseRequest(idle, "ERR the rest of the request did not come, and memory is short")
            return true
        }
        refuseRequest(index, "OOM the node has no memory left for a request of this size now")
        return false
    }

    /// - Complexity: O(connections); only where there is no room.
    private func largestIdleRequest(besides other: Int) -> Int? {
        var largest: Int?
        for index in 0..<clients.limit
        where index != other && clients.contains(index) && !clients[index].isGone {
            guard clients[index].arrivesSince != nil,
                clients[index].unread.count > ClientBuffers.requestBytesFree,
                clients[index].readAt + ClientBuffers.pauseMax <= now.monotonic
            else { continue }
            if largest.map({ clients[$0].unread.count < clients[index].unread.count }) ?? true {
                largest = index
            }
        }
        return largest
    }

    /// Closes a connection whose request will not be read to its end, and says why where nothing
    /// else is owed to it.
    private mutating func refuseRequest(_ index: Int, _ reason: String) {
        counters.requestsRefused += 1
        if clients[index].output.isEmpty, clients[index].heldCount == 0,
            !node.owesReplies(to: ConnectionID(UInt32(index)))
        {
            var line = ByteBuffer(capacity: 128)
            line.writeError(text: reason)
            _ = try? clients[index].socket.write(line.bytes)
            clients[index].isClosing = true
            return end(client: index)
        }
        dropClient(index)
    }

    /// Notes whether a request is arriving.
    mutating func noteArrival(_ index: Int) {
        guard clients[index].unread.count > 0, !clients[index].isStalled else {
            clients[index].arrivesSince = nil
            return
        }
        guard clients[index].arrivesSince == nil else { return }
        clients[index].arrivesSince = now.monotonic
        tendRequestsAt = min(tendRequestsAt, arrivalDeadline(index))
    }

    /// A client that has closed its half may be gone altogether.
    mutating func noteEnd(_ index: Int) {
        clients[index].hasEnded = true
        clients[index].isDraining = true
        tendRequestsAt = min(tendRequestsAt, endedDeadline(index))
    }

    /// When a client that has closed its half is closed although a read of several keys goes on for
    /// it; looked at again every second as long as it is owed anything.
    private func endedDeadline(_ index: Int) -> Deadline {
        guard node.isReadingSeveral(for: ConnectionID(UInt32(index))) else {
            return now.monotonic + .nanoseconds(milliseconds: 1_000)
        }
        return clients[index].readAt
            + .nanoseconds(milliseconds: configuration.limits.requestMilliseconds)
    }

    private func arrivalDeadline(_ index: Int) -> Deadline {
        if let until = clients[index].lingersUntil { return until }
        if clients[index].hasEnded { return endedDeadline(index) }
        guard let since = clients[index].arrivesSince else { return .max }
        return ClientBuffers.deadline(
            since: since, bytes: clients[index].unread.count,
            milliseconds: configuration.limits.requestMilliseconds)
    }

    /// Closes the connections whose requests did not arrive in time, and those that have lingered.
    ///
    /// - Complexity: O(connections), at most once a second.
    mutating func tendRequests() {
        tendRequestsAt = .max
        for index in 0..<clients.limit where clients.contains(index) && !clients[index].isGone {
            let deadline = arrivalDeadline(index)
            let isLeft = clients[index].hasEnded || clients[index].lingersUntil != nil
            if deadline <= now.monotonic, isLeft {
                dropClient(index)
            } else if deadline <= now.monotonic {
                refuseRequest(index, "ERR the rest of the request did not come in time")
            } else {
                tendRequestsAt = min(tendRequestsAt, deadline)
            }
        }
        tendRequestsAt = max(tendRequestsAt, now.monotonic + .nanoseconds(milliseconds: 1_000))
    }

    // MARK: Freed memory

    /// Gives freed memory back to the kernel when it is much.
    mutating func giveBackHeap() {
        heap.note(bytes: node.memoryAccount.total, at: now.monotonic)
        guard heap.dueAt <= now.monotonic else { return }
        let start = SystemClock.monotonic()
        ProcessUsage.giveBackFreedMemory()
        heap.done(from: start, to: SystemClock.monotonic())
    }

    // MARK: Replies

    /// Bytes that wait for all clients, here or in the node.
    private var waitingBytes: Int { buffers.output + node.replyBytes }

    /// Whether what the turn has brought is to leave before more is asked for.
    var isHeavy: Bool { effects.bytes.count > Server.turnBytesMax || hasTooMuchWaiting }

    private var hasTooMuchWaiting: Bool {
        waitingBytes > max(node.memoryBytesMax / 4, buffers.outputTolerated)
    }

    /// Disconnects those for whom most waits, while all together have more than their share.
    ///
    /// - Complexity: O(connections · log connections); only where there is no room.
    mutating func relieveOutput() {
        let account = node.memoryAccount
        guard hasTooMuchWaiting || account.isNearlyFull && waitingBytes > account.outputMax else {
            if waitingBytes < buffers.outputTolerated { buffers.outputTolerated = waitingBytes }
            return
        }
        var waiting: [(bytes: Int, index: Int)] = []
        for index in 0..<clients.limit where clients.contains(index) && !clients[index].isGone {
            let held = node.replyBytes(owedTo: ConnectionID(UInt32(index)))
            let bytes = clients[index].output.count + held
            if bytes > 0 { waiting.append((bytes, index)) }
        }
        waiting.sort { ($0.bytes, $0.index) > ($1.bytes, $1.index) }
        var dropped = 0
        for (bytes, index) in waiting {
            guard account.mustGiveWay(bytes, of: waitingBytes) else { break }
            counters.clientsOverOutputLimit += 1
            dropped += 1
            dropClient(index)
        }
        buffers.outputTolerated = waitingBytes
        guard dropped > 0 else { return }
        log.warning(
            "clients disconnected: \(dropped), for whom most replies wait; replies that clients do "
                + "not take have \(account.outputMax) bytes of memory")
    }
}
