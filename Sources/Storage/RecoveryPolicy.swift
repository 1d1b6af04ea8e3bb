/// What a recovery does about rot.
public enum RecoveryPolicy: Sendable {
    /// Stops with an error; the directory stays as it is.
    case refuse
    /// Copies what is rotten to a file beside it and goes on without, by the operator's explicit
    /// choice.
    case quarantine
}
