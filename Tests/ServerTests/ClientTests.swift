import Base
import Reactor
import Testing

@testable import Server

@Suite struct ClientTests {
    @Test("a client gets its answers in order, however its bytes arrive")
    func splitBytes() throws {
        let server = try RunningServer.single()
        var client = try TestClient(port: server.clientPort)
        try client.expect("+PONG\r\n", to: "PING\r\n")
        try client.expect("+OK\r\n$5\r\nhello\r\n$-1\r\n", to: "SET a hello\r\nGET a\r\nGET b\r\n")
        for byte in "SET b x\r\nGET b\r\n".utf8 { try client.send([byte]) }
        #expect(try client.receive(12) == "+OK\r\n$1\r\nx\r\n")
    }

    @Test("an answer that waits for the disk is not overtaken by a later one")
    func gatedOrder() throws {
        let server = try RunningServer.single()
        var client = try TestClient(port: server.clientPort)
        for _ in 0..<50 {
            try client.expect(
                "+PONG\r\n+OK\r\n+PONG\r\n+OK\r\n$1\r\n2\r\n",
                to: "PING\r\nSET a 1\r\nPING\r\nSET a 2\r\nGET a\r\n")
        }
    }

    @Test("a pipeline larger than the read buffer is answered completely and in order")
    func longPipeline() throws {
        let server = try RunningServer.single()
        var client = try TestClient(port: server.clientPort)
        let numbers = (0..<20_000).map { String(10_000 + $0) }
        try client.send(numbers.map { "ECHO \($0)\r\n" }.joined())
        let answer = numbers.map { "$5\r\n\($0)\r\n" }.joined()
        #expect(try client.receive(answer.utf8.count) == answer)
    }

    @Test("what a client that breaks off had asked is told to nobody, whoever comes in that turn")
    func brokenOff() throws {
        let plan = try ClusterPlan(nodes: 1)
        var server = try Server(plan.configuration(1), log: .silent)
        let port = server.clientAddress.port
        var first = try TestClient(port: port)
        let stranger = try TestClient(port: server.linkAddress.port)
        try first.send("SET key secret\r\n")
        while try !first.hasReceived() { try server.runTurn() }
        #expect(try first.receive(5) == "+OK\r\n")
        try first.send("GET key\r\n")
        first.breakOff()
        _ = consume first
        try stranger.send("x")
        var second = try TestClient(port: port)
        for _ in 0..<3 { try server.runTurn() }
        #expect(try second.hasReceived() == false)
        try second.send("PING\r\n")
        while try !second.hasReceived() { try server.runTurn() }
        #expect(try second.receive(7) == "+PONG\r\n")
    }

    @Test("a value larger than the read buffer crosses both ways")
    func largeValue() throws {
        let server = try RunningServer.single()
        var client = try TestClient(port: server.clientPort)
        let value = String(repeating: "v", count: 700_000)
        try client.expect("+OK\r\n", to: "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$700000\r\n\(value)\r\n")
        try client.expect("$700000\r\n\(value)\r\n", to: "GET k\r\n")
    }

    @Test("a protocol error is answered and closes that connection only")
    func protocolError() throws {
        let server = try RunningServer.single()
        var other = try TestClient(port: server.clientPort)
        var client = try TestClient(port: server.clientPort)
        try client.send("*abc\r\n")
        #expect(try client.receiveToEnd().hasPrefix("-ERR Protocol error"))
        try other.expect("+PONG\r\n", to: "PING\r\n")
    }

    @Test("what was answered before a close reaches the client")
    func closeAfterReplies() throws {
        let server = try RunningServer.single()
        var client = try TestClient(port: server.clientPort)
        try client.send("PING\r\nQUIT\r\n")
        #expect(try client.receiveToEnd() == "+PONG\r\n+OK\r\n")
    }

    @Test("a client that has closed its sending half still gets its answers")
    func halfClosed() throws {
        let server = try RunningServer.single()
        var client = try TestClient(port: server.clientPort)
        try client.send("SET a 1\r\nGET a\r\n")
        client.endSending()
        #expect(try client.receiveToEnd() == "+OK\r\n$1\r\n1\r\n")
    }

