import Causality
import Coding

@testable import Replication

/// The kinds of messages and of journal payloads that the decoders know, found by asking them: a
/// kind that is new is one that the fuzzers have to compose.
enum KnownKinds {
    static let messages: [UInt8] = (0...UInt8.max).filter { kind in
        refusal(HostileMessage.bytes(kind, [UInt8](repeating: 0, count: 64)))
            != .invalid("message kind is unknown")
    }

    static let journal = (0...UInt8.max).compactMap { JournalKind(rawValue: $0) }

    static let statuses = (0...UInt8.max).filter { ReplicaStatus(rawValue: $0) != nil }

    /// Why a message is malformed; nil for one that is not.
    static func refusal(_ message: [UInt8]) -> DecodeError? {
        message.withUnsafeBytes { bytes in
            do throws(DecodeError) {
                _ = try Message(decoding: bytes)
                return nil
            } catch {
                return error
            }
        }
    }
}
