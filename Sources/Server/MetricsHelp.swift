/// What the node's counters mean, for those who read its metrics.
enum MetricsHelp {
    static let nodeCounters: [String: String] = [
        "connections": "Client connections opened.",
        "commands": "Commands executed, other nodes' clients' included.",
        "command_errors": "Commands answered with an error.",
        "protocol_errors": "Client connections closed over malformed requests.",
        "reads": "Reads coordinated here.",
        "writes": "Writes coordinated here.",
        "forwarded": "Writes that another node coordinated for a client of this one.",
        "unavailable": "Requests refused because nothing could have happened.",
        "unknown": "Writes whose outcome is not known.",
        "overloaded": "Requests refused because too many were under way.",
        "read_repairs": "Reads after which a replica was brought up to date.",
        "repaired": "Records that a read or a repair brought to this node.",
        "hedged_reads": "Reads that asked further replicas because the first were slow.",
        "dropped_values": "Concurrent values that lww dropped, as far as can be told.",
        "refused_ahead": "Records refused because their stamp was too far ahead.",
        "overruled_ahead": "Stored records stamped anew because theirs was too far ahead.",
        "identities_renewed": "Times that the wall clock went back and the identity changed.",
        "malformed_messages": "Messages of other nodes that could not be read.",
        "late_answers": "Answers to operations that had ended.",
        "restamped": "Writes stamped anew because a replica had a later one.",
        "messages_received": "Messages of other nodes.",
    ]
}
