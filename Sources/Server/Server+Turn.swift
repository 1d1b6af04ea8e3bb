import Base
import Reactor
import Replication

extension Server {
    /// Effects of one turn are walked early when they carry this many bytes.
    static let turnBytesMax = 4 << 20

    /// Serves until it is told to stop or cannot go on.
    public mutating func run() -> Ending {
        SystemClock.sharpenTimers()
        ProcessUsage.growLargeBlocksInPlace()
        while true {
            do throws(ServerError) { try runTurn() } catch {
                log.error("stopping at once: \(error)")
                return .failed(error)
            }
            if let ending { return ending }
        }
    }

    mutating func runTurn() throws(ServerError) {
        let count = try waitForInput()
        now = SystemClock.now()
        node.beginTurn(at: now)
        counters.turns += 1
        let commandsBefore = node.counters.commands
        settle()
        serveLine(upTo: Waiter.unitsBeforeNew)
        var listening = Listening()
        for index in 0..<count {
            try handle(poller[index], &listening)
            if isHeavy { walkEffects() }
        }
        if !node.isTurnSpent { serveLine(upTo: .max) }
        if let deadline = node.nextDeadline, deadline <= now.monotonic {
            // Answers that are there leave before what takes long goes on.
            if deadline == 0 { walkEffects() }
            node.step(.deadline, now: now, into: &effects)
        }
        if now.monotonic >= tendLinksAt { tendLinks() }
        if let acceptsAgainAt, acceptsAgainAt <= now.monotonic { resumeAccepting() }
        if listening.clients { acceptClients() }
        if listening.links { acceptLinks() }
        if listening.scrapes { acceptScrapes() }
        if now.monotonic >= tendScrapesAt { tendScrapes() }
        if now.monotonic >= tendRequestsAt { tendRequests() }
        walkEffects()
        if node.hasEndings { node.endTurn(at: SystemClock.monotonic()) }
        tellLog()
        endJournalTurn()
        isTrickle = foundTrickle(count, node.counters.commands - commandsBefore)
        giveBackHeap()
        try tendStop()
        assert(
            isPressed || ending != nil
                || nextDeadline.map { $0 == 0 || $0 > now.monotonic } ?? true,
            "what was due has been done, or the loop never sleeps")
    }

    private mutating func tellLog() {
        tellRefill()
        tellOrders()
        tellTroubles()
        tellClock()
    }

    /// On which listeners connections wait.
    private struct Listening {
        var clients = false
        var links = false
        var scrapes = false
    }

    private func waitForInput() throws(ServerError) -> Int {
        let deadline = isPressed ? 0 : nextDeadline
        if isTrickle, !isPressed { SystemClock.rest(microseconds: 15) }
        do throws(SocketError) { return try poller.wait(until: deadline) } catch {
            throw .network(error)
        }
    }

    /// The next turn has something to do already.
    var isPressed: Bool { !settlements.isEmpty || !line.isEmpty || feedsCheckpoint }

    /// Whether a turn served a few of many clients, one request each: the others' are on their way,
    /// and who writes to a sleeping thread pays for waking it. A short rest gathers them instead.
    private func foundTrickle(_ ready: Int, _ commands: Int) -> Bool {
        ready >= 3 && ready * 4 <= clients.count && commands < ready * 2 && node.awaitsNobody
    }

    private var nextDeadline: Deadline? {
        var earliest = min(tendLinksAt, tendScrapesAt, tendRequestsAt)
        if let deadline = node.nextDeadline { earliest = min(earliest, deadline) }
        if let deadline = lane.nextDeadline(after: now.monotonic) {
            earliest = min(earliest, deadline)
        }
        if let deadline = acceptsAgainAt { earliest = min(earliest, deadline) }
        if let deadline = stopsBy { earliest = min(earliest, deadline) }
        earliest = min(earliest, heap.dueAt)
        return earliest == .max ? nil : earliest
    }

    private mutating func handle(
        _ ready: Poller.Ready, _ listening: inout Listening
    ) throws(ServerError) {
        let index = Int(UInt32(truncatingIfNeeded: ready.token))
        guard let kind = TokenKind(rawValue: ready.token >> 32) else { return }
        switch kind {
        case .client: serveClient(index, ready)
        case .link: serveLink(index, ready)
        case .clientListener: listening.clients = true
        case .linkListener: listening.links = true
        case .scrapeListener: listening.scrapes = true
        case .scrape: serveScrape(index, ready)
        case .disk: try takeDiskOutcome()
        case .lookup: takeLookups()
        case .signals: takeSignals()
        case .stop:
            rebirthAbove = nil
            beginStop()
        }
    }

    /// Tells the node which links are gone. Clients keep their places until the next turn: what
    /// this one has for them names them by these.
    mutating func settleLinks() {
        let due = settlements
        settlements.removeAll { $0.isOfLink }
        for case .linkGone(let index) in due { forgetLink(index) }
    }

    /// Does what the last turn left: tells the node who is gone and what is durable, and offers the
    /// bytes of connections that may go on.
    mutating func settle() {
        guard !settlements.isEmpty else { return }
        let due = settlements
        settlements.removeAll(keepingCapacity: true)
        for settlement in due {
            if node.isTurnSpent, settlement.mayWait {
                settlements.append(settlement)
                continue
            }
            switch settlement {
            case .clientGone(let index): forgetClient(index)
            case .linkGone(let index): forgetLink(index)
            case .scrapeGone(let index): scrapes.remove(index)
            case .reached(let token): node.step(.reached(token), now: now, into: &effects)
            case .diskRoom: node.step(.disk(diskRoom), now: now, into: &effects)
            case .replied(let index, let generation): resumeClient(index, generation)
            case .more(let index, let generation): giveMore(index, generation)
            case .relieved(let other): node.step(.relieved(other), now: now, into: &effects)
            }
            if isHeavy { walkEffects() }
        }
    }
}
