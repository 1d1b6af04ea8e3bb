import Coding

/// The arguments of `HELLO`.
public struct HelloOptions: Equatable, Sendable {
    /// The dialect asked for; nil leaves it as it is.
    public var dialect: Dialect?
    /// Index of the user's name; the password follows it.
    public var user: Int?
    /// Index of the connection's new name.
    public var clientName: Int?

    /// - Throws: `protocolNotAnInteger`, `unsupportedProtocol`, `helloSyntax`, `invalidClientName`.
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
                guard arguments.isClientName(index + 1) else { throw .invalidClientName }
                clientName = index + 1
                index += 2
            } else {
                throw .helloSyntax(index)
            }
        }
    }
}

extension Arguments {
    /// Whether an argument may name a connection: printable, without blanks; empty takes the name
    /// away.
    public func isClientName(_ index: Int) -> Bool {
        self[index].allSatisfy { $0 > 32 && $0 < 127 }
    }
}
