import Glibc
import Lab

/// The two streams: results go to standard output, prose to standard error; colours and progress
/// only to a terminal.
enum Terminal {
    /// Prints one line of result.
    static func result(_ line: String) { write(line + "\n", to: STDOUT_FILENO) }

    /// Prints one line of prose.
    static func say(_ line: String) {
        clearProgress()
        write(line + "\n", to: STDERR_FILENO)
    }

    /// Replaces the line of progress, on a terminal; does nothing elsewhere.
    static func progress(_ line: String) {
        guard isatty(STDERR_FILENO) == 1 else { return }
        clearProgress()
        write(line, to: STDERR_FILENO)
    }

    /// Prints why a command ended, in red on a terminal.
    static func complain(_ failure: Failure) {
        let name = coloured("quorate:", "31;1", on: STDERR_FILENO)
        say("\(name) \(failure.message)")
        if let hint = failure.hint { say("  \(hint)") }
    }

    /// Bold on a terminal that wants colours.
    static func bold(_ text: String) -> String { coloured(text, "1", on: STDOUT_FILENO) }

    /// Removes the line of progress.
    static func clearProgress() {
        if isatty(STDERR_FILENO) == 1 { write("\r\u{1B}[K", to: STDERR_FILENO) }
    }

    private static func coloured(_ text: String, _ code: String, on stream: Int32) -> String {
        let refused = getenv("NO_COLOR").map { $0.pointee != 0 } ?? false
        let dumb = getenv("TERM").map { String(cString: $0) == "dumb" } ?? false
        return isatty(stream) == 1 && !refused && !dumb ? "\u{1B}[\(code)m\(text)\u{1B}[0m" : text
    }

    /// A reader who left (EPIPE) ends the writing, not the work.
    private static func write(_ text: String, to stream: Int32) {
        let bytes = Array(text.utf8)
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.write(stream, $0.baseAddress.map { $0 + written }, bytes.count - written)
            }
            if count > 0 { written += count } else if errno != EINTR && errno != EAGAIN { return }
        }
    }
}
