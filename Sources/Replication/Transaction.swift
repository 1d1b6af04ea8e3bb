/// What a client has queued between MULTI and EXEC, and which keys it watches.
struct Transaction {
    /// Bytes that queued commands may have together.
    static let bytesMax = 64 << 20

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
    /// The key whose slot and node are those of all others; nil while no command has one.
    private(set) var key: [UInt8]?
    var watches: [Watch] = []
    /// A key cannot be watched, so EXEC must not go on as if it were.
    var hasRefusedWatch = false

    /// As `CLIENT LIST` tells it: how many commands wait, or -1.
    var multi: Int { isOpen ? commands.count : -1 }

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

    mutating func append(_ command: [UInt8], key: [UInt8]?) {
        byteCount += command.count
        commands.append(command)
        self.key = self.key ?? key
    }
}

/// Enough of a key's state to tell whether it was changed.
struct WatchedState: Equatable {
    /// Of the newest change; zeros where there is no value.
    var stamp: UInt64 = 0
    var identity: UInt64 = 0
    var expiry: UInt64 = 0
}
