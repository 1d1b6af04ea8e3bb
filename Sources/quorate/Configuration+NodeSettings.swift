import Base
import Lab
import RESP
import Replication
import Ring
import Secrets
import Server

extension Server.Configuration {
    /// Settings as a running server takes them: the one place where the file's words meet the
    /// server's types.
    ///
    /// - Throws: `badFile` for a keyspace that the node objects to (`KeyspaceSettings.objection`,
    ///   which the file's reader has asked before, with the line at hand), and when the file of the
    ///   secret cannot be read or holds none.
    init(_ settings: NodeSettings) throws(Failure) {
        let zones = Set(settings.members.map(\.zone).filter { !$0.isEmpty }).sorted()
        let members = settings.members.map { member in
            ClusterMember(
                member: Member(
                    member.id, weight: UInt16(member.weight),
                    zone: UInt16((zones.firstIndex(of: member.zone) ?? -1) + 1)),
                host: member.host, clientPort: UInt16(member.clientPort),
                linkPort: UInt16(member.linkPort))
        }
        var node = NodeConfiguration(
            node: settings.node, clusterID: settings.clusterID, members: members)
        for (name, overrides) in settings.keyspaces {
            let keyspace = try KeyspaceSettings(overrides, members: members.count)
            node.keyspaces.append((Array(name.utf8), keyspace))
            node.defaulted.append((Array(name.utf8), overrides.unnamed))
        }
        node.requestLimits = RequestLimits(
            bulkBytesMax: settings.limits.requestBytes,
            requestBytesMax: 2 * settings.limits.requestBytes)
        node.memoryBytesMax = settings.limits.memoryBytes
        node.hintBytesMax = settings.limits.hintBytes
        node.hintMillisecondsMax = UInt64(settings.limits.hintMinutes) * 60_000
        node.faults = settings.faults
        self.init(node: node, dataDirectory: settings.dataDirectory)
        clientHost = settings.client.host
        clientPort = UInt16(settings.client.port)
        linkHost = settings.link.host
        linkPort = UInt16(settings.link.port)
        if let metrics = settings.metrics {
            metricsHost = metrics.host
            metricsPort = UInt16(metrics.port)
        }
        secret = try Server.Configuration.secret(settings)
        recovery = Server.RecoveryPolicy(settings.recovery)
        limits.clientsMax = settings.limits.clients
        limits.clientOutputBytesMax = settings.limits.replyBacklogBytes
        limits.linkOutputBytesMax = settings.limits.linkBacklogBytes
    }
}

extension Server.Configuration {
    /// What the file says or points to; nil for a cluster of one that was given none.
    private static func secret(_ settings: NodeSettings) throws(Failure) -> ClusterSecret? {
        guard let path = settings.secretFile else { return settings.secret }
        let text: String
        do throws(Failure) { text = try Files.read(path) } catch {
            throw Failure(.badFile, "secretFile: \(error.message)")
        }
        do throws(ClusterSecret.TextError) { return try ClusterSecret(text: text) } catch {
            throw Failure(.badFile, "secretFile: what \(path) holds \(error.text)")
        }
    }
}

extension Server.RecoveryPolicy {
    fileprivate init(_ recovery: NodeSettings.Recovery) {
        switch recovery {
        case .refuse: self = .refuse
        case .quarantine: self = .quarantine
        }
    }
}

extension KeyspaceOverrides {
    /// Settings that are left to the node's defaults.
    fileprivate var unnamed: [String] {
        let named = words.map(\.name)
        return KeyspaceSettings.fieldNames.filter { !named.contains($0) }
    }
}

extension KeyspaceSettings {
    /// What a node has against a file's settings of a keyspace; nil when it takes them.
    static func objection(to overrides: KeyspaceOverrides, members: Int) -> String? {
        do {
            _ = try KeyspaceSettings(overrides, members: members)
            return nil
        } catch {
            return error.message
        }
    }

    /// The node's defaults with what the file says instead.
    fileprivate init(_ overrides: KeyspaceOverrides, members: Int) throws(Failure) {
        self.init()
        replicationFactor = min(replicationFactor, members)
        for word in overrides.words {
            if let problem = set("\(word.name)=\(word.value)") { throw Failure(.badFile, problem) }
        }
        if let objection { throw Failure(.badFile, objection) }
    }
}

extension Failure {
    /// Why a server did not start.
    init(starting error: ServerError, on dataDirectory: String) {
        switch error {
        case .configuration: self.init(.badFile, "\(error)")
        case .network: self.init(.cannotCreate, "\(error)")
        case .storage, .corruption:
            self.init(.cannotCreate, "\(error) (dataDirectory is \(dataDirectory))")
        }
    }

    /// Why a server did not stay.
    init(_ error: ServerError) {
        switch error {
        case .configuration: self.init(.badFile, "\(error)")
        case .network: self.init(.cannotCreate, "\(error)")
        case .storage, .corruption: self.init(.failed, "\(error)")
        }
    }
}
