import Lab

/// `quorate demo`: the README's first command.
enum DemoCommand {
    static func run(_ arguments: Arguments) throws(Failure) {
        try arguments.expectOperands(0)
        throw Failure(.internalDefect, "this build has no demo")
    }
}
