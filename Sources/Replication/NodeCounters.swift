/// What happened in a node since its start, by event.
public struct NodeCounters: Equatable, Sendable {
    public var connections = 0
    public var commands = 0
    public var commandErrors = 0
    public var protocolErrors = 0
    public var reads = 0
    public var writes = 0
    /// Writes that another node coordinated for this one's client.
    public var forwarded = 0
    /// Requests refused because nothing could have happened.
    public var unavailable = 0
    /// Writes whose outcome is not known.
    public var unknown = 0
    public var overloaded = 0
    /// Times that more waited for a node than its link took.
    public var linksBehind = 0
    public var readRepairs = 0
    /// Records that a read or a repair brought to this node.
    public var repaired = 0
    /// Reads that asked one more replica because the first were slow: so many requests more.
    public var hedgedReads = 0
    /// Of these, how many were answered with its help before the first had all answered.
    public var hedgesWon = 0
    /// Reads that did not, because the share of extra requests was used up.
    public var hedgesDenied = 0
    /// Reads that asked all others because a replica had fallen silent or half their time was over.
    public var retriedReads = 0
    /// Concurrent values that `lww` or `overflow=lww` dropped, as far as that can be told.
    public var droppedValues = 0
    /// Records refused because their stamp was too far ahead of the cluster's time.
    public var refusedAhead = 0
    /// Records refused because they and what is stored of their key do not fit together: too many
    /// values or bytes.
    public var refusedTooLarge = 0
    /// Records of other nodes refused because they were written to a keyspace that was dropped, or
    /// are of another kind than it keeps.
    public var refusedDropped = 0
    /// Stored records stamped anew because theirs was a wrong clock's.
    public var overruledAhead = 0
    /// Times that a majority proved this node's clock wrong and it took a new identity.
    public var identitiesRenewed = 0
    /// Requests with an id that were answered by the outcome of an earlier time.
    public var requestsRepeated = 0
    public var malformedMessages = 0
    public var lateAnswers = 0
    /// Requests, and parts of such with many keys, that waited because other nodes owed much.
    public var requestsHeldBack = 0
    /// Writes stamped anew because a replica had a later one already.
    public var restamped = 0
    public var messagesReceived = 0
    /// Comparisons of hash trees that this node began.
    public var exchanges = 0
    /// Records that exchanges sent.
    public var exchangedKeys = 0
    /// Bytes that exchanges sent, these records included.
    public var exchangeBytes = 0
    /// Messages of exchanges that had to wait for another one.
    public var exchangesDeferred = 0
    /// Messages of exchanges that were not answered, because what came of the last found no room.
    public var exchangesWithoutRoom = 0
    /// Deltas of typed values that this node sent, one for each replica.
    public var deltasSent = 0
    public var deltaBytes = 0
    /// Deltas from other nodes that stood upon what was not here.
    public var deltasUngrounded = 0
    /// Whole states sent instead.
    public var statesSent = 0
    /// Nodes that the members declared dead.
    public var membersLost = 0
    /// Times that two processes spoke under one number.
    public var memberConflicts = 0
    /// Reads of other nodes that were not answered because the key range is not whole here.
    public var declinedReads = 0
    /// Records that this node lacked after it had lost its memory, and asked for.
    public var refilledKeys = 0
    /// Hints that this node took in for others.
    public var hintsTaken = 0
    /// Hints that it was asked to keep and refused.
    public var hintsRefused = 0
    /// Hints that their nodes acknowledged.
    public var hintsHandedOff = 0
    /// Bytes that hints took on their way to their nodes.
    public var handOffBytes = 0
    /// Hints given up: too old, or emptied away with their keyspace.
    public var hintsDropped = 0
    /// Replays of hints that were refused or broke off.
    public var handOffsFailed = 0
    /// Writes and reads that reached their quorum with the help of fallbacks.
    public var degraded = 0
    /// Reads that were held back because a session had seen more, or their answer was too old.
    public var heldReads = 0
    /// Reads refused because no replica in reach had what the session has seen.
    public var sessionRefusals = 0
    /// Reads refused because nothing in reach was as fresh as was asked for.
    public var staleRefusals = 0
    /// Reads with a bound on staleness that this node answered alone.
    public var boundedReadsHere = 0
    /// The same, for which other replicas were asked.
    public var boundedReadsElsewhere = 0
    /// Session tokens that were damaged, another cluster's, or far ahead.
    public var sessionTokensRefused = 0
    /// Causal contexts that this cluster did not give out for the key.
    public var contextsRefused = 0
    /// Tombstones forgotten because every replica knows of the deletion.
    public var tombstonesCollected = 0
    /// Names of dropped keyspaces that were forgotten.
    public var namesForgotten = 0
    /// Times that a node alone said that names were forgotten which this one has not emptied.
    public var namesDoubted = 0
    /// Keyspaces of which another node's configuration had changed what their keys need.
    public var configurationsOverruled = 0
    /// Expired values that gave their bytes back.
    public var expiredSpent = 0
    /// Expired values forgotten likewise.
    public var expiredCollected = 0
    /// Records forgotten that had been emptied away with their keyspace.
    public var emptiedCollected = 0
    /// Records from other nodes that were ignored because what they say is known already.
    public var ignoredSettled = 0
    /// Messages refused because their sender may hold what was deleted.
    public var keptOut = 0
    /// Times that this node found out that others had collected without it.
    public var fellBehind = 0
    /// Records that it dropped then.
    public var droppedBehind = 0
    /// Key ranges of which it kept all, because no replica knew any more what had been deleted.
    public var keptUnvouched = 0
    /// Writes refused because their key had as many concurrent values as it may have.
    public var overflowsRefused = 0
    /// Writes that dropped the oldest of too many concurrent values.
    public var overflowsDropped = 0
    /// Writes that made one of too many concurrent values.
    public var overflowsMerged = 0
    /// Records that this node no longer replicates, dropped once all their replicas had them.
    public var surplusDropped = 0
    /// States that dropped what they remembered of identities of which nothing is left.
    public var contextsCompacted = 0

