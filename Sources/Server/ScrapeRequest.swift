/// The head of an HTTP/1 request, as far as serving one page of metrics needs it.
///
/// Source: RFC 9112, sections 2.2 to 5 and 3.2; a bare line feed ends a line too.
struct ScrapeRequest: Equatable {
    /// Bytes that a head may have.
    static let headBytesMax = 8 << 10

    /// `GET`, `HEAD`, or a method that is not served.
    let method: String
    /// Without its query.
    let path: String

    /// Whether these bytes hold a whole head: an empty line ends it.
    ///
    /// - Parameter start: where to look from; what is before has been looked at.
    static func isWhole(_ bytes: UnsafeRawBufferPointer, from start: Int) -> Bool {
        var index = max(1, start)
        while index < bytes.count {
            defer { index += 1 }
            guard bytes[index] == 10 else { continue }
            if bytes[index - 1] == 10 { return true }
            if index > 1, bytes[index - 1] == 13, bytes[index - 2] == 10 { return true }
        }
        return false
    }

    /// Reads a whole head; nil when it is malformed.
    init?(head bytes: UnsafeRawBufferPointer) {
        guard bytes.allSatisfy({ $0 >= 32 && $0 < 127 || $0 >= 128 || [9, 10, 13].contains($0) })
        else { return nil }
        var lines: [Substring] = []
        for line in String(decoding: bytes, as: UTF8.self).split(
            omittingEmptySubsequences: false, whereSeparator: \.isNewline)
        {
            if line.isEmpty { break }
            lines.append(line)
        }
        guard let first = lines.first else { return nil }
        let words = first.split(separator: " ", omittingEmptySubsequences: false)
        guard words.count == 3, ["HTTP/1.1", "HTTP/1.0"].contains(words[2]),
            ScrapeRequest.isToken(words[0]), words[1].hasPrefix("/")
        else { return nil }
        var hosts = 0
        for line in lines.dropFirst() {
            guard let colon = line.firstIndex(of: ":"), ScrapeRequest.isToken(line[..<colon])
            else { return nil }
            if line[..<colon].lowercased() == "host" { hosts += 1 }
        }
        guard hosts == 1 || hosts == 0 && words[2] == "HTTP/1.0" else { return nil }
        method = String(words[0])
        path = String(words[1].prefix { $0 != "?" })
    }

    private static func isToken(_ word: Substring) -> Bool {
        !word.isEmpty
            && word.utf8.allSatisfy { byte in
                switch byte {
                case 48...57, 65...90, 97...122: true
                default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
                }
            }
    }
}
