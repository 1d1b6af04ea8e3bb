/// What a node says about itself when it is asked.
public struct NodeHealth: Equatable, Sendable {
    /// True when it answered PING.
    public private(set) var answers = false
    /// True when it says that CLUSTER FORGET took it out.
    public private(set) var wasForgotten = false
    /// How many others it knows to be taken out.
    public private(set) var forgotten = 0
    /// Links to other nodes that are up; nil when it does not say.
    public private(set) var linksUp: Int?
    /// Keys it holds; nil when it does not say.
    public private(set) var keys: Int?
    /// Microseconds within which 99 of 100 reads that it coordinated ended, since its start; nil
    /// before the first.
    public private(set) var readP99: Int?
    /// The same of writes.
    public private(set) var writeP99: Int?
    /// Sampled reads that were compared with all replicas, since its start.
    public private(set) var readsCompared: Int?
    /// Of these, how many told an older value than a replica held.
    public private(set) var readsStale: Int?
    /// How far it has been refilled; nil when it is whole.
    public private(set) var refill: Refill?

    /// How far a node has been refilled that had lost its memory.
    public struct Refill: Equatable, Sendable {
        /// Key ranges that it keeps.
        public let ranges: Int
        /// Of these, how many it answers reads of.
        public let wholeRanges: Int
        /// The numbers of the nodes that it waits for, with commas between them.
        public let waitsFor: String
    }
    /// Records that it keeps for nodes that were away; nil when it does not say.
    public private(set) var hints: Int?
    /// Milliseconds that the oldest of them is old.
    public private(set) var oldestHint: Int?

    /// The numbers of the nodes that deletions wait for before they can be forgotten, with commas
    /// between them; nil when it does not say.
    public private(set) var tombstonesWaitFor: String?

    /// Asks `PING`, `INFO` and `DBSIZE` and waits at most half a second for each.
    public init(asking address: NodeSettings.Endpoint) {
        do {
            let connection = try ClientConnection(address, timeoutMilliseconds: 500)
            let pong = try connection.ask("PING")
            answers = pong == .simple("PONG")
            if case .error(let text) = pong { wasForgotten = text.hasPrefix("REMOVED") }
            let text = try connection.ask("INFO").text ?? ""
            linksUp = NodeHealth.field("links_up", of: text)
            forgotten = text.split(whereSeparator: \.isNewline).count {
                $0.hasPrefix("member_") && $0.hasSuffix(":removed")
            }
            readP99 = NodeHealth.field("read_p99_us", of: text)
            readsCompared = NodeHealth.field("reads_compared", of: text)
            readsStale = NodeHealth.field("reads_stale", of: text)
            hints = NodeHealth.field("hints", of: text)
            oldestHint = NodeHealth.field("hint_oldest_ms", of: text)
            writeP99 = NodeHealth.field("write_p99_us", of: text)
            tombstonesWaitFor = NodeHealth.text("tombstones_wait_for", of: text)
            readRefill(text)
            if case .integer(let count) = try connection.ask("DBSIZE") { keys = count }
        } catch {
            // Not answering is the finding; what was learnt before it stays.
            return
        }
    }

    private mutating func readRefill(_ text: String) {
        guard NodeHealth.field("refilling", of: text) == 1,
            let whole = NodeHealth.field("refill_ranges_whole", of: text),
            let ranges = NodeHealth.field("refill_ranges", of: text)
        else { return }
        let waitsFor = NodeHealth.text("refill_waiting_for", of: text) ?? ""
        refill = Refill(ranges: ranges, wholeRanges: whole, waitsFor: waitsFor)
    }

    /// A whole number out of the `name:value` lines of `INFO`.
    static func field(_ name: String, of text: String) -> Int? {
        self.text(name, of: text).flatMap { Int($0) }
    }

    private static func text(_ name: String, of text: String) -> String? {
        for line in text.split(whereSeparator: \.isNewline) where line.hasPrefix(name + ":") {
            return String(line.dropFirst(name.count + 1))
        }
        return nil
    }
}
