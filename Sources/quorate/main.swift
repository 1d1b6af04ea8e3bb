import Glibc
import Lab

do {
    switch try Command.read(Array(CommandLine.arguments.dropFirst())) {
    case .run(let command, let arguments): try command.run(arguments)
    case .help(let command): Terminal.result(command.help)
    case .overview(let group): Terminal.result(Command.overview(group))
    case .release: Terminal.result("quorate \(Command.release)")
    }
    exit(ExitStatus.success.rawValue)
} catch {
    Terminal.complain(error)
    exit(error.kind.rawValue)
}
