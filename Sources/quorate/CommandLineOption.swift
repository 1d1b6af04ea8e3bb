/// One option of a command: `--name`, or `--name VALUE`.
struct CommandLineOption: Equatable {
    let name: String
    /// How the help calls the value; nil for an option that is just there or not.
    let value: String?
    let help: String

    init(_ name: String, value: String? = nil, _ help: String) {
        self.name = name
        self.value = value
        self.help = help
    }

    static let json = CommandLineOption("json", "print the result as JSON on standard output")
    static let help = CommandLineOption(
        "help", "say what the command does and which options it has")

    /// How the option is typed.
    var usage: String { "--\(name)" + (value.map { " \($0)" } ?? "") }
}
