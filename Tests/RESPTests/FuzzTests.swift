import Base
import Glibc
import Testing

@testable import RESP

/// Bytes that end where memory ends, so that reading past them kills the test.
final class GuardedBytes {
    private let pages: UnsafeMutableRawPointer
    static let capacity = 4096

    init() {
        pages = mmap(nil, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        precondition(mprotect(pages + 4096, 4096, PROT_NONE) == 0)
    }

    deinit { munmap(pages, 8192) }

    func place(_ bytes: ArraySlice<UInt8>) -> UnsafeRawBufferPointer {
        let start = pages + (GuardedBytes.capacity - bytes.count)
        let target = UnsafeMutableRawBufferPointer(start: start, count: bytes.count)
        target.copyBytes(from: bytes)
        return UnsafeRawBufferPointer(target)
    }
}

@Suite("Random and mutated streams")
struct FuzzTests {
    /// `QUORATE_FUZZ` asks for another number of streams.
    static let rounds = getenv("QUORATE_FUZZ").flatMap { Int(String(cString: $0)) } ?? 100_000

    static let seeds: [[UInt8]] = [
        encoded("SET", "key:1", "value"), encoded("GET", "k"), encoded("MSET", "a", "1", "b", ""),
        Array("*0\r\n\r\nPING\r\n".utf8), Array("set k \"a\\x00b\" 'it\\'s'\r\n".utf8),
        Array("*-1\r\n*1\r\n$4\r\nPING\r\n".utf8), Array("*3\r\n$3\r\nSET\r\n$1\r\nx\r\n".utf8),
        encoded("SCAN", "0", "MATCH", "a*[b-c]?", "COUNT", "10"),
        Array("*1048576\r\n$0\r\n\r\n".utf8),
        Array("GET / HTTP/1.1\r\nHost: x\r\n".utf8), Array("*1\r\n$536870912\r\n".utf8),
    ]

    static let alphabet = Array("*$-:0123456789\r\n\r\n \"'\\xaGETSET".utf8)

    static func mutated(_ random: inout PRNG) -> [UInt8] {
        var stream: [UInt8] = []
        for _ in 0...random.below(3) { stream += seeds[random.below(seeds.count)] }
        for _ in 0..<random.below(6) where !stream.isEmpty {
            let place = random.below(stream.count)
            switch random.below(5) {
            case 0: stream[place] = UInt8(random.below(256))
            case 1: stream[place] = alphabet[random.below(alphabet.count)]
            case 2: stream.insert(alphabet[random.below(alphabet.count)], at: place)
            case 3: stream.remove(at: place)
            default: stream.removeLast(random.below(stream.count - place))
            }
        }
        return stream
    }

    @Test("Requests of random words come out as they went in, in pieces of any size")
    func roundTrip() {
        var random = PRNG(seed: 1)
        for _ in 0..<500 {
            let requests = (0...random.below(4)).map { _ in
                (0...random.below(12)).map { _ in
                    (0..<random.below(40)).map { _ in UInt8(random.below(256)) }
                }
            }
            let stream = requests.flatMap { encoded($0) }
            var connection = Connection()
            var rest = stream[...]
            while !rest.isEmpty {
                let size = 1 + random.below(60)
                connection.receive(rest.prefix(size))
                rest = rest.dropFirst(size)
            }
            #expect(connection.requests == requests && connection.error == nil)
        }
    }

    @Test("Mutated streams never trap, never read outside, and end the same when cut anywhere")
    func mutatedStreams() {
        let limits = RequestLimits(
            bulkBytesMax: 1 << 29, argumentsMax: 1 << 20, inlineBytesMax: 40,
            requestBytesMax: 1 << 30)
        let memory = GuardedBytes()
        let arena = Arena(parser: RequestParser(limits: limits), memory: memory)
        var random = PRNG(seed: 2)
        var failures = 0
        for _ in 0..<FuzzTests.rounds {
            let stream = FuzzTests.mutated(&random)
            let whole = arena.run(stream, cut: stream.count)
            let cut = arena.run(stream, cut: random.below(stream.count + 1))
            if whole != cut { failures += 1 }
        }
        #expect(failures == 0)
        #expect(arena.errors > FuzzTests.rounds / 20)
        #expect(arena.requests > FuzzTests.rounds / 20)
        #expect(arena.largestTable <= 16)
    }
}

/// Parses many streams with the same reused arguments and keeps digests only.
private final class Arena {
    let parser: RequestParser
    let memory: GuardedBytes
    var arguments = Arguments()
    var errors = 0
    var requests = 0
    var largestTable = 0

    init(parser: RequestParser, memory: GuardedBytes) {
        self.parser = parser
        self.memory = memory
    }

    struct Digest: Equatable {
        var hash: UInt64 = 14_695_981_039_346_656_037
        var requests = 0
        var error: ProtocolError?
    }

    func run(_ stream: [UInt8], cut: Int) -> Digest {
        var digest = Digest()
        var progress = ParseProgress()
        var front = 0
        for end in [cut, stream.count] where digest.error == nil {
            while advance(stream[front..<end], &progress, &digest) {
                front += arguments.consumed
            }
            front += arguments.consumed
        }
        return digest
    }

    /// - Returns: whether there was a request.
    private func advance(
        _ bytes: ArraySlice<UInt8>, _ progress: inout ParseProgress, _ digest: inout Digest
    ) -> Bool {
        let outcome = parser.parse(memory.place(bytes), &progress, into: &arguments)
        precondition(arguments.consumed <= bytes.count)
        precondition(progress.offset <= bytes.count - arguments.consumed || outcome == .complete)
        largestTable = max(largestTable, arguments.allocatedSlices)
        switch outcome {
        case .incomplete: return false
        case .failed(let error):
            errors += 1
            digest.error = error
            return false
        case .complete:
            requests += 1
            digest.requests += 1
            for index in 0..<arguments.count {
                digest.hash = keyHash(arguments[index], key: digest.hash)
            }
            return true
        }
    }
}
