import Base

/// A client of the cluster: one connection at a time to one node, a few requests in a row without
/// waiting.
struct Client {
    /// A request that waits for its answer.
    struct Request {
        enum Answer {
            case write
            case read
            case siblings
            case expire
            /// A key of which nothing is to be left.
            case bury(key: Int)
            case definition
            /// An operator's command.
            case administration(Administration)
            case several
            /// About the client's session.
            case session(SessionChange)
            /// A command of a typed keyspace.
            case typed(TypedQuestion)
            /// A scenario's own request: the answer is kept.
            case told
        }

        let number: Int
        let answer: Answer
        /// Indices of the history's operations, one a key.
        let operations: [Int]
    }

    /// What a request does to the client's session.
    enum SessionChange {
        case begun
        /// A token is taken, with what it stands for.
        case used(HandedToken)
        /// A token is asked for.
        case told
        case ended
        /// Ended to begin anew.
        case restarted
    }

    let index: Int
    var random: PRNG
    /// Requests that it will still make of its own accord.
    var remaining: Int
    /// The only node that it connects to, in a scenario.
    var home: Int?
    /// Answers to a scenario's requests.
    var told: [RedisReply] = []
    /// The node it is connected to.
    var machine = 0
    /// Names the connection; 0 for none.
    var generation = 0
    var connection = 0
    var outstanding: [Request] = []
    var nextNumber = 0
    var received: [UInt8] = []
    /// Reads nothing until then.
    var deafUntil: UInt64 = 0
    var lastArrivalAtNode: UInt64 = 0
    var lastArrival: UInt64 = 0
    let depth: Int
    /// Keys to work off in the phases in which everything must succeed.
    var script: [Int] = []
    /// Keys that a write was refused for having too many values: they are read first.
    var crowded: [Int] = []
    var isIdle = true
    var isTurnDue = false
    /// What the last read of a key of siblings gave: its causal context, and the values under it.
    var contexts: [(token: [UInt8], values: [Int])?]
    /// It begins a session on each connection.
    var usesSessions = false
    /// The connection was told to begin one.
    var isInSession = false
    /// What the session has seen, once it has begun.
    var session: ClientSession?
    /// The last token that it was given.
    var lastToken: HandedToken?

    init(index: Int, random: PRNG, _ requests: Int) {
        self.index = index
        self.random = random
        remaining = requests
        depth = 1 + self.random.below(4)
        contexts = []
    }
}
