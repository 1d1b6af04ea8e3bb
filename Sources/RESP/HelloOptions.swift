import Coding

/// The arguments of `HELLO`.
public struct HelloOptions: Equatable, Sendable {
    /// The dialect asked for; nil leaves it as it is.
    public var dialect: Dialect?
    /// Index of the user's name; the password follows it.
    public var user: Int?
    /// Index of the connection's new name.
    public var clientName: Int?

    /// - Throws: `protocolNotAnInteger`, `unsupportedProtocol`, `helloSyntax`, `invalidClientName`,
    ///   `longClientName`.
    public init(_ arguments: borrowing Arguments) throws(CommandError) {
        guard arguments.count > 1 else { return }
        guard let number = Int64(decimal: arguments[1]) else { throw .protocolNotAnInteger }
        guard let asked = UInt8(exactly: number).flatMap(Dialect.init(rawValue:)) else {
            throw .unsupportedProtocol
        }
        dialect = asked
        var index = 2
        while index < arguments.count {
            if arguments.matches(index, "AUTH"), index + 2 < arguments.count {
                user = index + 1
                index += 3
            } else if arguments.matches(index, "SETNAME"), index + 1 < arguments.count {
                try arguments.checkClientName(index + 1)
                clientName = index + 1
                index += 2
            } else {
                throw .helloSyntax(index)
            }
        }
    }
}

extension Arguments {
    /// Bytes that the name of a connection, or of its library, may have.
    public static let clientNameBytesMax = 256

    /// Refuses what may not name a connection or its library: a name is printable, without blanks,
    /// and not long; empty takes it away.
    ///
    /// - Throws: `invalidClientName`, `longClientName`.
    public func checkClientName(_ index: Int) throws(CommandError) {
        guard self[index].count <= Arguments.clientNameBytesMax else { throw .longClientName }
        guard self[index].allSatisfy({ $0 > 32 && $0 < 127 }) else { throw .invalidClientName }
    }
}
