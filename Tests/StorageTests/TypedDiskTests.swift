import Base
import Coding
import Ring
import Secrets
import Simulator
import Storage
import Testing

@testable import Replication

/// A node alone on a small volume, driven as a server drives it.
private final class NodeOnVolume {
    private static let limits = JournalLimits(segmentBytes: 4 << 20, batchBytesMax: 576 << 10)
    private static let secret: ClusterSecret = {
        var random = PRNG(seed: 7)
        return ClusterSecret(from: &random)
    }()

    /// What runs.
    private final class Life {
        var node: Node
        var journal: Journal
        var effects = Effects()

        init(_ node: consuming Node, _ journal: consuming Journal) {
            self.node = node
            self.journal = journal
        }
    }

    private let disk = SimulatedDisk(prng: PRNG(seed: 1))
    private var life: Life
    private var epoch: UInt64 = 1
    private var milliseconds: UInt64 = 1_000
    private var room = DiskRoom.free
    private var replied: [UInt8] = []

    init(_ capacity: Int) throws {
        disk.faults.capacityBytes = capacity
        life = try NodeOnVolume.start(disk, 1, 1_000)
        settle()
        open()
        _ = run("KEYSPACE CREATE t conflict=crdt n=1 durability=fsync")
    }

    private static func start(
        _ disk: SimulatedDisk, _ epoch: UInt64, _ milliseconds: UInt64
    ) throws -> Life {
        let member = ClusterMember(
            member: Member(NodeID(1)), host: "127.0.0.1", clientPort: 7_001, linkPort: 8_001)
        var configuration = NodeConfiguration(
            node: NodeID(1), clusterID: 7, members: [member])
        configuration.recordBytesMax = limits.recordBytesMax - 1
        var node = Node(
            configuration, identity: ReplicaIdentity(node: NodeID(1), epoch: epoch),
            secret: secret, seed: 1, now: NodeOnVolume.instant(milliseconds))
        let report = try Recovery.run(on: disk, policy: .refuse) { payload throws(DecodeError) in
            try node.restore(payload)
        }
        var journal = Journal(resuming: report, limits: limits, salt: epoch)
        journal.checkpointBytesExpected = node.checkpointBytesExpected
        return Life(node, journal)
    }

    private static func instant(_ milliseconds: UInt64) -> Instant {
        Instant(
            monotonic: milliseconds * 1_000_000,
            wallMilliseconds: 1_700_000_000_000 + milliseconds)
    }

    private var now: Instant { NodeOnVolume.instant(milliseconds) }

    private func open() { step(.opened(ConnectionID(1))) }

    /// Kills the process and starts it again.
    func restart() throws {
        disk.crash()
        epoch += 1
        room = .free
        life = try NodeOnVolume.start(disk, epoch, milliseconds)
        settle()
        open()
    }

    /// - Returns: what the command is answered.
    func run(_ line: String) -> String { run(line.split(separator: " ").map(String.init)) }

    func run(_ words: [String]) -> String {
        var text = "*\(words.count)\r\n"
        for word in words { text += "$\(word.utf8.count)\r\n\(word)\r\n" }
        replied = []
        milliseconds += 1
        Array(text.utf8).withUnsafeBytes { step(.received(ConnectionID(1), $0)) }
        var turns = 0
        while replied.isEmpty, turns < 1_000 {
            step(.deadline)
            turns += 1
        }
        return String(decoding: replied, as: UTF8.self)
    }

    /// A second goes by, in which a full disk is tried again.
    func wait() {
        for _ in 0..<10 {
            milliseconds += 100
            step(.deadline)
        }
        life.journal.retryPreparing()
        settle()
    }

    private func step(_ input: NodeInput) {
        life.node.beginTurn(at: now)
        life.node.step(input, now: now, into: &life.effects)
        interpret()
        while life.node.hasWork {
            life.node.beginTurn(at: now)
            life.node.step(.deadline, now: now, into: &life.effects)
            interpret()
        }
        settle()
    }

