import Causality

/// What became of a record that was to be kept for several nodes.
struct TakenHints {
    /// `superseded` if something newer is kept for one of them, else `acknowledged` if it is
    /// kept for any, else why it is for none.
    private(set) var status = ReplicaStatus.noReplica
    /// Of the newest that is kept.
    private(set) var stamp: Stamp?
    /// It is not kept for all of them.
    private(set) var isPartial = false
    private var isEmpty = true

    mutating func note(_ status: ReplicaStatus, _ stamp: Stamp?) {
        switch (status, self.status) {
        case (.acknowledged, .superseded): break
        case (.acknowledged, _), (.superseded, _): self.status = status
        default:
            isPartial = true
            if isEmpty { self.status = status }
        }
        if let stamp { self.stamp = max(stamp, self.stamp ?? stamp) }
        isEmpty = false
    }
}
