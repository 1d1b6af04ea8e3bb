import RESP

// Typed values.
extension Node {
    /// A command on counters, flags, sets, hashes, sorted sets or lists.
    mutating func typed(
        _ name: CommandName, _ target: ReplyTarget, _ effects: inout Effects
    ) throws(CommandError) {
        fail(target, text: "MODE \(name.text) needs a keyspace with conflict=crdt", &effects)
    }
}
