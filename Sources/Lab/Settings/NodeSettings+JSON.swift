extension NodeSettings {
    /// The configuration as a file holds it: reading it back gives an equal value.
    public var json: JSON {
        [
            "clusterID": .text(clusterName),
            "node": .integer(Int(node.rawValue)),
            "client": client.json,
            "link": [
                "host": .text(link.host), "port": .integer(link.port),
                "trustsNetwork": .bool(trustsNetwork),
            ],
            "dataDirectory": .text(dataDirectory),
            "recovery": .text(recovery.rawValue),
            "faults": .bool(faults),
            "members": .list(members.map(\.json)),
            "limits": limits.json,
            "keyspaces": .members(keyspaces.map { JSON.Member($0.0, $0.1.json) }),
        ]
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
        ]
    }
}
