extension Server {
    /// How often what has happened since the start, by event.
    public struct Counters: Sendable, Equatable {
        /// Passes through the loop.
        public internal(set) var turns: UInt64 = 0
        /// Client connections taken in.
        public internal(set) var clientsAccepted: UInt64 = 0
        /// Client connections over `Limits.clientsMax`.
        public internal(set) var clientsRefused: UInt64 = 0
        /// Clients disconnected over `Limits.clientOutputBytesMax`.
        public internal(set) var clientsOverOutputLimit: UInt64 = 0
        /// Links whose handshake this side accepted.
        public internal(set) var linksOpened: UInt64 = 0
        /// Handshakes with members that have proved to be, and came to no link.
        public internal(set) var linksRefused: UInt64 = 0
        /// Connections on the link port that did not become links.
        public internal(set) var strangersRefused: UInt64 = 0
        /// Messages to other nodes over `Limits.linkOutputBytesMax`.
        public internal(set) var messagesDropped: UInt64 = 0
        /// Requests that did not arrive in time, or for which there was no memory.
        public internal(set) var requestsRefused: UInt64 = 0
        /// Links broken by a frame with a wrong checksum or length.
        public internal(set) var malformedFrames: UInt64 = 0

        /// Answers to who asked for metrics.
        public internal(set) var scrapesAnswered: UInt64 = 0
        /// Of these, with another status than 200.
        public internal(set) var scrapesRefused: UInt64 = 0
        /// Connections for metrics that ended early: too slow, or more than
        /// `Limits.scrapesMax`.
        public internal(set) var scrapesCutShort: UInt64 = 0

        init() {}

        /// Each with the name and the help of its metric, in a fixed order.
        var named: [(name: String, value: UInt64, help: String)] {
            [
                ("turns", turns, "Passes through the loop."),
                ("clients_accepted", clientsAccepted, "Client connections taken in."),
                ("clients_refused", clientsRefused, "Client connections over the limit."),
                (
                    "clients_over_output_limit", clientsOverOutputLimit,
                    "Clients disconnected because too much waited for them."
                ),
                ("links_opened", linksOpened, "Links whose handshake was accepted here."),
                ("links_refused", linksRefused, "Handshakes of members that came to no link."),
                ("strangers_refused", strangersRefused, "Connections that became no link."),
                (
                    "messages_dropped", messagesDropped,
                    "Messages not sent because too much waited for their node."
                ),
                (
                    "requests_refused", requestsRefused,
                    "Requests that did not arrive in time, or for which there was no memory."
                ),
                ("malformed_frames", malformedFrames, "Links broken by a malformed frame."),
                ("scrapes_answered", scrapesAnswered, "Answers to HTTP requests."),
                ("scrapes_refused", scrapesRefused, "Of these, with another status than 200."),
                ("scrapes_cut_short", scrapesCutShort, "HTTP connections ended for their age."),
            ]
        }
    }
}
