extension Node {
    /// Whether a client waits for an answer: what a graceful stop lets finish.
    ///
    /// - Complexity: O(connections).
    public var owesReplies: Bool { sessions.contains { $0?.owesReplies == true } }
}
