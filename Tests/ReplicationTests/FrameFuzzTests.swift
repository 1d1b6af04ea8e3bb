import Base
import Coding
import Glibc
import Testing

@testable import Replication

/// How many mutated messages or frames a test takes.
enum FuzzCount {
    /// `QUORATE_FUZZ` asks for another number.
    static let rounds = getenv("QUORATE_FUZZ").flatMap { Int(String(cString: $0)) } ?? 30_000
}

@Suite("Mutated frames between nodes")
struct FrameFuzzTests {
    /// Takes a link's bytes apart as the server does.
    ///
    /// - Returns: the payloads, and whether the link was closed for what came behind them.
    private func payloads(_ stream: [UInt8]) -> (taken: [[UInt8]], isClosed: Bool) {
        var taken: [[UInt8]] = []
        return stream.withUnsafeBytes { stream in
            var offset = 0
            while true {
                do throws(DecodeError) {
                    let rest = UnsafeRawBufferPointer(rebasing: stream[offset...])
                    guard let frame = try Frame.next(in: rest, payloadMax: 1 << 20) else {
                        return (taken, false)
                    }
                    taken.append(Array(frame.payload))
                    offset += frame.consumed
                } catch {
                    return (taken, true)
                }
            }
        }
    }

    @Test("what was damaged below the checksum never becomes a message, and closes the link")
    func damagedFrames() {
        let frames = Cluster.recordedFrames()
        let known = Set(frames.map { Array($0.dropFirst(Frame.headerBytes)) })
        var mutation = Mutation(seed: 5, messages: frames.map { Array($0.dropFirst(8)) })
        var (closed, cut, foreign) = (0, 0, 0)
        for _ in 0..<FuzzCount.rounds {
            let count = 1 + mutation.random.below(4)
            let whole = (0..<count).map { _ in frames[mutation.random.below(frames.count)] }
            var stream = whole.flatMap { $0 }
            mutation.damage(&stream)
            let (taken, isClosed) = payloads(stream)
            foreign += taken.count { !known.contains($0) }
            if isClosed { closed += 1 } else if taken.count < count { cut += 1 }
        }
        #expect(foreign == 0)
        #expect(closed > FuzzCount.rounds / 4)
        #expect(cut > FuzzCount.rounds / 40)
    }

    @Test("frames that are repeated or swapped come out as they are")
    func swappedFrames() {
        let frames = Cluster.recordedFrames()
        var random = PRNG(seed: 6)
        for _ in 0..<300 {
            let some = (0..<6).map { _ in frames[random.below(frames.count)] }
            let taken = payloads(some.flatMap { $0 })
            #expect(taken.taken == some.map { Array($0.dropFirst(Frame.headerBytes)) })
            #expect(!taken.isClosed)
        }
    }

    @Test("a damaged greeting is none, or the one that was sent")
    func damagedGreetings() {
        let hello = Hello(
            clusterID: 7, identity: ReplicaIdentity(node: NodeID(2), epoch: 5),
            recipient: NodeID(1), ringDigest: 3)
        var encoded = ByteBuffer()
        hello.encode(into: &encoded)
        let original = Array(encoded.bytes)
        var mutation = Mutation(
            seed: 7, messages: (1...19).map { [UInt8($0)] + [UInt8](repeating: 7, count: 40) })
        var (refused, wrong) = (0, 0)
        for _ in 0..<FuzzCount.rounds {
            var bytes = original
            mutation.damage(&bytes)
            bytes.withUnsafeBytes { bytes in
                do throws(DecodeError) {
                    if let next = try Hello.next(in: bytes)?.hello, next != hello {
                        wrong += 1
                    }
                } catch {
                    refused += 1
                }
            }
        }
        #expect(wrong == 0)
        #expect(refused > FuzzCount.rounds / 3)
    }
}
