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
        /// Connections on the link port that did not become links.
        public internal(set) var strangersRefused: UInt64 = 0
        /// Links broken over `Limits.linkOutputBytesMax`.
        public internal(set) var linksOverOutputLimit: UInt64 = 0
        /// Links broken by a frame with a wrong checksum or length.
        public internal(set) var malformedFrames: UInt64 = 0

        init() {}
    }
}
