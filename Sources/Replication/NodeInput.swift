import Base

/// Everything that can happen to a node. Byte buffers are borrowed for the duration of the step.
public enum NodeInput {
    /// A client connected.
    case opened(ConnectionID, from: ClientOrigin = ClientOrigin())
    /// Unread bytes of a client, from the first that no earlier step consumed; `Effects.consumed`
    /// says how far it came.
    case received(ConnectionID, UnsafeRawBufferPointer)
    /// A client is gone; its identifier may be used again.
    case closed(ConnectionID)
    /// What a connection was told of `Effect.more` has left, or most of it.
    case drained(ConnectionID)
    /// Most of what waited for a node has left, after `Node.noteBacklog`.
    case relieved(NodeID)
    /// A link to another node is up, after a handshake that both sides accepted.
    case linked(NodeID, ReplicaIdentity)
    /// A member has proved in a handshake who it is, but there is no link: how it says that this
    /// node stands, and how it stands itself.
    case told(by: NodeID, Standing, of: Standing)
    /// The link is gone; messages in flight may or may not have arrived.
    case unlinked(NodeID)
    /// The payload of one frame from another node.
    case message(NodeID, UnsafeRawBufferPointer)
    /// What the step that asked for it persisted is durable.
    case reached(UInt64)
    /// What the journal takes has changed: the rest is refused until it changes again.
    case disk(DiskRoom)
    /// The process is about to end in good order: the others are told.
    case stopping
    /// `nextDeadline` has passed, or nothing in particular.
    case deadline
}