    /// What is guessed of a state is never less than what it takes, among other things.
    func check() { life.node.checkInvariants(recounting: true) }

    private func interpret() {
        var reached: [UInt64] = []
        for entry in life.effects.entries {
            switch entry.effect {
            case .reply(_, let range): replied += Array(life.effects.bytes[range])
            case .persist(let range), .append(let range):
                _ = life.journal.append(life.effects.bytes[range])
            case .notify(let token): reached.append(token)
            case .more(let connection): settle(.drained(connection))
            case .close, .send, .disconnect, .beginLife: break
            }
        }
        life.effects.removeAll()
        tellAllowance()
        runJobs()
        for token in reached { settle(.reached(token)) }
    }

    private func settle(_ input: NodeInput) {
        var effects = Effects()
        life.node.step(input, now: now, into: &effects)
        for entry in effects.entries {
            if case .reply(_, let range) = entry.effect { replied += Array(effects.bytes[range]) }
        }
    }

    private func tellAllowance() {
        life.journal.checkpointBytesExpected = life.node.checkpointBytesExpected
        life.node.disk.allowance = life.journal.allowance
        guard life.journal.room != room else { return }
        room = life.journal.room
        settle(.disk(room))
    }

    private func runJobs() {
        while let job = life.journal.nextJob() {
            do throws(DiskError) {
                try job.run(on: disk)
                life.journal.completed(.success(()))
            } catch { life.journal.completed(.failure(error)) }
        }
        tellAllowance()
    }

    /// Runs jobs and checkpoints until nothing is due.
    private func settle() {
        runJobs()
        if life.node.disk.takeRefusal() { life.journal.isWanted = true }
        while life.journal.checkpointIsDue(after: 16 << 20), life.journal.beginCheckpoint() {
            var cursor: UInt64?
            repeat {
                var piece = ByteBuffer(capacity: 4_096)
                cursor = life.node.exportState(from: cursor, bytesMax: 64 << 10, into: &piece)
                var rest = ByteReader(piece.bytes)
                while rest.remaining > 0 {
                    guard let length: UInt32 = try? rest.integer(),
                        let payload = try? rest.slice(Int(length))
                    else { return }
                    if life.journal.isCheckpointing { life.journal.appendToCheckpoint(payload) }
                }
                runJobs()
            } while cursor != nil && life.journal.isCheckpointing
            if life.journal.isCheckpointing { life.journal.finishCheckpoint() }
            runJobs()
        }
    }
}

/// Typed values on a volume that they fill: deletions are taken, and give the room back.
@Suite struct TypedDiskTests {
    /// Commands that add and that remove so many elements of one type.
    private struct Kind: Sendable {
        let name: String
        let add: @Sendable (inout PRNG, Int) -> [String]
        let remove: @Sendable (Int) -> [String]
    }

    private static func words(_ random: inout PRNG, _ count: Int, _ digits: Int) -> [String] {
        var bound = 1
        for _ in 0..<digits { bound *= 10 }
        return (0..<count).map { _ in String(random.below(bound)) }
    }

    /// Every state stays within what its record may take.
    private static let kinds = [
        Kind(
            name: "set", add: { ["SADD", "t:set"] + words(&$0, $1, 8) },
            remove: { ["SPOP", "t:set", "\($0)"] }),
        Kind(
            name: "short", add: { ["SADD", "t:short"] + words(&$0, $1, 4) },
            remove: { ["SPOP", "t:short", "\($0)"] }),
        Kind(
            name: "list", add: { ["RPUSH", "t:list"] + words(&$0, $1, 3) },
            remove: { ["LPOP", "t:list", "\($0)"] }),
        Kind(
            name: "hash",
            add: { ["HSET", "t:hash"] + words(&$0, $1, 6).flatMap { [$0, "v"] } },
            remove: { _ in ["DEL", "t:hash"] }),
        Kind(
            name: "sorted set",
            add: { ["ZADD", "t:zset"] + words(&$0, $1, 5).flatMap { ["1", $0] } },
            remove: { ["ZPOPMIN", "t:zset", "\($0)"] }),
        Kind(
            name: "counted hash",
            add: { random, _ in
                ["HINCRBY", "t:counts", String(random.below(3_000)), "1"]
            },
            remove: { _ in ["DEL", "t:counts"] }),
    ]

