import Lab

extension Command {
    /// One line for the list of commands.
    var summary: String {
        switch self {
        case .serve: "run one node in the foreground"
        case .clusterUp: "start a cluster of real processes on loopback"
        case .clusterDown: "stop that cluster; its data stays"
        case .clusterStatus: "show its nodes"
        case .keyspaceCreate: "create a keyspace: its replicas, quorums, conflicts, durability"
        case .keyspaceList: "show the keyspaces"
        case .keyspaceAlter: "change a keyspace's settings"
        case .keyspaceDrop: "remove a keyspace with its keys"
        case .simulate: "run seeds through the deterministic simulator"
        case .demo: "start three nodes, load them, break them, and show what it cost"
        }
    }

    /// The operands as the help writes them.
    var operands: String {
        switch self {
        case .serve, .clusterUp, .clusterDown, .clusterStatus, .keyspaceList, .simulate, .demo: ""
        case .keyspaceCreate, .keyspaceAlter: " NAME [SETTING=VALUE …]"
        case .keyspaceDrop: " NAME"
        }
    }

    private static var serveOptions: [CommandLineOption] {
        [
            CommandLineOption(
                "config", value: "FILE", "the node's configuration, JSON5; required"),
            CommandLineOption("while-stdin-open", "end when standard input is closed"),
            CommandLineOption(
                "members-changed",
                "take another list of members than at the last start; stop all nodes and "
                    + "give each the same list first"),
            CommandLineOption(
                "members-lost",
                "take a list that leaves out every node that had some key range: what only "
                    + "those hold is lost"),
        ]
    }

    var options: [CommandLineOption] {
        let directory = CommandLineOption(
            "directory", value: "DIR",
            "where the cluster lives (default \(LocalCluster.defaultDirectory))")
        let address = CommandLineOption(
            "address", value: "HOST:PORT", "the node to ask (default: one of the local cluster)")
        switch self {
        case .serve:
            return Command.serveOptions
        case .clusterUp:
            return [
                directory,
                CommandLineOption("nodes", value: "N", "how many, 1 to 64 (default 3)"),
                CommandLineOption(
                    "port", value: "BASE",
                    "client ports BASE, BASE+1, …, metrics 5,000 and links 10,000 above "
                        + "(default: free ones)"),
                CommandLineOption("faults", "let DEBUG CUT, LOSE and HEAL break and heal links"),
                .json,
            ]
        case .clusterDown, .clusterStatus: return [directory, .json]
        case .keyspaceCreate, .keyspaceList, .keyspaceAlter, .keyspaceDrop:
            return [address, directory, .json]
        case .simulate:
            return simulationOptions
        case .demo:
            return [
                CommandLineOption(
                    "seconds", value: "S", "how long to load, 6 to 3600 (default 20)"), .json,
            ]
        }
    }

    private var simulationOptions: [CommandLineOption] {
        [
            CommandLineOption(
                "seeds", value: "A..B", "the seeds to run, both ends included; required"),
            CommandLineOption(
                "plant", value: "NAME", "turn on one planted bug; a wrong name lists them"),
            CommandLineOption(
                "lines", value: "N", "of a violation's transcript, from its end (default 50)"),
            .json,
        ]
    }

    private var details: String {
        switch self {
        case .keyspaceCreate, .keyspaceAlter: Command.keyspaceDetails
        case .serve: Command.serveDetails
        case .clusterUp, .clusterDown, .clusterStatus, .keyspaceList, .keyspaceDrop, .simulate,
            .demo:
            ""
        }
    }

    private static var keyspaceDetails: String {
        """

        Settings:
          n=3                      replicas of each key
          r=quorum w=quorum        what a read and a write wait for: 2, one, quorum, all
          pr= pw= dw=              of these, from primaries and durable
          floor=none|strong|LEVEL  no request may go below; strong: r + w stays above n
          conflict=lww|siblings|crdt   newest stamp wins, all concurrent values are kept, or
                                   typed values merge
          durability=fsync|interval(100)|memory
          ttl=60000                milliseconds; 0 for never
          sloppy=on|off            fallbacks stand in for replicas that are away
          readrepair=100           reads of 1,000 that are compared with all replicas after
                                   their answer: repairs, and how stale answers were; 0: reads
                                   repair nothing
          siblings=100             concurrent values of a key; beyond them
          overflow=refuse|lww|union|max   a write is refused, drops the oldest values, or
                                   makes one of all: the union of JSON arrays of strings,
                                   the largest of whole numbers
          hedge=p99|20ms|off       a read that waits longer than this share of answers took,
                                   or so long, asks one more replica; 5 % extra at most
          timeout= keybytes= valuebytes=

        """
    }

    private static var serveDetails: String {
        """

        FILE holds, beside clusterID, node, dataDirectory and members (required):
          client: {host, port}     where clients are listened for (default: as in members)
          secret: "…"              what all members of the cluster know and nobody else: at least
                                   32 random bytes, as hexadecimal digits or base64 (openssl
                                   rand -hex 32); one member alone makes its own
          secretFile: "/path"      a file that holds it, in its place
          link: {host, port}       where other nodes are listened for (the same)
          metrics: {host, port}    where /metrics is served over HTTP, in Prometheus text
                                   (default: nowhere; host 127.0.0.1; port 0: a free one)
          recovery: "refuse"       do not start on damaged files; "quarantine": put them
                                   aside and start, other replicas repair what was lost
          faults: false            true lets DEBUG CUT and LOSE break links
          limits: {…}              clients; hintBytes, hintMinutes; and
            memoryBytes            what records, requests half read, replies unread, links,
                                   hints, operations and sessions take together (8 GiB)
            requestBytes           one argument of a request (64 MiB); all requests that
                                   have arrived in part: an eighth of the memory, and one
            replyBacklogBytes      replies that one client has not taken (64 MiB); all
                                   together: a quarter of the memory
            linkBacklogBytes       messages that one node has not taken (64 MiB)
          keyspaces: {NAME: {…}}   settings as quorate keyspace create --help shows them

        """
    }

    /// The whole help of one command.
    var help: String {
        let options = options + [.help]
        let width = options.map { $0.usage.count }.max() ?? 0
        let lines = options.map { "  " + $0.usage.padded(to: width) + "  " + $0.help }
        return """
            usage: quorate \(rawValue)\(operands) [OPTION …]

            \(summary.prefix(1).uppercased() + summary.dropFirst()).
            \(details)
            Options:
            \(lines.joined(separator: "\n"))
            """
    }

    /// The list of commands, all or those of one group.
    static func overview(_ group: String?) -> String {
        let commands = allCases.filter {
            group == nil || $0.rawValue.hasPrefix((group ?? "") + " ")
        }
        let lines = commands.map { "  " + $0.rawValue.padded(to: 16) + "  " + $0.summary }
        let statuses = ExitStatus.all.map { status in
            "  " + String(status.rawValue).padded(to: 3) + "  " + status.meaning
        }
        return """
            usage: quorate \(group.map { $0 + " " } ?? "")COMMAND [OPTION …]

            A replicated key-value store that speaks the Redis protocol. Each keyspace picks its
            consistency.

            \(lines.joined(separator: "\n"))

            quorate COMMAND --help tells more, quorate --version the release. Results go to standard
            output, prose to standard error.

            Exit status:
            \(statuses.joined(separator: "\n"))
            """
    }
}

extension String {
    /// The text with blanks behind it up to so many characters.
    func padded(to width: Int) -> String {
        self + String(repeating: " ", count: max(0, width - count))
    }
}
