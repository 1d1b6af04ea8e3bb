import Base
import Testing

/// What full disks answer: who refuses says so, and nothing that happened nowhere is unknown.
@Suite struct FullDiskTests {
    private let a = NodeID(1), b = NodeID(2), c = NodeID(3)

    /// Three nodes with keys of every kind.
    private func filled(n: Int = 3) -> Cluster {
        let cluster = Cluster(3)
        for policy in ["lww", "siblings", "crdt"] {
            let made = "KEYSPACE CREATE \(policy) conflict=\(policy) n=\(n)"
            #expect(cluster.run(a, made) == "+OK\r\n")
        }
        for key in 0..<4 {
            for policy in ["lww", "siblings"] {
                #expect(cluster.run(a, "SET \(policy):\(key) v PX 900000") == "+OK\r\n")
            }
        }
        for command in [
            "SET crdt:0 v", "SADD crdt:s x y z", "HSET crdt:h f v g w", "RPUSH crdt:l 1 2 3 4",
            "ZADD crdt:z 1 a 2 b 3 c", "INCRBY crdt:i 5", "SET crdt:e v PX 900000",
        ] {
            #expect(!cluster.run(a, command).hasPrefix("-"), "\(command)")
        }
        return cluster
    }

    private static let plainWrites = [
        "SET K:0 w", "SET K:0 w PX 900000", "EXPIRE K:0 100", "PEXPIRE K:1 100000",
        "EXPIREAT K:1 99999999999", "PERSIST K:0", "GETEX K:1 EX 100", "GETEX K:2 PERSIST",
        "MSET K:0 a K:1 b",
    ]
    private static let conditionalWrites = [
        "SET K:0 w XX", "SET K:9 w NX", "SET K:0 w KEEPTTL", "SET K:0 w GET", "SETNX K:9 w",
        "GETSET K:0 w", "APPEND K:0 w", "INCR K:9", "EXPIRE K:0 1000 XX",
    ]
    private static let typedWrites = [
        "SET crdt:0 w", "SADD crdt:s w", "HSET crdt:h f w", "HINCRBY crdt:h n 1", "RPUSH crdt:l w",
        "LPUSH crdt:l w", "LSET crdt:l 0 w", "ZADD crdt:z 1 w", "ZINCRBY crdt:z 1 a",
        "INCR crdt:i", "EXPIRE crdt:0 100", "PEXPIRE crdt:s 100000", "GETSET crdt:0 w",
        "APPEND crdt:0 w", "SETNX crdt:9 w", "SET crdt:8 w", "EXPIRE crdt:l 100",
        "MSET crdt:0 a crdt:1 b",
    ]
    private static let removals = [
        "SREM crdt:s x", "SPOP crdt:s", "HDEL crdt:h f", "LPOP crdt:l", "RPOP crdt:l",
        "LREM crdt:l 0 2", "LTRIM crdt:l 0 0", "ZREM crdt:z a", "ZPOPMIN crdt:z", "ZPOPMAX crdt:z",
        "DEL crdt:0", "DEL crdt:i", "DEL lww:0 siblings:0", "UNLINK lww:1", "EXPIRE crdt:e -1",
        "EXPIRE lww:2 -1", "EXPIREAT siblings:2 1",
    ]

    private func isRefused(_ reply: String) -> Bool {
        reply.hasPrefix("-DISKFULL") || reply.hasPrefix("-MODE")
    }

    @Test("a write that every full disk refuses is DISKFULL from any node, and never unknown")
    func refusedByAll() {
        let cluster = filled()
        for node in [a, b, c] { cluster.step(node, .disk(.deletions)) }
        for node in [a, b, c] {
            for policy in ["lww", "siblings"] {
                for command in FullDiskTests.plainWrites {
                    let named = command.replacing("K:", with: policy + ":")
                    let reply = cluster.run(node, named)
                    #expect(reply.hasPrefix("-DISKFULL"), "\(named): \(reply)")
                }
            }
            for command in FullDiskTests.typedWrites {
                let reply = cluster.run(node, command)
                #expect(isRefused(reply), "\(command): \(reply)")
            }
        }
    }