    public init() {}

    /// Adds what another life of a node counted.
    public mutating func add(_ other: NodeCounters) {
        for (_, path) in NodeCounters.all { self[keyPath: path] += other[keyPath: path] }
    }

    /// Each counter with its name, in a fixed order.
    public var named: [(name: String, value: Int)] {
        NodeCounters.all.map { ($0.name, self[keyPath: $0.path]) }
    }

    private static let all: [(name: String, path: WritableKeyPath<NodeCounters, Int> & Sendable)] =
        [
            ("connections", \.connections),
            ("commands", \.commands),
            ("command_errors", \.commandErrors),
            ("protocol_errors", \.protocolErrors),
            ("reads", \.reads),
            ("writes", \.writes),
            ("forwarded", \.forwarded),
            ("unavailable", \.unavailable),
            ("unknown", \.unknown),
            ("overloaded", \.overloaded),
            ("links_behind", \.linksBehind),
            ("read_repairs", \.readRepairs),
            ("repaired", \.repaired),
            ("hedged_reads", \.hedgedReads),
            ("hedges_won", \.hedgesWon),
            ("hedges_denied", \.hedgesDenied),
            ("retried_reads", \.retriedReads),
            ("dropped_values", \.droppedValues),
            ("refused_ahead", \.refusedAhead),
            ("refused_too_large", \.refusedTooLarge),
            ("refused_dropped", \.refusedDropped),
            ("overruled_ahead", \.overruledAhead),
            ("identities_renewed", \.identitiesRenewed),
            ("requests_repeated", \.requestsRepeated),
            ("malformed_messages", \.malformedMessages),
            ("late_answers", \.lateAnswers), ("requests_held_back", \.requestsHeldBack),
            ("restamped", \.restamped),
            ("messages_received", \.messagesReceived),
            ("exchanges", \.exchanges),
            ("exchanged_keys", \.exchangedKeys),
            ("exchange_bytes", \.exchangeBytes),
            ("exchanges_deferred", \.exchangesDeferred),
            ("exchanges_without_room", \.exchangesWithoutRoom),
            ("deltas_sent", \.deltasSent),
            ("delta_bytes", \.deltaBytes),
            ("deltas_ungrounded", \.deltasUngrounded),
            ("states_sent", \.statesSent),
            ("members_lost", \.membersLost),
            ("member_conflicts", \.memberConflicts),
            ("declined_reads", \.declinedReads),
            ("refilled_keys", \.refilledKeys),
            ("hints_taken", \.hintsTaken),
            ("hints_refused", \.hintsRefused),
            ("hints_handed_off", \.hintsHandedOff),
            ("hand_off_bytes", \.handOffBytes),
            ("hints_dropped", \.hintsDropped),
            ("hand_offs_failed", \.handOffsFailed),
            ("degraded", \.degraded),
            ("held_reads", \.heldReads),
            ("session_refusals", \.sessionRefusals),
            ("stale_refusals", \.staleRefusals),
            ("bounded_reads_here", \.boundedReadsHere),
            ("bounded_reads_elsewhere", \.boundedReadsElsewhere),
            ("session_tokens_refused", \.sessionTokensRefused),
            ("contexts_refused", \.contextsRefused),
            ("tombstones_collected", \.tombstonesCollected),
            ("keyspace_names_forgotten", \.namesForgotten),
            ("keyspace_names_doubted", \.namesDoubted),
            ("configurations_overruled", \.configurationsOverruled),
            ("expired_spent", \.expiredSpent),
            ("expired_collected", \.expiredCollected),
            ("emptied_collected", \.emptiedCollected),
            ("ignored_settled", \.ignoredSettled),
            ("kept_out", \.keptOut),
            ("fell_behind", \.fellBehind),
            ("dropped_behind", \.droppedBehind),
            ("ranges_kept_unvouched", \.keptUnvouched),
            ("overflows_refused", \.overflowsRefused),
            ("overflows_dropped", \.overflowsDropped),
            ("overflows_merged", \.overflowsMerged),
            ("contexts_compacted", \.contextsCompacted),
            ("surplus_dropped", \.surplusDropped),
        ]
}
