import Glibc
import Lab
import Reactor
import Replication
import Server

/// `quorate serve`: one node in the foreground until a signal ends it.
enum ServeCommand {
    static func run(_ arguments: Arguments) throws(Failure) {
        try arguments.expectOperands(0)
        guard let path = arguments.value("config") else {
            throw Failure(.usage, "serve needs --config FILE")
        }
        let configuration = try configuration(at: path)
        if let warning = secretWarning(configuration, at: path) { Log().warning(warning) }
        try serve(configuration, arguments)
    }

    /// What the log is told where others may read the cluster's secret; nil where nobody may.
    ///
    /// - Parameter path: of the configuration file.
    static func secretWarning(_ settings: NodeSettings, at path: String) -> String? {
        let holder = settings.secretFile ?? (settings.secret == nil ? nil : path)
        guard let holder, Files.othersMayRead(holder) else { return nil }
        return "others than its owner may read \(holder), which holds the cluster's secret, and "
            + "who knows that can link as a member: chmod 600 \(holder)"
    }

    private static func configuration(at path: String) throws(Failure) -> NodeSettings {
        let text = try Files.read(path)
        do {
            return try NodeSettings(
                parsing: text, objection: KeyspaceSettings.objection(to:members:))
        } catch {
            throw Failure(.badFile, "\(path): \(error)")
        }
    }

    private static func serve(
        _ settings: NodeSettings, _ arguments: Arguments
    ) throws(Failure) {
        var configuration = try Server.Configuration(settings)
        configuration.takesOtherMembers = arguments.has("members-changed")
        configuration.losesMembers = arguments.has("members-lost")
        let signals: Signals
        // Before any other thread: these signals are to reach nobody else.
        do { signals = try Signals() } catch {
            throw Failure(.internalDefect, "cannot listen to signals: \(error)")
        }
        if arguments.has("while-stdin-open") { endWithStandardInput() }
        try run(configuration, signals)
    }

    private static func run(
        _ configuration: Server.Configuration, _ signals: Signals
    ) throws(Failure) {
        var configuration = configuration
        while true {
            let ending: Server.Ending
            do throws(ServerError) {
                var server = try Server(configuration, signals: signals)
                ending = server.run()
            } catch {
                throw Failure(starting: error, on: configuration.dataDirectory)
            }
            switch ending {
            case .stopped: return
            case .failed(let error): throw Failure(error)
            case .reborn(let epoch): configuration.epochAbove = epoch
            }
        }
    }

    /// Asks this process to end, as SIGTERM does, once whoever started it has closed its end of
    /// standard input.
    private static func endWithStandardInput() {
        var thread = pthread_t()
        let code = pthread_create(
            &thread, nil,
            { _ in
                var byte: UInt8 = 0
                while true {
                    let count = read(STDIN_FILENO, &byte, 1)
                    if count == 0 || (count < 0 && errno != EINTR) { break }
                }
                kill(getpid(), SIGTERM)
                return nil
            }, nil)
        precondition(code == 0, "a process may start one more thread")
    }
}

extension Arguments {
    /// - Throws: `usage` unless there are exactly so many operands.
    func expectOperands(_ count: Int) throws(Failure) {
        guard operands.count != count else { return }
        if operands.count > count {
            throw Failure(.usage, "unexpected \"\(operands[count])\"")
        }
        throw Failure(
            .usage, "a name is missing", hint: "quorate COMMAND --help shows what is expected")
    }
}