    @Test("conditional writes, which one replica decides, are refused as well")
    func conditional() {
        let cluster = filled(n: 1)
        for node in [a, b, c] { cluster.step(node, .disk(.deletions)) }
        for policy in ["lww", "siblings"] {
            for command in FullDiskTests.conditionalWrites {
                let named = command.replacing("K:", with: policy + ":")
                let reply = cluster.run(a, named)
                #expect(isRefused(reply), "\(named): \(reply)")
            }
        }
    }

    @Test("what only takes away goes on everywhere, with every acknowledgement")
    func removalsGoOn() {
        let cluster = filled()
        for node in [a, b, c] { cluster.step(node, .disk(.deletions)) }
        for command in FullDiskTests.removals {
            let reply = cluster.run(a, command)
            #expect(!reply.hasPrefix("-"), "\(command): \(reply)")
        }
        for node in [a, b, c] { cluster.step(node, .disk(.free)) }
        #expect(cluster.run(b, "EXISTS lww:0 siblings:0 lww:1 crdt:e R ALL") == ":0\r\n")
    }

    @Test("nothing at all goes on where not even deletions find room")
    func nothing() {
        let cluster = filled()
        for node in [a, b, c] { cluster.step(node, .disk(.none)) }
        for command in FullDiskTests.typedWrites + FullDiskTests.removals {
            let reply = cluster.run(b, command)
            #expect(isRefused(reply), "\(command): \(reply)")
        }
    }

    @Test("a write finds room by its size, and a deletion of nothing takes none from the others")
    func bySize() {
        let cluster = filled()
        for node in [a, b, c] {
            cluster.with(node) {
                $0.disk.allowance = DiskAllowance(
                    writes: 20_000, deletions: 40_000, tombstones: 0)
            }
        }
        let large = String(repeating: "v", count: 30_000)
        #expect(cluster.run(a, "INFO persistence").contains("disk_full:0"))
        #expect(cluster.run(a, "SET lww:0 \(large)").hasPrefix("-DISKFULL"))
        #expect(cluster.run(a, "INFO persistence").contains("disk_full:1"))
        #expect(cluster.run(b, "INFO persistence").contains("disk_full:0"))
        #expect(cluster.run(b, "SADD crdt:s \(large)").hasPrefix("-DISKFULL"))
        #expect(cluster.run(b, "INFO persistence").contains("disk_full:1"))
        #expect(cluster.run(a, "SET lww:0 small W ALL") == "+OK\r\n")
        #expect(cluster.run(b, "DEL lww:8").hasPrefix("-DISKFULL"))
        let reply = cluster.run(b, "DEL lww:1")
        #expect(reply == ":1\r\n")
    }

    @Test("a deletion of large values that are kept beside each other needs no room for them")
    func largeSiblings() {
        let cluster = filled()
        let large = String(repeating: "v", count: 30_000)
        #expect(cluster.run(a, "SET siblings:big \(large) W ALL") == "+OK\r\n")
        for node in [a, b, c] {
            cluster.with(node) {
                $0.disk.allowance = DiskAllowance(
                    writes: 0, deletions: 10_000, tombstones: 0)
            }
        }
        #expect(cluster.run(b, "SET siblings:0 w").hasPrefix("-DISKFULL"))
        #expect(cluster.run(a, "DEL siblings:big") == ":1\r\n")
        for node in [a, b, c] {
            #expect(cluster.run(node, "GET siblings:big R 1") == "$-1\r\n")
        }
    }

    /// Three nodes of which the first takes deletions only, and values that it does not have.
    private func oneFull() -> Cluster {
        let cluster = filled()
        cluster.step(a, .disk(.deletions))
        cluster.pass(milliseconds: 1_000, by: 100)
        for number in 0..<50 {
            #expect(cluster.run(b, "SADD crdt:s m\(number)") == ":1\r\n")
            #expect(cluster.run(c, "HSET crdt:h f\(number) v") == ":1\r\n")
        }
        return cluster
    }