    @Test("a volume full of typed values takes deletions, gives their room back, and fills again")
    func stages() throws {
        for kind in TypedDiskTests.kinds { try tryOut(600 << 10, [kind]) }
        try tryOut(1_200 << 10, TypedDiskTests.kinds)
    }

    private func tryOut(_ capacity: Int, _ kinds: [Kind]) throws {
        let name = "\(kinds.map(\.name)) on \(capacity)"
        let volume = try NodeOnVolume(capacity)
        var random = PRNG(seed: UInt64(capacity))
        for round in 0..<3 {
            var (refusals, commands, taken) = (0, 0, 0)
            while refusals < 6, commands < 1_000 {
                let kind = kinds[commands % kinds.count]
                let reply = volume.run(kind.add(&random, [1, 20, 300][random.below(3)]))
                commands += 1
                if reply.hasPrefix("-") { refusals += 1 } else { taken += 1 }
                let isExpected =
                    !reply.hasPrefix("-") || reply.hasPrefix("-DISKFULL")
                    || reply.hasPrefix("-ERR the value would be larger")
                #expect(isExpected, "\(name): \(reply)")
            }
            #expect(taken > 0, "\(name), round \(round): a write finds room")
            volume.check()
            if round % 2 == 1 { try volume.restart() }
            for kind in kinds {
                for count in [1, 300, 1_500, 20, 1_500] {
                    guard isTaken(kind.remove(count), volume) else {
                        Issue.record("\(name), round \(round): a deletion finds no room")
                        return
                    }
                }
            }
            volume.check()
            if round == 0 { try volume.restart() }
        }
        for key in ["set", "short", "list", "hash", "zset", "counts"] {
            #expect(volume.run("DEL t:\(key)").hasPrefix(":"), "\(name)")
        }
        volume.wait()
        #expect(volume.run("SADD t:new a").hasPrefix(":1"), "\(name)")
    }

    @Test("FLUSHALL empties a volume that is full, and what follows finds its room, also restarted")
    func flushed() throws {
        let volume = try NodeOnVolume(600 << 10)
        #expect(volume.run("KEYSPACE CREATE p n=1 durability=fsync") == "+OK\r\n")
        var random = PRNG(seed: 1)
        let value = String(repeating: "v", count: 4_000)
        for round in 0..<3 {
            var (refusals, number) = (0, 0)
            while refusals < 6, number < 1_000 {
                let reply =
                    number % 2 == 0
                    ? volume.run(["SADD", "t:set"] + TypedDiskTests.words(&random, 100, 8))
                    : volume.run("SET p:\(number) \(value)")
                if reply.hasPrefix("-") { refusals += 1 }
                number += 1
            }
            #expect(number > 20 && number < 1_000, "round \(round): the volume is full")
            #expect(volume.run("FLUSHALL") == "+OK\r\n", "round \(round)")
            #expect(volume.run("DBSIZE") == ":0\r\n")
            if round == 1 { try volume.restart() }
            for _ in 0..<4 { volume.wait() }
            #expect(volume.run("DBSIZE") == ":0\r\n", "round \(round)")
            volume.check()
        }
        for number in 0..<10 {
            #expect(volume.run("SET p:\(number) \(value)") == "+OK\r\n")
        }
        try volume.restart()
        #expect(volume.run("DBSIZE") == ":10\r\n")
    }

    private func isTaken(_ command: [String], _ volume: NodeOnVolume) -> Bool {
        for _ in 0..<3 {
            guard volume.run(command).hasPrefix("-DISKFULL") else { return true }
            volume.wait()
        }
        return false
    }
}
