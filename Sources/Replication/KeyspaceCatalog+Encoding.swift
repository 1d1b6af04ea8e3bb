import Causality
import Coding

// Definitions as the journal and other nodes have them.
extension KeyspaceCatalog {
    /// All definitions: count (2), then each as name length (1), name, length (4), sibling set.
    func encode(into buffer: inout ByteBuffer) {
        let remembered = definitions.indices.filter { !active[$0].isVacant }
        encode(remembered, spoken: false, into: &buffer)
    }

    /// The same of what other nodes have to know.
    func encodeSpoken(into buffer: inout ByteBuffer) {
        encode(definitions.indices.filter { isSpokenOf($0) }, spoken: true, into: &buffer)
    }

    /// The same of the definitions of some names, as far as they are remembered.
    ///
    /// - Parameter spoken: for other nodes, not for the journal.
    func encode(_ names: [[UInt8]], spoken: Bool, into buffer: inout ByteBuffer) {
        let known = names.compactMap { position(named: $0) }
        let told = known.filter { !spoken || !definitions[$0].spoken.isTombstone }
        encode(told, spoken: spoken, into: &buffer)
    }

    private func encode(_ indices: [Int], spoken: Bool, into buffer: inout ByteBuffer) {
        buffer.append(integer: UInt16(indices.count))
        for index in indices {
            KeyspaceCatalog.encode(definitions[index], spoken: spoken, into: &buffer)
        }
    }

    static func encode(
        _ definition: KeyspaceDefinition, spoken: Bool, into buffer: inout ByteBuffer
    ) {
        let changes = spoken ? definition.spoken : definition.changes
        buffer.append(UInt8(definition.name.count))
        buffer.append(definition.name)
        buffer.appendSized { changes.encode(into: &$0) }
    }

    /// How many bytes `encode` appends.
    var encodedBytes: Int {
        definitions.indices.reduce(2) { bytes, index in
            guard !active[index].isVacant else { return bytes }
            let definition = definitions[index]
            return bytes + 5 + definition.name.count + definition.changes.encodedBytes
        }
    }

    /// All definitions that `encode` wrote.
    static func definitions(
        decoding reader: inout ByteReader
    ) throws(DecodeError) -> [KeyspaceDefinition] {
        var definitions: [KeyspaceDefinition] = []
        for _ in 0..<(try reader.integer(UInt16.self)) {
            let name = Array(try reader.slice(Int(try reader.integer(UInt8.self))))
            guard isValid(name) else { throw .invalid("keyspace name is malformed") }
            let length: UInt32 = try reader.integer()
            let changes = try SiblingSet(encoded: try reader.slice(Int(length)))
            definitions.append(try KeyspaceDefinition(name: name, changes: changes))
        }
        try reader.end()
        return definitions
    }
}
