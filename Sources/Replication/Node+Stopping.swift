import Base

extension Node {
    /// Whether any client waits for an answer: what a graceful stop lets finish.
    ///
    /// - Complexity: O(connections).
    public var owesReplies: Bool { sessions.contains { $0.owesReplies } }

    /// Whether a client waits for an answer: it may have closed its sending half meanwhile.
    public func owesReplies(to connection: ConnectionID) -> Bool {
        let index = Int(connection.rawValue)
        return index < sessions.count && sessions[index].owesReplies
    }
}
