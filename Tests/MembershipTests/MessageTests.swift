import Base
import Coding
import Membership
import Testing

@Suite("Membership messages as bytes")
struct MessageTests {
    private func randomIdentity(_ random: inout PRNG) -> ReplicaIdentity {
        ReplicaIdentity(
            node: NodeID(UInt16(1 + random.below(12))), epoch: UInt64(random.below(4)))
    }

    private func randomRecord(_ random: inout PRNG) -> MemberRecord {
        MemberRecord(
            randomIdentity(&random), MemberState(rawValue: UInt8(random.below(5))) ?? .alive,
            incarnation: random.below(20) == 0 ? .max : UInt32(random.below(4)),
            admission: UInt16(random.below(30) / 28))
    }

    private func randomContent(_ random: inout PRNG) -> MembershipMessage.Content {
        let sequence = UInt32(random.below(9))
        let (after, through) = (UInt16(random.below(9)), UInt16(random.below(12)))
        let records = (0..<random.below(6)).map { _ in randomRecord(&random) }
        switch random.below(8) {
        case 0: return .ping(sequence: sequence, target: randomIdentity(&random))
        case 1: return .pingRequest(sequence: sequence, target: randomIdentity(&random))
        case 2: return .ack(sequence: sequence)
        case 3: return .nack(sequence: sequence)
        case 4: return .compare(after: after, through: through, digest: random.next())
        case 5: return .agreed(after: after, through: through)
        case 6: return .page(after: after, through: through, records)
        default: return .records(records)
        }
    }

    private func randomMessage(_ random: inout PRNG) -> MembershipMessage {
        var sender = randomRecord(&random)
        sender.state = random.below(8) == 0 ? .left : .alive
        return MembershipMessage(
            sender: sender, content: randomContent(&random),
            updates: (0..<random.below(5)).map { _ in
                let record = randomRecord(&random)
                let isAccused = record.state == .suspect && random.below(2) == 0
                return MemberUpdate(record, accuser: isAccused ? randomIdentity(&random) : nil)
            })
    }

    @Test("what is encoded is decoded, in as many bytes as were announced; no prefix is")
    func roundTrip() throws {
        var random = PRNG(seed: 1)
        for _ in 0..<2_000 {
            let message = randomMessage(&random)
            var buffer = ByteBuffer()
            message.encode(into: &buffer)
            #expect(buffer.count == message.encodedBytes)
            #expect(buffer.count <= MembershipMessage.encodedBytesMax)
            #expect(try MembershipMessage(decoding: buffer.bytes) == message)
            let cut = random.below(buffer.count)
            #expect(throws: DecodeError.self) {
                try MembershipMessage(decoding: buffer[0..<cut])
            }
        }
    }

    @Test("random bytes, and messages with a flipped byte, are refused or read, never a trap")
    func noise() {
        var random = PRNG(seed: 2)
        var read = 0
        for round in 0..<20_000 {
            var buffer = ByteBuffer()
            if round % 2 == 0 {
                for _ in 0..<random.below(80) { buffer.append(UInt8(random.below(256))) }
                if buffer.count > 1 { buffer.store(UInt8(random.below(9)), at: 0) }
            } else {
                randomMessage(&random).encode(into: &buffer)
                buffer.store(UInt8(random.below(256)), at: random.below(buffer.count))
            }
            if (try? MembershipMessage(decoding: buffer.bytes)) != nil { read += 1 }
        }
        #expect(read > 1_000 && read < 19_000)
    }

    @Test("a member survives whatever it is told, and its invariants with it")
    func hostile() {
        var ends = 0
        for seed in UInt64(1)...150 {
            var random = PRNG(seed: seed)
            var configuration = MembershipConfiguration()
            configuration.membersMax = 8
            var subject = Subject(others: 2...4, configuration)
            for _ in 0..<60 {
                let message = randomMessage(&random)
                _ = subject.step(.received(message, from: message.sender.node))
                if random.below(4) == 0 {
                    _ = subject.pass(milliseconds: UInt64(random.below(1_500)))
                }
                if random.below(20) == 0 {
                    let node = NodeID(UInt16(2 + random.below(9)))
                    _ = subject.step(random.below(2) == 0 ? .remove(node) : .readmit(node))
                }
            }
            ends += subject.membership.end == nil ? 0 : 1
            #expect(subject.membership.members.count <= 8)
        }
        #expect(ends > 0)
    }
}
