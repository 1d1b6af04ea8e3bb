import Base

extension Node {
    /// Whether any client waits for an answer: what a graceful stop lets finish.
    ///
    /// - Complexity: O(connections).
    public var owesReplies: Bool { sessions.contains { $0.owesReplies } }

    /// Whether no operation waits for another node, so that only clients can bring it work.
    ///
    /// - Complexity: O(1).
    public var awaitsNobody: Bool {
        writes.count + reads.count + gathers.count + forwards.count + administrations.count == 0
    }

    /// Whether a client waits for an answer: it may have closed its sending half meanwhile.
    public func owesReplies(to connection: ConnectionID) -> Bool {
        let index = Int(connection.rawValue)
        return index < sessions.count && sessions[index].owesReplies
    }
}
