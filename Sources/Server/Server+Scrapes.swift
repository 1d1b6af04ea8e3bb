import Base
import Coding
import Reactor

// Who asks for metrics. One request a connection, in bounded bytes and time; a few connections at a
// time, of which a new one ends the oldest, so that slow strangers do not keep a scraper out.
extension Server {
    mutating func acceptScrapes() {
        for _ in 0..<configuration.limits.scrapesMax {
            // A place becomes free at the start of the next turn.
            guard scrapes.count < configuration.limits.scrapesMax else { return endOldestScrape() }
            do throws(SocketError) {
                guard let socket = try waitingScrape() else { return }
                admitScrape(socket)
            } catch {
                return pauseAccepting(error)
            }
        }
    }

    private func waitingScrape() throws(SocketError) -> Socket? {
        scrapeListeners.count > 0 ? try scrapeListeners[0].accept() : nil
    }

    /// What the poller watches for them; nil when metrics are not served.
    var scrapeDescriptor: Int32? {
        scrapeListeners.count > 0 ? scrapeListeners[0].descriptor : nil
    }

    private mutating func admitScrape(_ socket: consuming Socket) {
        let wait = UInt64.nanoseconds(milliseconds: configuration.limits.scrapeMilliseconds)
        let endsBy = now.monotonic + wait
        let descriptor = socket.descriptor
        let index = scrapes.insert(ScrapeConnection(socket: socket, endsBy: endsBy))
        tendScrapesAt = min(tendScrapesAt, endsBy)
        do throws(SocketError) {
            try poller.add(descriptor, token: TokenKind.scrape.token(index), .readable)
        } catch {
            scrapes.remove(index)
        }
    }

    private mutating func endOldestScrape() {
        var oldest: Int?
        for index in 0..<scrapes.limit where scrapes.contains(index) {
            if scrapes[index].isGone { return }
            if let found = oldest, scrapes[found].endsBy <= scrapes[index].endsBy { continue }
            oldest = index
        }
        guard let oldest else { return }
        counters.scrapesCutShort += 1
        dropScrape(oldest)
    }

    /// Ends what has lasted too long.
    mutating func tendScrapes() {
        tendScrapesAt = .max
        for index in 0..<scrapes.limit where scrapes.contains(index) && !scrapes[index].isGone {
            guard scrapes[index].endsBy <= now.monotonic else {
                tendScrapesAt = min(tendScrapesAt, scrapes[index].endsBy)
                continue
            }
            if scrapes[index].stage != .ending { counters.scrapesCutShort += 1 }
            dropScrape(index)
        }
    }

    mutating func serveScrape(_ index: Int, _ ready: Poller.Ready) {
        guard scrapes.contains(index), !scrapes[index].isGone else { return }
        do throws(SocketError) {
            switch scrapes[index].stage {
            case .reading: try readScrape(index)
            case .answering: try writeScrape(index)
            case .ending: try drainScrape(index)
            }
        } catch {
            dropScrape(index)
        }
    }

    private mutating func readScrape(_ index: Int) throws(SocketError) {
        guard let count = try scrapes[index].socket.read(into: readBuffer) else { return }
        guard count > 0 else { return dropScrape(index) }
        let looked = scrapes[index].head.count
        let room = ScrapeRequest.headBytesMax - looked
        scrapes[index].head.append(
            UnsafeRawBufferPointer(rebasing: readBuffer[..<min(count, room)]))
        if ScrapeRequest.isWhole(scrapes[index].head.bytes, from: looked) {
            let request = ScrapeRequest(head: scrapes[index].head.bytes)
            try answer(index, ScrapeAnswer(request), isHead: request?.method == "HEAD")
        } else if scrapes[index].head.count == ScrapeRequest.headBytesMax {
            try answer(index, .tooLarge, isHead: false)
        }
    }

    private mutating func answer(
        _ index: Int, _ answer: ScrapeAnswer, isHead: Bool
    ) throws(SocketError) {
        counters.scrapesAnswered += 1
        if answer != .metrics { counters.scrapesRefused += 1 }
        var body = ByteBuffer(capacity: 32 << 10)
        if answer == .metrics { writeMetrics(into: &body) }
        body.append(text: answer.explanation)
        var head = ByteBuffer(capacity: 256)
        head.append(text: answer.head(bodyBytes: body.count))
        scrapes[index].output.append(head.bytes)
        if !isHead { scrapes[index].output.append(body.bytes) }
        scrapes[index].stage = .answering
        try writeScrape(index)
    }

    private mutating func writeScrape(_ index: Int) throws(SocketError) {
        let taken = try scrapes[index].socket.write(scrapes[index].output.bytes)
        scrapes[index].output.removeFirst(taken)
        guard scrapes[index].output.isEmpty else { return try watchScrape(index, .writable) }
        scrapes[index].socket.endWriting()
        scrapes[index].stage = .ending
        try watchScrape(index, .readable)
    }

    private mutating func drainScrape(_ index: Int) throws(SocketError) {
        if try scrapes[index].socket.read(into: readBuffer) == 0 { dropScrape(index) }
    }

    private mutating func watchScrape(
        _ index: Int, _ interest: Poller.Interest
    ) throws(SocketError) {
        guard scrapes[index].interest != interest else { return }
        scrapes[index].interest = interest
        try poller.modify(
            scrapes[index].socket.descriptor, token: TokenKind.scrape.token(index), interest)
    }

    private mutating func dropScrape(_ index: Int) {
        guard !scrapes[index].isGone else { return }
        scrapes[index].isGone = true
        try? poller.remove(scrapes[index].socket.descriptor)
        settlements.append(.scrapeGone(index))
    }
}
