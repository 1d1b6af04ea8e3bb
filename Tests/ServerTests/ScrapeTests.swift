import Base
import Membership
import Reactor
import Replication
import Testing

@testable import Server

@Suite("Metrics over HTTP")
struct ScrapeTests {
    private func single(
        _ adjust: (inout Server.Configuration) -> Void = { _ in }
    ) throws -> RunningServer {
        try .single { configuration in
            configuration.metricsPort = 0
            adjust(&configuration)
        }
    }

    /// Sends a request and returns everything up to the end of the connection.
    private func ask(_ server: RunningServer, _ request: String) throws -> String {
        var client = try TestClient(port: try #require(server.metricsPort))
        try client.send(request)
        return try client.receiveToEnd()
    }

    private func parts(_ answer: String) throws -> (head: String, body: String) {
        let end = try #require(answer.firstRange(of: "\r\n\r\n"))
        return (String(answer[..<end.lowerBound]), String(answer[end.upperBound...]))
    }

    private func scrape(_ server: RunningServer) throws -> ScrapedMetrics {
        let answer = try ask(server, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        return try ScrapedMetrics(parsing: try parts(answer).body)
    }

    @Test("no listener unless the configuration says so")
    func offByDefault() throws {
        #expect(try RunningServer.single().metricsPort == nil)
    }

    @Test("a scrape is Prometheus text of the length that its head says, and the connection ends")
    func scrapes() throws {
        let server = try single()
        let request = "GET /metrics?x=1 HTTP/1.1\r\nHost: localhost:1\r\nAccept: */*\r\n\r\n"
        let (head, body) = try parts(try ask(server, request))
        let lines = head.split(separator: "\r\n")
        #expect(lines.first == "HTTP/1.1 200 OK")
        #expect(lines.contains("Content-Type: text/plain; version=0.0.4; charset=utf-8"))
        #expect(lines.contains("Content-Length: \(body.utf8.count)"))
        #expect(lines.contains("Connection: close"))
        let metrics = try ScrapedMetrics(parsing: body)
        #expect(metrics.types["process_cpu_seconds_total"] == "counter")
        #expect(try #require(metrics["process_resident_memory_bytes"]) > 1_000_000)
        #expect(metrics["quorate_build_info{release=\"\(Server.release)\"}"] == 1)
    }

    @Test("what clients did is in it: latencies, outcomes, contents, syncs, connections")
    func contents() throws {
        let server = try single()
        var client = try TestClient(port: server.clientPort)
        for number in 0..<7 { try client.expect("+OK\r\n", to: "SET k\(number) v\r\n") }
        for _ in 0..<5 { try client.expect("$1\r\nv\r\n", to: "GET k1\r\n") }
        try client.expect(":1\r\n", to: "DEL k2\r\n")
        let metrics = try scrape(server)
        let read = "{keyspace=\"default\",operation=\"read\""
        let write = "{keyspace=\"default\",operation=\"write\""
        #expect(metrics["quorate_operation_duration_seconds_count\(read)}"] == 5)
        #expect(metrics["quorate_operation_duration_seconds_count\(write)}"] == 8)
        #expect(try #require(metrics["quorate_operation_duration_seconds_sum\(write)}"]) > 0)
        #expect(metrics["quorate_operations_total\(write),outcome=\"ok\"}"] == 8)
        #expect(metrics["quorate_operations_total\(write),outcome=\"unknown\"}"] == 0)
        #expect(metrics["quorate_keyspace_keys{keyspace=\"default\"}"] == 6)
        #expect(metrics["quorate_keyspace_records{keyspace=\"default\"}"] == 6)
        // Six records of 32 bytes of header, 2 of key and 1 of value.
        #expect(metrics["quorate_keyspace_record_bytes{keyspace=\"default\"}"] == 210)
        #expect(metrics["quorate_clients"] == 1)
        #expect(metrics["quorate_commands_total"] == 13)
        let batches = try #require(metrics["quorate_journal_batches_total"])
        #expect(batches >= 1 && batches == metrics["quorate_journal_sync_duration_seconds_count"])
    }

    @Test("what is right of keyspaces and nodes is told as 0, and what is not as how much")
    func zeroes() throws {
        var settings = KeyspaceSettings()
        settings.replicationFactor = 1
        let server = try single { $0.node.keyspaces = [(Array("k".utf8), settings)] }
        for (name, value) in [("conflicted", 0.0), ("configuration_differs", 0)] {
            #expect(try scrape(server)["quorate_keyspace_\(name){keyspace=\"k\"}"] == value)
        }
        try TestClient.insist(
            "+OK\r\n", "KEYSPACE ALTER k ttl=5 siblings=7\r\n", port: server.clientPort)
        let differs = "quorate_keyspace_configuration_differs{keyspace=\"k\"}"
        #expect(try scrape(server)[differs] == 2)
        let byDefault = "quorate_keyspace_configuration_differs{keyspace=\"default\"}"
        #expect(try scrape(server)[byDefault] == 0)
        #expect(try scrape(try single())[byDefault] == 0)
    }

    @Test("every counter of the node is there, with a help of its own")
    func everyCounter() throws {
        let metrics = try scrape(try single())
        for (name, _) in NodeCounters().named {
            #expect(metrics["quorate_\(name)_total"] != nil)
            #expect(MetricsHelp.nodeCounters[name] != nil)
        }
        #expect(MetricsHelp.nodeCounters.count == NodeCounters().named.count)
        let members = metrics.values.keys.filter { $0.hasPrefix("quorate_membership_") }
        for (name, _, _) in MembershipCounters().named {
            #expect(members.contains("quorate_membership_\(name)_total"))
        }
    }

    @Test("a record that a replica refuses for its size is counted where it is refused")
    func refusedTooLarge() throws {
        let plan = try ClusterPlan(nodes: 2)
        let servers = try (1...2 as ClosedRange<UInt16>).map { number in
            var configuration = plan.configuration(number)
            configuration.metricsPort = 0
            if number == 2 { configuration.node.recordBytesMax = 20_000 }
            return try RunningServer(configuration, in: plan.directory)
        }
        try TestClient.insist("+OK\r\n", "SET k v W ALL\r\n", port: servers[0].clientPort)
        for server in servers {
            #expect(try scrape(server)["quorate_refused_too_large_total"] == 0)
        }
        let value = String(repeating: "v", count: 40_000)
        var client = try TestClient(port: servers[0].clientPort)
        try client.send("SET k \(value) W ALL\r\n")
        #expect(try client.receiveLine().hasPrefix("-"))
        #expect(try scrape(servers[0])["quorate_refused_too_large_total"] == 0)
        let refused = try #require(try scrape(servers[1])["quorate_refused_too_large_total"])
        #expect(refused >= 1)
    }

    @Test("a hint for which there is no room is counted where it is refused")
    func hintsRefused() throws {
        let plan = try ClusterPlan(nodes: 4)
        let servers = try (1...3 as ClosedRange<UInt16>).map { number in
            var configuration = plan.configuration(number)
            configuration.metricsPort = 0
            configuration.node.hintBytesMax = 2_000
            return try RunningServer(configuration, in: plan.directory)
        }
        func sum(_ name: String) throws -> Double {
            try servers.reduce(0) { sum, server in
                let series = try scrape(server).values.filter { $0.key.hasPrefix(name) }
                return sum + series.values.reduce(0, +)
            }
        }
        let port = servers[0].clientPort
        try TestClient.insist("+OK\r\n", "KEYSPACE CREATE s n=3 w=1 sloppy=on\r\n", port: port)
        #expect(try sum("quorate_hints_refused_total") == 0)
        var client = try TestClient(port: port)
        let value = String(repeating: "v", count: 1_500)
        for key in 0..<40 { try client.expect("+OK\r\n", to: "SET s:\(key) \(value)\r\n") }
        let (kept, refused) = (try sum("quorate_hints{"), try sum("quorate_hints_refused_total"))
        #expect(kept >= 1 && kept <= 3)
        #expect(refused >= 1)
    }

    @Test("HEAD has the head of GET and nothing else")
    func headOnly() throws {
        let server = try single()
        let answer = try ask(server, "HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        let (head, body) = try parts(answer)
        #expect(head.hasPrefix("HTTP/1.1 200 OK\r\n") && body.isEmpty)
        #expect(head.contains("Content-Length: ") && !head.contains("Content-Length: 0"))
    }

    @Test(
        "other requests are refused by their status",
        arguments: [
            ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", "404 Not Found"),
            ("GET /metricsx HTTP/1.1\r\nHost: x\r\n\r\n", "404 Not Found"),
            ("POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab", "405 Method"),
            ("get /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "405 Method"),
            ("GET /metrics HTTP/1.1\r\n\r\n", "400 Bad"),
            ("GET /metrics HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", "400 Bad"),
            ("GET /metrics HTTP/1.1\r\nHost : x\r\n\r\n", "400 Bad"),
            ("GET /metrics HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n", "400 Bad"),
            ("GET /metrics HTTP/2.0\r\nHost: x\r\n\r\n", "400 Bad"),
            ("GET  /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "400 Bad"),
            ("GET /metrics\r\n\r\n", "400 Bad"),
            ("GET /met\0rics HTTP/1.1\r\nHost: x\r\n\r\n", "400 Bad"),
            ("*1\r\n$4\r\nPING\r\n\r\n", "400 Bad"),
            ("\r\n\r\n", "400 Bad"),
            ("GET /metrics HTTP/1.0\r\n\r\n", "200 OK"),
            ("GET /metrics HTTP/1.1\nHost: x\n\n", "200 OK"),
        ])
    func statuses(_ request: String, _ status: String) throws {
        let answer = try ask(try single(), request)
        #expect(answer.hasPrefix("HTTP/1.1 \(status)"))
    }

    @Test("bytes that are no text are refused, whatever they are")
    func noise() throws {
        let server = try single()
        var random = PRNG(seed: 5)
        for _ in 0..<200 {
            var client = try TestClient(port: try #require(server.metricsPort))
            let bytes = (0..<random.below(300)).map { _ in UInt8(random.below(256)) }
            try client.send(bytes + Array("\r\n\r\n".utf8))
            #expect(try client.receiveToEnd().hasPrefix("HTTP/1.1 400 Bad"))
        }
        #expect(try scrape(server)["quorate_scrapes_refused_total"] == 200)
    }

    @Test("a head in single bytes is read; one that does not end is refused at 8 KiB")
    func headSizes() throws {
        let server = try single()
        var client = try TestClient(port: try #require(server.metricsPort))
        for byte in "GET / HTTP/1.1\r\nHost: x\r\n\r\n".utf8 { try client.send([byte]) }
        #expect(try client.receiveToEnd().hasPrefix("HTTP/1.1 404"))
        let tail = String(repeating: "a", count: 90_000)
        let endless = "GET /metrics HTTP/1.1\r\nHost: x\r\nX: " + tail
        #expect(try ask(server, endless).hasPrefix("HTTP/1.1 431"))
        let padding = String(repeating: "a", count: 8_000)
        let large = "GET /metrics HTTP/1.1\r\nHost: x\r\nX: \(padding)\r\n\r\n"
        #expect(try ask(server, large).hasPrefix("HTTP/1.1 200"))
    }

    @Test("who does not finish its request is closed by the deadline; clients are served")
    func slowClient() throws {
        let server = try single { $0.limits.scrapeMilliseconds = 50 }
        var slow = try TestClient(port: try #require(server.metricsPort))
        try slow.send("GET /metrics HTTP/1.1\r\nHost:")
        var client = try TestClient(port: server.clientPort)
        try client.expect("+PONG\r\n", to: "PING\r\n")
        #expect(try slow.receiveToEnd() == "")
        try client.expect("+PONG\r\n", to: "PING\r\n")
        server.stop()
        #expect(try server.counters.scrapesCutShort == 1)
    }

    @Test("who does not close its side of an answered connection is closed by the deadline too")
    func neverClosing() throws {
        let server = try single { $0.limits.scrapeMilliseconds = 50 }
        var client = try TestClient(port: try #require(server.metricsPort))
        try client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(try client.receiveToEnd().hasPrefix("HTTP/1.1 404"))
        while try client.send("x") {}
    }

    @Test("one connection more than the limit ends the oldest, so a scraper always gets in")
    func tooManyConnections() throws {
        let server = try single { $0.limits.scrapesMax = 3 }
        let port = try #require(server.metricsPort)
        var first = try TestClient(port: port)
        var second = try TestClient(port: port)
        var third = try TestClient(port: port)
        for _ in 0..<5 { _ = try scrape(server) }
        #expect(try first.receiveToEnd() == "")
        try third.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(try third.receiveToEnd().hasPrefix("HTTP/1.1 404"))
        second.endSending()
        #expect(try second.receiveToEnd() == "")
    }

    @Test("an open connection for metrics does not hold up a stop")
    func stopping() throws {
        let server = try single()
        let idle = try TestClient(port: try #require(server.metricsPort))
        _ = try scrape(server)
        #expect(server.stop() == .stopped)
        _ = consume idle
    }

    @Test("label values are escaped as the format asks")
    func escaping() throws {
        var text = MetricsText()
        text.family("a", .gauge, "Help.")
        text.sample(-3, [("x", "back\\slash \"quote\" line\nend"), ("y", "ü")])
        let written = String(decoding: text.buffer.bytes, as: UTF8.self)
        #expect(written.hasSuffix("\na{x=\"back\\\\slash \\\"quote\\\" line\\nend\",y=\"ü\"} -3\n"))
        let read = try ScrapedMetrics(parsing: written)
        #expect(read.values.values.first == -3)
    }
}
