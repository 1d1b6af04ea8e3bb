import Base
import Testing

@testable import Lab

@Suite("What a demo reports")
struct DemoReportTests {
    private func keyspace(_ name: String, _ durability: String, lost: Int) throws -> KeyspaceLoad {
        var random = PRNG(seed: 1)
        let plan = KeyspaceLoad.Plan(
            name: name,
            settings: try KeyspaceOverrides(assignments: ["r=1", "w=1", "durability=" + durability]
            ),
            rate: 10, probers: 1)
        var load = KeyspaceLoad(plan, phases: 2, random: &random)
        load.lost = lost
        load.verified = 100
        let request = LoadRequest(
            keyspace: 0, purpose: .write(key: 0, number: 1), intended: 1_000_000, sent: 2_000_000)
        load.writes.record(
            LoadCompletion(request: request, outcome: .done(.simple("OK")), at: 4_000_000))
        load.curves[1].record(at: 3, delay: 1, behind: 2)
        return load
    }

    private func report(
        _ keyspaces: [KeyspaceLoad], problems: [String] = [], lag: UInt64 = 0
    ) -> DemoReport {
        var histogram = Histogram()
        histogram.record(lag)
        return DemoReport(
            seconds: 1, keyspaces: keyspaces, lag: histogram,
            timeline: [DemoReport.Moment(nanoseconds: 1_500_000_000, event: "node 3 killed")],
            problems: problems)
    }

    @Test("a loss breaks the promise of a keyspace that syncs first, and of no other")
    func verdicts() throws {
        let safe = try keyspace("safe", "fsync", lost: 0)
        let broken = try keyspace("broken", "fsync", lost: 3)
        let lossy = try keyspace("lossy", "interval(100)", lost: 3)
        #expect(report([lossy, safe]).verdict == .holds)
        #expect(report([lossy, safe, broken]).verdict == .violated)
        #expect(report([broken]).finding.contains("3 acknowledged writes of broken were lost"))
        #expect(report([lossy, safe]).finding.contains("none of the 100 writes"))
    }

    @Test("an experiment with problems, a late generator among them, has no verdict")
    func unknown() throws {
        let safe = try keyspace("safe", "fsync", lost: 0)
        #expect(report([safe], problems: ["x"]).verdict == .unknown)
        #expect(report([safe], lag: DemoReport.lagMax + 1_000_000).verdict == .unknown)
        #expect(report([safe], lag: DemoReport.lagMax).verdict == .holds)
        #expect(report([safe], problems: ["x"]).finding == "No verdict: x.")
    }

    @Test("corrected latency counts from when it was due, service from when it was sent")
    func latencies() throws {
        let load = try keyspace("k", "fsync", lost: 0)
        #expect(load.writes.corrected.maximum == 3_000_000)
        #expect(load.writes.service.maximum == 2_000_000)
    }

    @Test("the text fits a terminal, and the JSON says the same")
    func output() throws {
        let report = report([try keyspace("fast", "fsync", lost: 0)])
        #expect(report.lines.count <= 40)
        #expect(report.lines.first == "1.5 s  node 3 killed")
        #expect(report.lines.contains { $0.contains("fast r=1 w=1 fsync") && $0.contains("100.0 %") })
        let json = try JSON(parsing: report.json.line)
        #expect(json["verdict"] == "holds")
        guard case .list(let keyspaces)? = json["keyspaces"] else {
            Issue.record("no keyspaces")
            return
        }
        #expect(keyspaces[0]["probes"]?["k"] == 2)
        #expect(keyspaces[0]["writes"]?["correctedMs"]?["p99"] == .number(3))
        #expect(keyspaces[0]["lost"] == 0)
    }

    @Test(
        "numbers are rounded, not cut",
        arguments: [
            (0.0, 2, "0.00"), (1.005, 1, "1.0"), (12.349, 2, "12.35"), (-0.04, 1, "0.0"),
            (-1.26, 1, "-1.3"), (99.5, 0, "100"), (0.007, 2, "0.01"),
        ])
    func decimals(value: Double, places: Int, text: String) {
        #expect(DemoReport.decimals(value, places) == text)
    }

    @Test("faults come in order, each cut is healed, each killed node restarted, within the run")
    func script() {
        let moments = Demo.script.map(\.sixtieths)
        #expect(moments == moments.sorted() && moments.allSatisfy { $0 > 0 && $0 < 60 })
        #expect(
            Demo.script.map(\.event) == [
                .kill(NodeID(3)), .restart(NodeID(3)), .cut(NodeID(1), NodeID(2)),
                .heal(NodeID(1), NodeID(2)),
            ])
    }

    @Test("a table's columns are as wide as their widest cell, numbers on the right")
    func table() {
        var table = TextTable(["a", "long", "c"])
        table.add(["1", "x", "22"])
        table.add(["333", "yy", "z"])
        #expect(table.lines == ["a    long  c", "  1  x     22", "333  yy    z"])
    }
}