    @Test("a request of too many arguments: the client can send all of it and reads the error")
    func tooManyArguments() throws {
        let server = try RunningServer.single()
        var client = try TestClient(port: server.clientPort)
        let rest = String(repeating: "$1\r\na\r\n", count: 1_048_577)
        let isSent = try client.send("*1048577\r\n" + rest)
        #expect(isSent)
        #expect(
            try client.receiveToEnd() == "-ERR Protocol error: invalid multibulk length\r\n")
        var other = try TestClient(port: server.clientPort)
        try other.expect("+PONG\r\n", to: "PING\r\n")
        server.stop()
    }

    @Test("a client over the limit is told so; a place that becomes free is given away again")
    func connectionLimit() throws {
        let server = try RunningServer.single { $0.limits.clientsMax = 2 }
        var first = try TestClient(port: server.clientPort)
        try first.expect("+PONG\r\n", to: "PING\r\n")
        var second = try TestClient(port: server.clientPort)
        try second.expect("+PONG\r\n", to: "PING\r\n")
        var third = try TestClient(port: server.clientPort)
        #expect(try third.receiveToEnd() == "-ERR max number of clients reached\r\n")
        try second.send("QUIT\r\n")
        #expect(try second.receiveToEnd() == "+OK\r\n")
        var fourth = try TestClient(port: server.clientPort)
        try fourth.expect("+PONG\r\n", to: "PING\r\n")
        try first.expect("+PONG\r\n", to: "PING\r\n")
        server.stop()
        let counters = try server.counters
        #expect(counters.clientsAccepted == 3 && counters.clientsRefused == 1)
    }

    @Test("a client that reads late finds its requests waiting for it; others are served")
    func slowReader() throws {
        let server = try RunningServer.single { $0.limits.clientOutputBytesMax = 4 << 20 }
        var other = try TestClient(port: server.clientPort)
        let value = String(repeating: "v", count: 500_000)
        try other.expect("+OK\r\n", to: "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$500000\r\n\(value)\r\n")
        var client = try TestClient(port: server.clientPort)
        for _ in 0..<60 { try client.send("GET k\r\n") }
        for _ in 0..<100 { try other.expect("+PONG\r\n", to: "PING\r\n") }
        let answer = "$500000\r\n\(value)\r\n"
        for _ in 0..<60 { #expect(try client.receive(answer.utf8.count) == answer) }
        server.stop()
        #expect(try server.counters.clientsOverOutputLimit == 0)
    }

    @Test("a client whose one reply exceeds what may wait for it is disconnected")
    func replyOverLimit() throws {
        let server = try RunningServer.single { $0.limits.clientOutputBytesMax = 64 << 10 }
        var other = try TestClient(port: server.clientPort)
        let value = String(repeating: "v", count: 900_000)
        try other.expect("+OK\r\n", to: "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$900000\r\n\(value)\r\n")
        var client = try TestClient(port: server.clientPort)
        try client.send("MGET k k k k k k k k k k k k k k k k k k k k\r\n")
        for _ in 0..<100 { try other.expect("+PONG\r\n", to: "PING\r\n") }
        #expect(try client.receiveToEnd().utf8.count < 18_000_000)
        server.stop()
        #expect(try server.counters.clientsOverOutputLimit == 1)
    }

    @Test("many clients are served side by side and their places are used again")
    func manyClients() throws {
        let server = try RunningServer.single()
        for _ in 0..<20 {
            try serveSome(server.clientPort, count: 20)
        }
        server.stop()
        #expect(try server.counters.clientsAccepted == 400)
    }

    private func serveSome(_ port: UInt16, count: Int) throws {
        guard count > 0 else { return }
        var client = try TestClient(port: port)
        try client.expect("+PONG\r\n", to: "PING\r\n")
        try serveSome(port, count: count - 1)
        try client.expect("$1\r\nx\r\n", to: "ECHO x\r\n")
    }
}
