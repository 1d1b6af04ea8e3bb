/// A request that is under way, as its connection remembers it until the answer comes.
struct LoadRequest: Equatable {
    /// What the request is for.
    enum Purpose: Equatable {
        /// A write of the load: the ledger's key and number.
        case write(key: Int, number: Int)
        /// A read of the load, and the number that was acknowledged before it was sent.
        case read(key: Int, acknowledged: Int)
        case probeWrite(prober: Int)
        case probeRead(prober: Int)
        /// A read back at the end.
        case verify(key: Int)
        case control
    }

    let keyspace: Int
    let purpose: Purpose
    /// When the request should have been sent, in nanoseconds.
    let intended: UInt64
    /// When it was handed to the connection.
    let sent: UInt64
}

/// A request with its answer.
struct LoadCompletion {
    let request: LoadRequest
    let outcome: Outcome
    let at: UInt64
}

/// One connection of the load: pipelined, never blocking, connecting again after it broke.
final class LoadConnection {
    private static let retryNanoseconds: UInt64 = 100_000_000
    /// A request that waits longer breaks the connection: what it did is unknown.
    private static let timeoutNanoseconds: UInt64 = 5_000_000_000

    private enum State {
        case down(retryAt: UInt64)
        case connecting(ClientSocket, since: UInt64)
        case up(ClientSocket)
    }

    /// The node's position among the run's nodes.
    let node: Int
    let address: NodeSettings.Endpoint
    private var state = State.down(retryAt: 0)
    private var reader = ReplyReader()
    private var output: [UInt8] = []
    private var pending: [LoadRequest] = []
    private var answered = 0
    private var chunk = [UInt8](repeating: 0, count: 65_536)

    init(node: Int, _ address: NodeSettings.Endpoint) {
        self.node = node
        self.address = address
    }

    var isUp: Bool { if case .up = state { true } else { false } }
    /// Requests that wait for their answer.
    var underWay: Int { pending.count - answered }

    /// Queues a request; `flush` sends it.
    func send(_ words: [String], _ request: LoadRequest) {
        encodeRequest(words, into: &output)
        pending.append(request)
    }

    /// Connects when it is time to, and gives up what has waited too long.
    func tend(now: UInt64, _ completions: inout [LoadCompletion]) {
        switch state {
        case .down(let retryAt):
            guard now >= retryAt else { return }
            do {
                let socket = try ClientSocket.connect(host: address.host, port: address.port)
                state = .connecting(socket, since: now)
            } catch {
                state = .down(retryAt: now + LoadConnection.retryNanoseconds)
            }
        case .connecting(_, let since):
            if now - since > LoadConnection.timeoutNanoseconds {
                drop(now, "no connection", &completions)
            }
        case .up:
            guard underWay > 0, now > pending[answered].sent + LoadConnection.timeoutNanoseconds
            else { return }
            drop(now, "no answer in time", &completions)
        }
    }

    func watch(_ ready: inout ReadySet) {
        switch state {
        case .down: return
        case .connecting(let socket, _): ready.watch(socket.descriptor, write: true)
        case .up(let socket): ready.watch(socket.descriptor, write: !output.isEmpty)
        }
    }

    /// Reads what has arrived and completes the requests it answers.
    func receive(_ ready: inout ReadySet, _ completions: inout [LoadCompletion]) {
        switch state {
        case .down: return
        case .connecting(let socket, _):
            guard ready.isWritable(socket.descriptor) else { return }
            if socket.connectError == nil {
                state = .up(socket)
                reader = ReplyReader()
            } else {
                drop(MonotonicClock.now, "no connection", &completions)
            }
        case .up(let socket):
            guard ready.isReadable(socket.descriptor) else { return }
            switch chunk.withUnsafeMutableBytes({ socket.receive(into: $0) }) {
            case .moved(let count):
                chunk.withUnsafeBytes {
                    reader.append(UnsafeRawBufferPointer(rebasing: $0[..<count]))
                }
                complete(&completions)
            case .wouldBlock: return
            case .closed: drop(MonotonicClock.now, "connection lost", &completions)
            }
        }
    }

    private func complete(_ completions: inout [LoadCompletion]) {
        let now = MonotonicClock.now
        do {
            while let reply = try reader.next() {
                guard underWay > 0 else { return drop(now, "an answer to nothing", &completions) }
                completions.append(
                    LoadCompletion(request: pending[answered], outcome: Outcome(reply), at: now))
                answered += 1
            }
        } catch {
            drop(now, error.problem, &completions)
        }
        if answered == pending.count || answered > 1024 {
            pending.removeFirst(answered)
            answered = 0
        }
    }

    /// Sends what is queued, as far as the system takes it.
    func flush(_ completions: inout [LoadCompletion]) {
        guard case .up(let socket) = state, !output.isEmpty else { return }
        switch output.withUnsafeBytes({ socket.send($0) }) {
        case .moved(let count): output.removeFirst(count)
        case .wouldBlock: return
        case .closed: drop(MonotonicClock.now, "connection lost", &completions)
        }
    }

    /// What was under way is now unknown: it may have been received.
    private func drop(_ now: UInt64, _ reason: String, _ completions: inout [LoadCompletion]) {
        for request in pending[answered...] {
            completions.append(LoadCompletion(request: request, outcome: .unknown(reason), at: now))
        }
        pending.removeAll()
        answered = 0
        output.removeAll()
        state = .down(retryAt: now + LoadConnection.retryNanoseconds)
    }
}
