/// The first byte of a journal payload.
enum JournalKind: UInt8 {
    /// A key's `Record`.
    case record = 1
    /// A key that was removed from its only replica.
    case removal = 2
    /// Keyspace definitions, as `KeyspaceCatalog.encode` writes them: behind `configured` all.
    case definitions = 3
    /// What a command did to a key's state: a `DeltaRecord`.
    case delta = 4
    /// Who was taken out of the cluster, and admitted again.
    case members = 5
    /// What of this node is whole, as `WholenessMarker.encode` writes it.
    case wholeness = 6
    /// A `Hint`: for whom (2), since when (8), its record.
    case hint = 7
    /// A hint is over: for whom it was (2), its key.
    case hintOver = 8
    /// What was promised and collected, as `CollectionMarker.encode` writes it.
    case collection = 9
    /// What came before is not all that this node had acknowledged: it has promised nothing, and is
    /// not whole.
    case distrust = 10
    /// A claim or the outcome of a request with an id, as `Node+RequestIDs` writes them.
    case request = 11
    /// What a wrong clock stamped is brought to an earlier moment: a `ClockCorrection`.
    case correction = 12
    /// All of it was.
    case correctionOver = 13
    /// A key's `Record` after that, in place of all that was said of the key before.
    case corrected = 14
    /// How far the names of dropped keyspaces are forgotten: a `ForgettingMarker`.
    case forgetting = 15
    /// What the configuration said of keyspaces at the last start: `ConfiguredKeyspaces`.
    case configured = 16
    /// What the journal has of a keyspace: a `DurabilityStanding`.
    case durability = 17
    /// Where this node stands since the list of members changed: a `GenerationMarker`.
    case generation = 18
    /// Which former lives of this node other nodes have met: `OwnLives`.
    case ownLives = 19
    /// Up to which stamp the journal has what lives of this node wrote: `OwnLives.written`.
    case written = 20
}
