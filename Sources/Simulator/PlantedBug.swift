/// A defect put in on purpose, to measure how many seeds the simulator needs to find it.
public enum PlantedBug: String, CaseIterable, Sendable {
    /// What waits for a sync leaves at once.
    case acknowledgeBeforeSync = "acknowledge-before-sync"
    /// Writes wait for one replica fewer than promised.
    case writeQuorumOffByOne = "w-off-by-one"
    /// Read repair writes what it read as if it were new.
    case repairWithFreshStamp = "read-repair-with-fresh-stamp"
    /// A process that lost its memory goes on under its old identity.
    case identityReused = "identity-reused"
    /// A keyspace that promises siblings keeps the newest value only.
    case lastWriterWinsForSiblings = "lww-where-siblings-promised"
    /// A merge of concurrent values keeps what was stored.
    case mergeKeepsStored = "merge-keeps-stored-side"
    /// Recovery leaves out what is rotten and tells nobody.
    case rotAccepted = "rot-accepted"
    /// A failed sync is tried again, and its success believed.
    case syncRetried = "sync-retried-after-eio"
    /// A restart forgets tombstones.
    case tombstonesDropped = "tombstones-dropped-at-restart"
    /// A write that may have happened is reported as one that did not.
    case unknownToldAsFailed = "unknown-told-as-failed"
    /// A replica's refusal to a read counts as "there is nothing".
    case refusalCountsAsAnswer = "refusal-counts-as-answer"
    /// What an `interval` keyspace appended is synced only when something else is.
    case intervalForgotten = "interval-forgotten"
    /// A keyspace is emptied up to what the clock of the node that was asked reads.
    case emptiedByOwnClock = "emptied-by-own-clock"
    /// What a wrong clock stamped is stamped anew once that clock is right, as of then.
    case restampedWins = "restamped-write-wins"
    /// An exchange lists no tombstones: to the other side deleted keys look forgotten.
    case exchangeSkipsTombstones = "exchange-skips-tombstones"
    /// An exchange sends what the other side lacks and asks for nothing.
    case exchangeAsksNothing = "exchange-asks-nothing"
    /// A node that returns with an empty disk answers reads at once.
    case emptiedAnswersAtOnce = "emptied-answers-at-once"
    /// A node that dies while it is being refilled takes itself for whole when it returns.
    case refillForgotten = "refill-forgotten-by-crash"
    /// A node that is being refilled asks one other replica only.
    case refillFromOne = "refill-from-one"
    /// A hint is forgotten when it is sent, acknowledged or not.
    case hintForgottenWhenSent = "hint-forgotten-when-sent"
    /// Hints name a node that is no replica of their key, and it takes them.
    case hintForAnyone = "hint-for-anyone"
    /// A fallback that stands in mints without the history that the name of its dots claims.
    case standInWithoutHistory = "stand-in-without-history"
    /// A session does not require what its table had no room for.
    case sessionForgetsEvicted = "session-forgets-evicted"
    /// What several replicas answered is told to a session that has seen more.
    case uncoveredReadAnswers = "uncovered-read-answers"
    /// Reports of what was sent count on a link that was down, whatever was missed meanwhile.
    case closedAcrossBrokenLink = "closed-across-broken-link"
    /// A delta that stands upon what is missing is acknowledged and left out.
    case groundlessAcknowledged = "groundless-delta-acknowledged"
    /// Removals skip the read that shows them what was acknowledged.
    case removesUnheard = "removes-skip-catch-up"
    /// A replica's journal keeps no deltas.
    case deltasNotKept = "deltas-not-kept"
    /// Replicas answer that a state was seen although it was not.
    case coveredBlindly = "covered-blindly"
    /// Emptying a keyspace spares states that were written to afterwards.
    case statesNotTruncated = "mixed-states-not-truncated"
    /// Tombstones are collected although a replica that is away has not promised to know them.
    case collectedUnheard = "tombstones-collected-unheard"
    /// Tombstones are collected although hints may bring what is older.
    case collectedBeforeHints = "tombstones-collected-before-hints"
    /// A restart forgets up to where tombstones were collected.
    case collectionForgotten = "collection-forgotten"
    /// A node with an old disk keeps what was deleted and forgotten elsewhere.
    case behindKeepsAll = "old-disk-keeps-all"
    /// Where every replica was damaged, all drop what is no later than what was collected.
    case behindDropsUnvouched = "behind-drops-unvouched"
    /// What was written to after a deletion had been forgotten keeps what it had before.
    case behindJudgesWhole = "behind-judges-whole"
    /// A list of members counts although former ones have not handed over what they held.
    case closedUnheard = "closed-unheard"
    /// A dropped keyspace is forgotten although a node that is away has not emptied it.
    case namesForgottenUnheard = "names-forgotten-unheard"
    /// A drop spares what a node takes before it hears of it.
    case dropSparesUnheard = "drop-spares-unheard"
    /// Contexts forget ended lives although some replica may hold what they removed.
    case compactedUnsettled = "compacted-unsettled"
    /// Replicas forget which requests with an id they heard of.
    case requestIDForgotten = "request-id-forgotten"
    /// A removal does not say which running totals it has seen.
    case incrementsComeBack = "increments-come-back"
    /// What was in memory only is acknowledged as on disk before it is written.
    case memoryLeftUnwritten = "memory-left-unwritten"
    /// Of too many concurrent values only the newest stays, where some more may.
    case overflowKeepsNewest = "overflow-keeps-newest"
    /// A change of an expiry writes the value again, under a dot of its own.
    case expiryCarriesValue = "expiry-carries-value"
    /// A change of several keys that fails for one is told as if it had failed for all.
    case partialChange = "partial-mset"
    /// Cluster clients are sent to nodes that are down.
    case topologyStale = "topology-stale"
    /// A node that learns where a link begins that it was forgotten goes on as a member.
    case forgottenUnaware = "forgotten-node-unaware"
}
