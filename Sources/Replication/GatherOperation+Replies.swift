import CRDT
import Coding
import RESP

extension ByteBuffer {
    /// Writes the reply to `MGET`, to which a key of another type is none.
    ///
    /// - Parameter parts: the reply to `GET` of each key.
    mutating func writeStrings(_ parts: [[UInt8]], _ dialect: Dialect) {
        writeArrayHeader(count: parts.count)
        for part in parts {
            if part.starts(with: "-WRONGTYPE".utf8) { writeNull(dialect) } else { append(part) }
        }
    }
}

extension GatherOperation.Combination {
    /// Writes the reply that the parts' sets add up to.
    ///
    /// - Parameter parts: the reply to `SMEMBERS` of each key, members ascending.
    func writeSet(
        of parts: [[UInt8]], into buffer: inout ByteBuffer, _ dialect: Dialect
    ) {
        var sets = parts.map(Self.members)
        let first = sets.isEmpty ? [] : sets.removeFirst()
        let result = sets.reduce(first) { combine($0, $1) }
        if case .intersectionCount(let limit) = self {
            return buffer.writeInteger(limit == 0 ? result.count : min(limit, result.count))
        }
        buffer.writeSetHeader(count: result.count, dialect)
        for member in result { member.array.withUnsafeBytes { buffer.writeBulk($0) } }
    }

    private func combine(_ a: [Bytes], _ b: [Bytes]) -> [Bytes] {
        var result: [Bytes] = []
        var left = a[...]
        var right = b[...]
        while let x = left.first, let y = right.first {
            if x <= y { left.removeFirst() }
            if y <= x { right.removeFirst() }
            switch self {
            case .union: result.append(min(x, y))
            case .difference: if x < y { result.append(x) }
            default: if x == y { result.append(x) }
            }
        }
        switch self {
        case .union: return result + left + right
        case .difference: return result + left
        default: return result
        }
    }

    /// The elements of an array or a set of bulk strings, in RESP.
    private static func members(_ reply: [UInt8]) -> [Bytes] {
        var rest = reply[...]
        func line(_ rest: inout ArraySlice<UInt8>) -> Int {
            let end = rest.firstIndex(of: UInt8(ascii: "\r")) ?? rest.endIndex
            let digits = rest[rest.startIndex..<end].dropFirst()
            rest = rest.dropFirst(end - rest.startIndex + 2)
            return digits.reduce(0) { $0 * 10 + Int($1) - 48 }
        }
        let count = line(&rest)
        var members: [Bytes] = []
        for _ in 0..<count where !rest.isEmpty {
            let length = line(&rest)
            members.append(Bytes(Array(rest.prefix(length))))
            rest = rest.dropFirst(length + 2)
        }
        return members
    }
}
