import Lab

/// `quorate demo`: the README's first command.
enum DemoCommand {
    static func run(_ arguments: Arguments) throws(Failure) {
        try arguments.expectOperands(0)
        let seconds = try arguments.integer("seconds", in: 6...3600) ?? 20
        Interruption.listen()
        let report = try Demo(seconds: seconds, progress: Terminal.progress).run()
        Terminal.clearProgress()
        if arguments.has("json") {
            Terminal.result(report.json.line)
        } else {
            for line in report.lines { Terminal.result(line) }
        }
        switch report.verdict {
        case .holds: return
        case .violated: throw Failure(.failed, "a promise was broken")
        case .unknown: throw Failure(.unknown, "no verdict")
        }
    }
}
