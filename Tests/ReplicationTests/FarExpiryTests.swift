import Base
import Testing

@testable import Replication

private let (a, b, c) = (NodeID(1), NodeID(2), NodeID(3))

/// Redis takes times up to 2⁶³ milliseconds; stamps of clocks end at 2⁴⁸.
@Suite("Values that expire in thousands of years")
struct FarExpiryTests {
    private static let commands: [(line: String, key: String)] = [
        ("SET s:after v EX 281474976710", "s:after"),
        ("SET s:at v PXAT 9223370399119966", "s:at"),
        ("SETEX s:setex 281474976710 v", "s:setex"),
        ("EXPIRE s:expire 281474976710", "s:expire"),
        ("PEXPIREAT s:pexpireat 9223370399119966", "s:pexpireat"),
        ("GETEX s:getex PXAT 9223370399119966", "s:getex"),
    ]

    @Test(
        "they are there after a minute and a restart, with the very time that was given",
        arguments: ["lww", "siblings", "crdt"])
    func kept(conflict: String) throws {
        let cluster = Cluster(3)
        let create = "KEYSPACE CREATE s conflict=\(conflict) r=1 w=all"
        #expect(cluster.run(a, create) == "+OK\r\n")
        for key in ["expire", "pexpireat", "getex"] {
            #expect(cluster.run(a, "SET s:\(key) v") == "+OK\r\n")
        }
        let wall = cluster.wall[a] ?? 0
        for (line, _) in FarExpiryTests.commands {
            #expect(!cluster.run(a, line).hasPrefix("-"), "\(line)")
        }
        check(cluster, setAt: wall)
        cluster.pass(milliseconds: 60_000, by: 50)
        check(cluster, setAt: wall)
        for (epoch, id) in zip(2..., cluster.ids) {
            try cluster.restart(id, epoch: UInt64(epoch), on: cluster.journals[id] ?? [], after: 1)
            cluster.pass(milliseconds: 2_000, by: 50)
        }
        check(cluster, setAt: wall)
        // Elsewhere it needs a keyspace in which one node decides.
        let keeps = conflict == "crdt"
        if keeps { #expect(cluster.run(b, "SET s:at w KEEPTTL") == "+OK\r\n") }
        cluster.pass(milliseconds: 2_000, by: 50)
        for id in cluster.ids {
            #expect(cluster.run(id, "GET s:at") == "$1\r\n\(keeps ? "w" : "v")\r\n")
            #expect(cluster.run(id, "PEXPIRETIME s:at") == ":9223370399119966\r\n")
            #expect(cluster.run(id, "DBSIZE") == ":6\r\n")
        }
    }

    private func check(_ cluster: Cluster, setAt wall: UInt64) {
        for id in cluster.ids {
            for (line, key) in FarExpiryTests.commands {
                let time =
                    line.hasSuffix("9223370399119966")
                    ? 9_223_370_399_119_966 : wall + 281_474_976_710_000
                #expect(cluster.run(id, "GET \(key)") == "$1\r\nv\r\n", "\(line)")
                #expect(cluster.run(id, "PEXPIRETIME \(key)") == ":\(time)\r\n", "\(line)")
                let left = time - (cluster.wall[id] ?? 0)
                #expect(cluster.run(id, "PTTL \(key)") == ":\(left)\r\n", "\(line)")
            }
        }
    }
}
