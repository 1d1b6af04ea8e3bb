/// What a client has queued between MULTI and EXEC, and which keys it watches.
struct Transaction {
    /// Bytes that queued commands may have together.
    static let bytesMax = 64 << 20
    /// Keys that a connection may watch.
    static let watchesMax = 16_384
    /// What a command or a watch takes beside its bytes, roughly.
    static let entryBytes = 64

    /// A key of which this node has the only copy, and how that was when the client began to watch.
    struct Watch {
        let key: [UInt8]
        let seen: WatchedState
    }

    /// MULTI was said, and neither EXEC nor DISCARD since.
    private(set) var isOpen = false
    /// A command, or MULTI itself, was refused: EXEC runs nothing.
    private(set) var isRefused = false
    /// Each in RESP.
    private(set) var commands: [[UInt8]] = []
    private(set) var byteCount = 0
    /// The first key that was watched or queued, whose slot and node are those of all others.
    private(set) var key: [UInt8]?
    private(set) var watches: [Watch] = []
    /// Of the keys that are watched.
    private var watchedBytes = 0
    /// A key cannot be watched, so EXEC must not go on as if it were.
    var hasRefusedWatch = false

    /// As `CLIENT LIST` tells it: how many commands wait, or -1.
    var multi: Int { isOpen ? commands.count : -1 }

    /// What all of it takes in memory.
    var heldBytes: Int {
        byteCount + watchedBytes + (commands.count + watches.count) * Transaction.entryBytes
    }

    mutating func open() {
        isOpen = true
        if hasRefusedWatch { refuse() }
    }

    mutating func refuse() {
        guard isOpen else { return }
        isRefused = true
        commands = []
        byteCount = 0
    }

    mutating func watch(_ more: [Watch]) {
        watches += more
        watchedBytes += more.reduce(0) { $0 + $1.key.count * ($1.seen.isAbsent ? 2 : 1) }
        key = key ?? more.first?.key
    }

    mutating func append(_ command: [UInt8], key: [UInt8]?) {
        byteCount += command.count
        commands.append(command)
        self.key = self.key ?? key
    }
}
