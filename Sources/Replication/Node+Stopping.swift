import Base

extension Node {
    /// Whether any client waits for an answer: what a graceful stop lets finish.
    ///
    /// - Complexity: O(connections).
<<<<<<< HEAD
    public var owesReplies: Bool { sessions.contains { $0.owesReplies } }
=======
    public var owesReplies: Bool { sessions.contains { $0?.owesReplies == true } }

    /// Whether a client waits for an answer: it may have closed its sending half meanwhile.
    public func owesReplies(to connection: ConnectionID) -> Bool {
        let index = Int(connection.rawValue)
        return index < sessions.count && sessions[index]?.owesReplies == true
    }
>>>>>>> 5632d8dda9b5d6949bc261bfc3a247fdeef104c0
}
