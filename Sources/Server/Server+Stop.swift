import Base
import Reactor

extension Server {
    mutating func takeSignals() {
        while let signal = signals?.next() {
            switch signal.request {
            case .stop:
                log.info("stopping on signal \(signal.number)")
                rebirthAbove = nil
                beginStop()
            case .nothing:
                log.info(
                    "signal \(signal.number) changes nothing: settings are read at the start, and "
                        + "the log goes to standard error")
            }
        }
    }

    /// Ends this life, for another one of the same node.
    mutating func beginLife(above epoch: UInt64) {
        guard stopsBy == nil || rebirthAbove != nil else { return }
        rebirthAbove = max(rebirthAbove ?? 0, epoch)
        log.info("beginning a new life, above epoch \(epoch)")
        beginStop()
    }

    /// Accepts and reads no more from clients; requests under way may still finish.
    mutating func beginStop() {
        guard stopsBy == nil else { return }
        let patience = UInt64.nanoseconds(milliseconds: configuration.limits.stopMilliseconds)
        stopsBy = now.monotonic + patience
        node.step(.stopping, now: now, into: &effects)
        try? poller.remove(clientListener.descriptor)
        try? poller.remove(linkListener.descriptor)
        if let scrapes = scrapeDescriptor { try? poller.remove(scrapes) }
        for index in 0..<clients.limit where clients.contains(index) {
            clients[index].isDraining = true
            watchClient(index)
        }
    }

    /// Ends the run once nothing is owed any more, or the patience is over.
    mutating func tendStop() throws(ServerError) {
        guard let stopsBy, ending == nil else { return }
        guard now.monotonic >= stopsBy || owesNothing else { return }
        try drainJournal()
        releaseHeld()
        flushClients()
        flushLinks()
        guard lane.isIdle else {
            throw .storage(.full(configuration.dataDirectory))
        }
        if let rebirthAbove {
            ending = .reborn(above: rebirthAbove)
        } else {
            log.info("stopped; everything is on disk")
            ending = .stopped
        }
    }

    private var owesNothing: Bool {
        guard settlements.isEmpty, holds.isEmpty, !node.owesReplies else { return false }
        for index in 0..<clients.limit where clients.contains(index) {
            if !clients[index].output.isEmpty { return false }
        }
        return true
    }
}
