import Glibc

@testable import RESP

/// One client's stream as a server sees it: pieces arrive, complete requests come out.
struct Connection: ~Copyable {
    let parser: RequestParser
    var progress = ParseProgress()
    var arguments = Arguments()
    var unread: [UInt8] = []
    var requests: [[[UInt8]]] = []
    var error: ProtocolError?

    init(_ limits: RequestLimits = RequestLimits()) { parser = RequestParser(limits: limits) }

    mutating func receive(_ bytes: some Sequence<UInt8>) {
        unread.append(contentsOf: bytes)
        while error == nil, step() {}
    }

    /// - Returns: whether there may be another request.
    private mutating func step() -> Bool {
        let bytes = unread
        return bytes.withUnsafeBytes { bytes in
            let outcome = parser.parse(bytes, &progress, into: &arguments)
            precondition(arguments.consumed <= bytes.count, "no more is consumed than there is")
            switch outcome {
            case .complete: requests.append(arguments.copied)
            case .incomplete: precondition(progress.offset < max(progress.bytesNeeded, 1))
            case .failed(let error): self.error = error
            }
            unread.removeFirst(arguments.consumed)
            return outcome == .complete
        }
    }
}

extension Arguments {
    var copied: [[UInt8]] { (0..<count).map { [UInt8](self[$0]) } }
}

/// What became of a stream.
struct Transcript: Equatable {
    var requests: [[String]]
    var error: ProtocolError?
}

/// Parses a stream that arrives in pieces of so many bytes.
func transcript(
    _ stream: some Collection<UInt8>, pieces: Int = .max, limits: RequestLimits = RequestLimits()
) -> Transcript {
    var connection = Connection(limits)
    var rest = stream[...]
    while !rest.isEmpty {
        connection.receive(rest.prefix(pieces))
        rest = rest.dropFirst(pieces)
    }
    return Transcript(
        requests: connection.requests.map { $0.map { String(decoding: $0, as: UTF8.self) } },
        error: connection.error)
}

func transcript(_ stream: String, limits: RequestLimits = RequestLimits()) -> Transcript {
    transcript(Array(stream.utf8), limits: limits)
}

/// A request as client libraries send it.
func encoded(_ words: [[UInt8]]) -> [UInt8] {
    var bytes = Array("*\(words.count)\r\n".utf8)
    for word in words {
        bytes += Array("$\(word.count)\r\n".utf8)
        bytes += word
        bytes += [13, 10]
    }
    return bytes
}

func encoded(_ words: String...) -> [UInt8] { encoded(words.map { Array($0.utf8) }) }

/// Parses one request and looks at its arguments.
func withArguments<Result, Failure: Error>(
    _ words: String..., body: (borrowing Arguments) throws(Failure) -> Result
) throws(Failure) -> Result {
    try withArguments(words, body: body)
}

func withArguments<Result, Failure: Error>(
    _ words: [String], body: (borrowing Arguments) throws(Failure) -> Result
) throws(Failure) -> Result {
    let bytes = encoded(words.map { Array($0.utf8) })
    let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
    defer { copy.deallocate() }
    copy.copyBytes(from: bytes)
    var arguments = Arguments()
    var progress = ParseProgress()
    let outcome = RequestParser().parse(UnsafeRawBufferPointer(copy), &progress, into: &arguments)
    precondition(outcome == .complete, "the words make a request")
    return try body(arguments)
}
