import Causality
import Secrets

/// What a node makes of the cluster's secret: a key for each purpose, the same on all nodes.
struct NodeKeys: Sendable {
    /// Of the hash by which tables place keys.
    let tables: UInt64
    /// Of the hash by which keyspaces are found and compared.
    let keyspaces: UInt64
    let contexts: Seal
    let sessions: Seal
    let links: LinkKeys
    /// What logs may tell of the secret, so that two can be compared.
    let fingerprint: UInt32

    init(_ secret: ClusterSecret, cluster: UInt64) {
        let named = secret.key(for: "fingerprint", cluster: cluster).code(of: []).prefix
        fingerprint = UInt32(truncatingIfNeeded: named)
        tables = secret.key(for: "tables", cluster: cluster).code(of: []).prefix
        keyspaces = secret.key(for: "keyspaces", cluster: cluster).code(of: []).prefix
        contexts = Seal(secret.key(for: "contexts", cluster: cluster))
        sessions = Seal(secret.key(for: "sessions", cluster: cluster))
        links = LinkKeys(secret, cluster: cluster)
    }
}

/// The keys of a handshake: each side, and each thing that is said, has its own, so that nothing
/// said by one side can be said back to it.
struct LinkKeys: Sendable {
    let caller: MACKey
    let called: MACKey
    let verdict: MACKey

    init(_ secret: ClusterSecret, cluster: UInt64) {
        caller = secret.key(for: "link, the side that calls", cluster: cluster)
        called = secret.key(for: "link, the side that is called", cluster: cluster)
        verdict = secret.key(for: "link, the verdict", cluster: cluster)
    }
}
