import Coding

/// Why a stream cannot be followed any further; the connection is closed after the answer.
///
/// Source: the wording of Redis `networking.c`, which client libraries recognise.
public enum ProtocolError: Error, Equatable, Sendable {
    /// Not a number, or more arguments than the limit.
    case invalidMultibulkLength
    /// Not a number, or negative.
    case invalidBulkLength
    /// An argument is above the limit.
    case tooBigBulk(bytesMax: Int)
    /// An array's element does not start with `$`.
    case expectedBulk(got: UInt8)
    /// A bulk string is not followed by CR LF.
    case unterminatedBulk
    case tooBigInline
    /// The request as a whole is above the limit.
    case tooBigRequest(bytesMax: Int)
    case unbalancedQuotes
    /// A browser or a cross-protocol attack speaks HTTP: nothing is answered and nothing of it is
    /// executed.
    case foreignProtocol
}

extension ByteBuffer {
    /// Writes the error reply that precedes the close; none for `foreignProtocol`.
    public mutating func writeError(_ error: ProtocolError) {
        switch error {
        case .invalidMultibulkLength: append("-ERR Protocol error: invalid multibulk length\r\n")
        case .invalidBulkLength: append("-ERR Protocol error: invalid bulk length\r\n")
        case .expectedBulk(let byte):
            append("-ERR Protocol error: expected '$', got '")
            append(printable(byte))
            append("'\r\n")
        case .unterminatedBulk: append("-ERR Protocol error: expected CRLF after bulk\r\n")
        case .tooBigInline: append("-ERR Protocol error: too big inline request\r\n")
        case .tooBigBulk(let most):
            append("-ERR Protocol error: invalid bulk length: an argument may have ")
            append(text: "\(most) bytes (limits.requestBytes)\r\n")
        case .tooBigRequest(let most):
            append("-ERR Protocol error: too big request: it may have ")
            append(text: "\(most) bytes (twice limits.requestBytes)\r\n")
        case .unbalancedQuotes: append("-ERR Protocol error: unbalanced quotes in request\r\n")
        case .foreignProtocol: break
        }
    }
}