    @Test("a full replica tells what the others have, and has them delete what it cannot")
    func goesOn() {
        let cluster = oneFull()
        #expect(cluster.run(a, "SCARD crdt:s") == ":53\r\n")
        #expect(cluster.run(a, "SMISMEMBER crdt:s m7 x no") == "*3\r\n:1\r\n:1\r\n:0\r\n")
        #expect(cluster.run(a, "SREM crdt:s m7 m8 x no") == ":3\r\n")
        #expect(cluster.run(a, "HDEL crdt:h f1 f2") == ":2\r\n")
        #expect(cluster.run(a, "SADD crdt:s more").hasPrefix("-DISKFULL"))
        for node in [a, b, c] {
            #expect(cluster.run(node, "SCARD crdt:s") == ":50\r\n")
            #expect(cluster.run(node, "HEXISTS crdt:h f2") == ":0\r\n")
        }
        #expect(cluster.run(a, "DEL crdt:s crdt:h") == ":2\r\n")
        #expect(cluster.run(b, "EXISTS crdt:s crdt:h") == ":0\r\n")
    }

    @Test("what finds no room is not exchanged again and again, and once there is room it is")
    func exchangesRest() {
        let cluster = oneFull()
        cluster.pass(milliseconds: 60_000, by: 100)
        let before = [a, b, c].map { cluster.counters($0).exchangedKeys }.reduce(0, +)
        cluster.pass(milliseconds: 120_000, by: 100)
        let after = [a, b, c].map { cluster.counters($0).exchangedKeys }.reduce(0, +)
        // Two keys, in a few attempts.
        #expect(after - before <= 2 * 8, "\(after - before) keys")
        #expect(cluster.counters(a).exchangesWithoutRoom > 0)
        cluster.step(a, .disk(.free))
        cluster.pass(milliseconds: 8_000, by: 100)
        #expect(cluster.run(a, "SCARD crdt:s R 1") == ":53\r\n")
    }

    @Test("the same by size: what too many others have no room for is refused before it is done")
    func othersFullBySize() {
        let cluster = filled()
        for node in [a, b] {
            cluster.with(node) {
                $0.disk.allowance = DiskAllowance(
                    writes: 20_000, deletions: 40_000, tombstones: 40_000)
            }
        }
        let large = String(repeating: "v", count: 30_000)
        // Nobody knows of it yet; from then on this node does.
        #expect(cluster.run(c, "SET lww:9 \(large)").hasPrefix("-UNKNOWN"))
        for command in ["SET lww:8", "SET siblings:9", "SADD crdt:9", "RPUSH crdt:8"] {
            let reply = cluster.run(c, "\(command) \(large)")
            #expect(reply.hasPrefix("-DISKFULL"), "\(command): \(reply.prefix(80))")
        }
        #expect(cluster.run(c, "MSET lww:7 v lww:6 \(large)").hasPrefix("-DISKFULL"))
        #expect(cluster.run(c, "EXISTS lww:8 siblings:9 crdt:9 crdt:8 lww:7 R 1") == ":0\r\n")
        #expect(cluster.run(c, "SET lww:7 small W ALL") == "+OK\r\n")
        #expect(cluster.run(c, "SADD crdt:9 small") == ":1\r\n")
    }

    @Test("a write is refused before it is done where too many other replicas are known to be full")
    func othersFull() {
        let cluster = filled()
        for node in [a, b] { cluster.step(node, .disk(.deletions)) }
        cluster.pass(milliseconds: 1_000, by: 100)
        for command in ["SET lww:9 v", "SET siblings:9 v", "SADD crdt:9 v", "INCR crdt:8"] {
            let reply = cluster.run(c, command)
            #expect(reply.hasPrefix("-DISKFULL"), "\(command): \(reply)")
        }
        #expect(cluster.run(c, "EXISTS lww:9 siblings:9 crdt:9 crdt:8 R 1") == ":0\r\n")
        #expect(cluster.run(c, "SET lww:9 v W 1") == "+OK\r\n")
        #expect(cluster.run(c, "DEL lww:0 crdt:s") == ":2\r\n")
        for node in [a, b] { cluster.step(node, .disk(.free)) }
        cluster.pass(milliseconds: 1_000, by: 100)
        #expect(cluster.run(c, "SET lww:7 v W ALL") == "+OK\r\n")
    }
}
