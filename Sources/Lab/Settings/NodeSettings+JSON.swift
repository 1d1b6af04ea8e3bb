extension NodeSettings {
    /// The configuration as a file holds it: reading it back gives an equal value.
    public var json: JSON {
        var entries = [
            JSON.Member("clusterID", .text(clusterName)),
            JSON.Member("node", .integer(Int(node.rawValue))),
        ]
        if let secret { entries.append(JSON.Member("secret", .text(secret.text))) }
        if let secretFile { entries.append(JSON.Member("secretFile", .text(secretFile))) }
        entries += [JSON.Member("client", client.json), JSON.Member("link", link.json)]
        if let metrics { entries.append(JSON.Member("metrics", metrics.json)) }
        entries += [
            JSON.Member("dataDirectory", .text(dataDirectory)),
            JSON.Member("recovery", .text(recovery.rawValue)),
            JSON.Member("faults", .bool(faults)),
            JSON.Member("members", .list(members.map(\.json))),
            JSON.Member("limits", limits.json),
            JSON.Member("keyspaces", .members(keyspaces.map { JSON.Member($0.0, $0.1.json) })),
        ]
        return .members(entries)
    }
}

extension NodeSettings.Endpoint {
    var json: JSON { ["host": .text(host), "port": .integer(port)] }
}

extension NodeSettings.Member {
    var json: JSON {
        var members = [
            JSON.Member("id", .integer(Int(id.rawValue))),
            JSON.Member("host", .text(host)),
            JSON.Member("clientPort", .integer(clientPort)),
            JSON.Member("linkPort", .integer(linkPort)),
            JSON.Member("weight", .integer(weight)),
        ]
        if !zone.isEmpty { members.append(JSON.Member("zone", .text(zone))) }
        return .members(members)
    }
}

extension NodeSettings.Limits {
    var json: JSON {
        [
            "clients": .integer(clients),
            "requestBytes": .integer(requestBytes),
            "memoryBytes": .integer(memoryBytes),
            "replyBacklogBytes": .integer(replyBacklogBytes),
            "linkBacklogBytes": .integer(linkBacklogBytes),
            "hintBytes": .integer(hintBytes),
            "hintMinutes": .integer(hintMinutes),
        ]
    }
}
