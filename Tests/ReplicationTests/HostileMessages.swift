import Base
import Causality
import Coding

@testable import Replication

/// Messages put together by hand, as a defective or hostile node might send them.
enum HostileMessage {
    static func bytes(
        _ kind: UInt8, flag: UInt8 = 0, number: UInt64 = 0, _ rest: [UInt8] = []
    ) -> [UInt8] {
        [kind, flag] + little(number) + rest
    }

    static func little<Integer: FixedWidthInteger>(_ value: Integer) -> [UInt8] {
        withUnsafeBytes(of: value.littleEndian) { Array($0) }
    }

    /// A plain value's record, well-formed.
    static func record(
        _ key: String, _ value: [UInt8], _ dot: Dot, expiry: UInt64 = 0
    ) -> [UInt8] {
        let key = Array(key.utf8)
        var record = [UInt8](
            repeating: 0, count: Record.length(keyBytes: key.count, bodyBytes: value.count))
        record.withUnsafeMutableBytes { target in
            guard let base = target.baseAddress else { return }
            key.withUnsafeBytes { key in
                value.withUnsafeBytes { value in
                    Record.write(
                        to: base, kind: .value, dot: dot, expiry: expiry, key: key, body: value)
                }
            }
        }
        return record
    }

    /// One keyspace's definition, as a definitions message carries it.
    static func definition(_ name: String, _ changes: SiblingSet) -> [UInt8] {
        var buffer = ByteBuffer()
        changes.encode(into: &buffer)
        let set = Array(buffer.bytes)
        return [UInt8(name.utf8.count)] + Array(name.utf8) + little(UInt32(set.count)) + set
    }

    static func definitions(_ list: [[UInt8]], number: UInt64 = 0) -> [UInt8] {
        bytes(7, number: number, little(UInt16(list.count)) + list.flatMap { $0 })
    }
}

extension Cluster {
    /// Gives a node a message as if another one had sent it.
    func deliver(_ payload: [UInt8], from: NodeID, to: NodeID) {
        payload.withUnsafeBytes { step(to, .message(from, $0)) }
        settle()
    }

    /// A dot that the node would believe now.
    func dot(_ node: NodeID, logical: UInt16 = 0, aheadBy milliseconds: UInt64 = 0) -> Dot {
        Dot(
            identity: ReplicaIdentity(node: node, epoch: 1),
            stamp: Stamp(
                milliseconds: now(node).wallMilliseconds + milliseconds, logical: logical))
    }
}
