import Glibc

/// A process that this program started, told apart from whatever may later run under the same
/// number.
///
/// A process number is used again; (number, start time, executable) is not. Nothing here signals a
/// process whose start time or executable differ from what was noted when it was started.
public struct NodeProcess: Equatable, Sendable {
    /// What is now at a noted process number.
    public enum Condition: String, Sendable {
        case alive
        case dead
        /// The number now belongs to another program: our process is dead and this one is left
        /// alone.
        case foreign
    }

    /// The system's number for it, above 0.
    public let number: Int32
    /// Clock ticks between the machine's start and the process's.
    public let startTicks: Int
    /// The path of the program's file.
    public let executable: String

    /// Notes a child that was just started. One that has already ended is a zombie, whose program
    /// is not told any more.
    private init(started number: Int32, _ program: String) {
        let executable = Files.linkTarget("/proc/\(number)/exe") ?? program
        self.init(
            number: number, startTicks: NodeProcess.status(number)?.startTicks ?? 0,
            executable: NodeProcess.plain(executable))
    }

    init(number: Int32, startTicks: Int, executable: String) {
        self.number = number
        self.startTicks = startTicks
        self.executable = executable
    }

    /// The path of the program that is running now.
    public static var ownExecutable: String? { Files.linkTarget("/proc/self/exe").map(plain) }

    /// What is there now. A zombie is dead.
    public var condition: Condition {
        guard let status = NodeProcess.status(number), status.state != "Z", status.state != "X",
            let executable = Files.linkTarget("/proc/\(number)/exe")
        else { return .dead }
        let same =
            status.startTicks == startTicks && NodeProcess.plain(executable) == self.executable
        return same ? .alive : .foreign
    }

    /// Sends a signal if the process is still the one that was noted.
    ///
    /// - Returns: false when it is not, and nothing was sent.
    @discardableResult public func signal(_ signal: Int32) -> Bool {
        condition == .alive && kill(number, signal) == 0
    }

    /// Asks to end, waits, and then ends it for certain.
    ///
    /// - Parameter graceMilliseconds: how long SIGTERM may take before SIGKILL.
    /// - Returns: false when SIGKILL was needed.
    @discardableResult public func end(graceMilliseconds: Int) -> Bool {
        signal(SIGTERM)
        if waitForEnd(milliseconds: graceMilliseconds) { return true }
        signal(SIGKILL)
        _ = waitForEnd(milliseconds: 5000)
        return false
    }

    /// Waits until the process is gone, collecting it if it is a child.
    func waitForEnd(milliseconds: Int) -> Bool {
        let deadline = MonotonicClock.now + UInt64(milliseconds) * 1_000_000
        while condition == .alive {
            if MonotonicClock.now >= deadline { return false }
            MonotonicClock.sleep(milliseconds: 5)
        }
        collect()
        return true
    }

    /// Lets the system forget an ended child.
    ///
    /// - Returns: its exit status; nil when it is no ended child of this process, was collected
    ///   before, or was ended by a signal.
    @discardableResult func collect() -> Int32? {
        // An ending process has lost its program, and looks dead, a moment before it can be
        // collected.
        let deadline = MonotonicClock.now + 1_000_000_000
        var status: Int32 = 0
        var collected = waitpid(number, &status, WNOHANG)
        while collected == 0, condition != .alive, MonotonicClock.now < deadline {
            MonotonicClock.sleep(milliseconds: 1)
            collected = waitpid(number, &status, WNOHANG)
        }
        return collected == number && status & 0x7F == 0 ? status >> 8 & 0xFF : nil
    }

    /// The file may have been replaced by a newer build while the process ran.
    private static func plain(_ path: String) -> String {
        path.hasSuffix(" (deleted)") ? String(path.dropLast(10)) : path
    }

    private static func status(_ number: Int32) -> (state: String, startTicks: Int)? {
        guard number > 0, let text = try? Files.read("/proc/\(number)/stat"),
            let name = text.lastIndex(of: ")")
        else { return nil }
        // Behind the name in parentheses stand the state (field 3) and later the start time (field
        // 22) of proc(5).
        let fields = text[text.index(after: name)...].split(separator: " ")
        guard fields.count > 19, let ticks = Int(fields[19]) else { return nil }
        return (String(fields[0]), ticks)
    }
}

extension NodeProcess {
    /// Starts a program in a process group of its own, so that a Ctrl-C meant for us does not reach
    /// it.
    ///
    /// - Parameters:
    ///   - words: the program's path and its arguments.
    ///   - log: the file behind which its standard output and error are written.
    ///   - input: what it reads as standard input; nil for nothing.
    static func start(
        _ words: [String], log: String, input: Int32?
    ) throws(Failure) -> NodeProcess {
        // Opened here, because a start that fails does not tell which file is the reason.
        let output = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard output >= 0 else {
            throw Failure(.cannotCreate, "cannot write \(log): \(lastError())")
        }
        defer { close(output) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        if let input {
            posix_spawn_file_actions_adddup2(&actions, input, 0)
        } else {
            posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        }
        posix_spawn_file_actions_adddup2(&actions, output, 1)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        var attributes = ownGroup()
        defer { posix_spawnattr_destroy(&attributes) }
        var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        var number: pid_t = 0
        let code = posix_spawn(&number, words[0], &actions, &attributes, &arguments, environ)
        guard code == 0 else {
            throw Failure(
                .cannotCreate, "cannot start \(words[0]): \(String(cString: strerror(code)))")
        }
        return NodeProcess(started: number, words[0])
    }

    /// A new group, and signals as in a fresh shell: neither ignored nor blocked because somebody
    /// above us did so.
    private static func ownGroup() -> posix_spawnattr_t {
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        let flags = POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK
        posix_spawnattr_setflags(&attributes, Int16(flags))
        posix_spawnattr_setpgroup(&attributes, 0)
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        for signal in [SIGPIPE, SIGTERM, SIGINT, SIGHUP] { sigaddset(&signals, signal) }
        posix_spawnattr_setsigdefault(&attributes, &signals)
        return attributes
    }
}
