import Base
import Causality
import Replication
import Testing

@testable import Simulator

/// Rows of TRAPS.md, scripted.
@Suite struct ScenarioTests {
    @Test("row 3: a replica loses its copy or its counters, then coordinates a write")
    func lostCopy() {
        let scenario = Scenario(conflictSiblings: true)
        #expect(scenario.text(0, "QSET", "k:0", "first") == "+OK")
        let before = scenario.world.machines[0].lastIdentity
        scenario.crash(0)
        scenario.world.machines[0].disk = SimulatedDisk(prng: PRNG(seed: 2))
        scenario.pass(4_000)
        #expect(scenario.text(0, "QSET", "k:0", "second") == "+OK")
        #expect(scenario.siblings(1) == ["first", "second"])
        #expect(scenario.world.machines[0].lastIdentity != before)
        #expect(scenario.converges())
    }

    @Test("row 4: a node restored from an old backup never gives one dot to two events")
    func oldBackup() {
        let scenario = Scenario(conflictSiblings: true)
        _ = scenario.ask(0, "QSET", "k:0", "old")
        let backup = scenario.world.machines[0].disk.copy(prng: PRNG(seed: 2))
        let before = scenario.world.machines[0].lastIdentity
        _ = scenario.ask(0, "QSET", "k:0", "lost")
        scenario.crash(0)
        scenario.world.machines[0].disk = backup
        scenario.pass(4_000)
        _ = scenario.ask(0, "QSET", "k:0", "new")
        #expect(before.map { $0 < scenario.world.machines[0].lastIdentity ?? $0 } == true)
        // Writes without a context replace nothing, so a reused dot would cost a value.
        #expect(scenario.siblings(2) == ["lost", "new", "old"])
        #expect(scenario.converges())
    }

    @Test("row 8: of writes with equal stamps the same one wins in every merge order")
    func equalStamps() {
        let scenario = Scenario()
        var ties = 0
        for round in 0..<30 {
            let dots = scenario.writeApart(round)
            guard let last = dots.map(\.stamp).max() else { continue }
            let tied = dots.filter { $0.stamp == last }
            ties += tied.count > 1 ? 1 : 0
            // Who asks merges in an order of its own, its own state first.
            let first = round % 3
            let winner = tied.map(\.identity.node.rawValue).max() ?? 0
            let value = scenario.text(first, "GET", "k:0", "R", "3")
            #expect(value == "\(round) of \(winner)")
            scenario.pass(300)
            for node in 0..<3 { #expect(scenario.text(node, "GET", "k:0", "R", "1") == value) }
        }
        #expect(ties > 3, "equal stamps came about")
        #expect(scenario.converges())
    }

    @Test("row 9: timeout with 1 of W acknowledgements is reported as unknown")
    func unknown() {
        let scenario = Scenario()
        for other in [1, 2] {
            scenario.world.network[0, other].isCut = true
            scenario.world.network[other, 0].isCut = true
        }
        let answer = scenario.text(0, "SET", "k:0", "perhaps") ?? ""
        #expect(answer.hasPrefix("-UNKNOWN 1 of 2"), "was: \(answer)")
        for other in [1, 2] {
            scenario.world.mend(0, other)
            scenario.world.mend(other, 0)
        }
        scenario.pass(3_000)
        #expect(scenario.text(2, "GET", "k:0", "R", "3") == "perhaps")
        #expect(scenario.converges())
    }

    @Test("row 11: fsync returns EIO once; the store stops and never acknowledges")
    func failedSync() {
        let scenario = Scenario()
        scenario.world.machines[0].disk.failNextSync = true
        #expect(scenario.text(0, "SET", "k:0", "value") == nil)
        #expect(!scenario.isUp(0))
        #expect(scenario.world.counters.syncFailures == 1)
        scenario.pass(4_000)
        #expect(scenario.text(0, "SET", "k:0", "again") == "+OK")
        #expect(scenario.converges())
    }

    @Test("row 12: bit rot in the middle is named, left out, and repaired from replicas")
    func rot() throws {
        let scenario = Scenario()
        for round in 1...20 { _ = scenario.ask(0, "SET", "k:0", "value \(round)") }
        scenario.crash(0)
        let machine = scenario.world.machines[0]
        machine.isRotten = true
        let name = try #require(try machine.disk.list().first { $0.hasPrefix("journal-") })
        // Inside the second batch: a block is 4 KiB, behind the segment's header block.
        machine.disk.flip(name, bit: (2 * 4_096 + 60) * 8)
        scenario.pass(4_000)
        #expect(scenario.world.counters.rotNamed == 1)
        #expect(scenario.text(0, "GET", "k:0", "R", "3") == "value 20")
        #expect(scenario.converges())
    }

    @Test("row 12: a torn unacknowledged tail is dropped, and what was acknowledged stays")
    func tornTail() {
        for salt in UInt64(1)...6 {
            let scenario = Scenario()
            scenario.pass(salt)
            #expect(scenario.text(0, "SET", "k:0", "acknowledged") == "+OK")
            let filling = String(repeating: "x", count: 3_000)
            scenario.world.ask(0, .told, [], ["SET", "k:0", filling].map { Array($0.utf8) })
            scenario.pass(3 + salt)
            for node in 0..<3 { scenario.crash(node) }
            scenario.pass(6_000)
            let found = scenario.text(1, "GET", "k:0", "R", "3") ?? ""
            #expect(found == "acknowledged" || filling.hasPrefix(found) && !found.isEmpty)
            #expect(scenario.world.counters.rotNamed == 0)
            #expect(scenario.converges())
        }
    }

    @Test("row 13: disk full; writes refused, reads go on, recovers by itself")
    func diskFull() {
        let scenario = Scenario()
        let disk = scenario.world.machines[0].disk
        disk.faults.capacityBytes = disk.usedBytes
        let filling = String(repeating: "x", count: 3_000)
        var acknowledged = ""
        var refusal = ""
        for round in 0..<200 where refusal.isEmpty {
            let value = "\(round) \(filling)"
            let answer = scenario.text(0, "SET", "k:0", value) ?? ""
            if answer == "+OK" {
                acknowledged = value
            } else if answer.hasPrefix("-OVERLOADED") {
                // What a checkpoint gives back is waited for first.
                scenario.pass(50)
            } else {
                refusal = answer
            }
        }
        #expect(refusal.hasPrefix("-DISKFULL"), "was: \(refusal)")
        let read = scenario.text(0, "GET", "k:0") ?? "nothing"
        #expect(acknowledged.hasPrefix(read))
        disk.faults.capacityBytes = nil
        scenario.pass(3_000)
        #expect(scenario.text(0, "SET", "k:0", "room") == "+OK")
        #expect(scenario.converges())
    }

    @Test("row 20: two nodes with one id, and two clusters that touch")
    func strangers() throws {
        let scenario = Scenario()
        let process = try #require(scenario.world.machines[0].process)
        let linked = try #require(scenario.world.machines[1].lastIdentity)
        let digest = process.node.hello(to: NodeID(2)).ringDigest
        let twin = ReplicaIdentity(node: linked.node, epoch: linked.epoch + 1)
        #expect(throws: LinkRefusal.duplicate(twin, linked: linked)) {
            try process.node.admit(
                Hello(
                    clusterID: 7, identity: twin, recipient: NodeID(1), ringDigest: digest),
                dialled: nil)
        }
        #expect(throws: LinkRefusal.otherCluster(theirs: 8, own: 7)) {
            try process.node.admit(
                Hello(
                    clusterID: 8, identity: linked, recipient: NodeID(1), ringDigest: digest),
                dialled: nil)
        }
    }
}
