import Base
import Causality
import Coding
import Testing

@testable import CRDT

/// A member that is broken or hostile sends what can be read and what no honest node would write.
/// Whatever this node makes of it can be read back: else its own journal would be damaged.
@Suite("Valid states that no honest node writes")
struct HostileStateTests {
    private static let words = [
        "SET k v", "SET k v EX 900", "APPEND k x", "INCRBY k 5", "INCRBYFLOAT k 0.5", "DEL k",
        "QFLAG k ENABLE", "QFLAG k DISABLE", "SADD k a b", "SREM k a", "HSET k a 1 b x",
        "HINCRBY k a 7", "HINCRBY k b 2", "HDEL k a", "ZADD k 1 a 2 b", "ZINCRBY k 3 a",
        "ZINCRBY k inf b", "ZREM k a", "RPUSH k a b", "LPUSH k c", "LSET k 0 z", "LREM k 0 a",
        "LINSERT k BEFORE a y", "QBOUND k CREATE 0", "QBOUND k INCR 5", "QBOUND k DECR 2",
        "EXPIRE k 500", "EXPIRE k 2000", "PERSIST k", "ELAPSE k",
    ].map { $0.split(separator: " ").map(String.init) }

    private var random: PRNG

    init() { random = PRNG(seed: 10) }

    /// Runs a command a little later than all that a state has seen.
    private mutating func run(_ replica: inout CommandReplica) -> Delta? {
        let newest = (replica.state.context.newest?.stamp.milliseconds ?? 0)
        let command = Self.words[random.below(Self.words.count)]
        return replica.run(command, at: newest + 1 + UInt64(random.below(400)))
    }

    /// Two replicas' states of one key, with part of what one did known to the other.
    private mutating func states() -> [CRDTState] {
        var replicas = [CommandReplica(1), CommandReplica(2)]
        for _ in 0..<(2 + random.below(10)) {
            let index = random.below(2)
            let delta = run(&replicas[index])
            if random.below(2) == 0 { replicas[1 - index].state.join(replicas[index].state) }
            if random.below(3) == 0, let delta { _ = replicas[1 - index].state.apply(delta) }
        }
        return replicas.map(\.state)
    }

    /// Changes some bytes; small numbers where small numbers stand.
    private mutating func damaged(_ bytes: [UInt8]) -> [UInt8] {
        var bytes = bytes
        for _ in 0...random.below(3) {
            let place = random.below(bytes.count)
            switch random.below(4) {
            case 0: bytes[place] = UInt8(random.below(256))
            case 1: bytes[place] ^= 1 << UInt8(random.below(8))
            case 2: bytes[place] &+= 1
            default: bytes[place] &-= 1
            }
        }
        return bytes
    }

    /// What nodes take in: nothing that a clock which is far ahead has written.
    private func isTaken(_ context: VersionVector) -> Bool {
        (context.newest?.stamp.milliseconds ?? 0) < 1 << 40
    }

    private func isReadable(_ state: CRDTState) -> Bool {
        (try? decodedState(bytes(of: state))) == state
    }

    private mutating func damagedState(_ state: CRDTState) -> CRDTState? {
        for _ in 0..<20 {
            let bytes = damaged(bytes(of: state))
            if let read = try? decodedState(bytes), read != state, isTaken(read.context) {
                return read
            }
        }
        return nil
    }

    @Test("what joins, commands and their deltas make of changed states can be read back")
    mutating func changedStates() throws {
        var tried = 0
        for round in 0..<1_200 {
            let states = states()
            guard let damaged = damagedState(states[0]) else { continue }
            tried += 1
            var replica = CommandReplica(UInt16(1 + round % 3))
            replica.state = states[1]
            replica.state.join(damaged)
            try #require(isReadable(replica.state), "\(round): joined")
            for step in 0..<4 {
                let before = replica.state
                guard let delta = run(&replica) else { continue }
                try #require(isReadable(replica.state), "\(round): step \(step)")
                try #require((try? decodedDelta(bytes(of: delta))) == delta, "\(round): delta")
                var other = before
                try #require(other.apply(delta) == .applied)
                try #require(other == replica.state)
            }
        }
        #expect(tried > 800)
    }

    @Test("what changed deltas make of a state can be read back")
    mutating func changedDeltas() throws {
        var tried = 0
        for round in 0..<1_200 {
            var replica = CommandReplica(1)
            let states = states()
            replica.state = states[0]
            guard let delta = run(&replica) else { continue }
            let damaged = damaged(bytes(of: delta))
            guard let read = try? decodedDelta(damaged), isTaken(VersionVector(read.dot)) else {
                continue
            }
            for state in states {
                var state = state
                guard state.apply(read) == .applied else { continue }
                tried += 1
                try #require(isReadable(state), "\(round): applied")
                var next = CommandReplica(3)
                next.state = state
                _ = run(&next)
                try #require(isReadable(next.state), "\(round): next")
            }
        }
        #expect(tried > 100)
    }
}
