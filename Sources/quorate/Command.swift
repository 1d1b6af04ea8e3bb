import Lab
import Server

/// Everything that can stand behind `quorate`.
enum Command: String, CaseIterable {
    case serve
    case clusterUp = "cluster up"
    case clusterDown = "cluster down"
    case clusterStatus = "cluster status"
    case keyspaceCreate = "keyspace create"
    case keyspaceList = "keyspace list"
    case keyspaceAlter = "keyspace alter"
    case keyspaceDrop = "keyspace drop"
    case simulate
    case demo

    /// Which release this is.
    static let release = Server.release

    /// What the first words of a command line ask for.
    enum Request: Equatable {
        case run(Command, Arguments)
        case help(Command)
        /// The list of commands, or of those that begin with one word.
        case overview(String?)
        case release
    }

    private var words: [String] { rawValue.split(separator: " ").map(String.init) }

    /// Reads a whole command line, without the program's name.
    ///
    /// - Throws: `usage` with the nearest known command or option.
    static func read(_ line: [String]) throws(Failure) -> Request {
        guard let first = line.first, !["--help", "-h", "help"].contains(first) else {
            // `help cluster up` is `cluster up --help`.
            return line.first == "help" && line.count > 1
                ? try read(line.dropFirst() + ["--help"]) : .overview(nil)
        }
        if first == "--version" { return .release }
        let group = allCases.filter { $0.words[0] == first }
        guard let only = group.first else {
            throw unknown(first, among: unique(allCases.map { $0.words[0] }))
        }
        if only.words.count == 1 { return try only.read(Array(line.dropFirst())) }
        guard line.count > 1, !["--help", "-h"].contains(line[1]) else { return .overview(first) }
        guard let command = group.first(where: { $0.words[1] == line[1] }) else {
            throw unknown(line[1], among: group.map { $0.words[1] }, after: first + " ")
        }
        return try command.read(Array(line.dropFirst(2)))
    }

    private func read(_ words: [String]) throws(Failure) -> Request {
        if words.prefix(while: { $0 != "--" }).contains(where: { $0 == "--help" || $0 == "-h" }) {
            return .help(self)
        }
        return .run(self, try Arguments(words, options: options + [.help]))
    }

    private static func unknown(
        _ typed: String, among names: [String], after group: String = ""
    ) -> Failure {
        let guess = Suggestion.nearest(to: typed, among: names)
        return Failure(
            .usage, "unknown command \(group)\(typed)",
            hint: guess.map { "did you mean quorate \(group)\($0)?" }
                ?? "known here: " + names.map { group + $0 }.joined(separator: ", "))
    }

    private static func unique(_ names: [String]) -> [String] {
        names.enumerated().filter { !names[..<$0.offset].contains($0.element) }.map(\.element)
    }

    /// Does what the command is for.
    func run(_ arguments: Arguments) throws(Failure) {
        switch self {
        case .serve: try ServeCommand.run(arguments)
        case .clusterUp: try ClusterCommand.up(arguments)
        case .clusterDown: try ClusterCommand.down(arguments)
        case .clusterStatus: try ClusterCommand.status(arguments)
        case .keyspaceCreate: try KeyspaceCommand.define("CREATE", arguments)
        case .keyspaceList: try KeyspaceCommand.list(arguments)
        case .keyspaceAlter: try KeyspaceCommand.define("ALTER", arguments)
        case .keyspaceDrop: try KeyspaceCommand.drop(arguments)
        case .simulate: try SimulateCommand.run(arguments)
        case .demo: try DemoCommand.run(arguments)
        }
    }
}
