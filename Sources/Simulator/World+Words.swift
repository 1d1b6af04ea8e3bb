import Base
import Causality
import Coding
import Replication

// Effects in words, for the transcript of a run that is explained.
extension World {
    func describe(_ entry: Effects.Entry, _ bytes: borrowing ByteBuffer) -> String {
        let gate = entry.gated ? " (gated)" : ""
        switch entry.effect {
        case .reply(let connection, let range):
            return "replies to connection \(connection.rawValue), \(range.count) bytes" + gate
        case .close(let connection): return "closes connection \(connection.rawValue)" + gate
        case .more(let connection): return "has more for connection \(connection.rawValue)" + gate
        case .send(let node, let range):
            return "sends \(node) \(World.describe(frame: bytes[range]))" + gate
        case .persist(let range): return "persists \(World.describe(payload: bytes[range]))"
        case .append(let range): return "appends \(World.describe(payload: bytes[range]))"
        case .notify(let token): return "waits for \(token)" + gate
        case .disconnect(let node): return "breaks the link to \(node)" + gate
        case .beginLife(let epoch): return "begins a life above \(epoch)" + gate
        }
    }

    private static func describe(frame: UnsafeRawBufferPointer) -> String {
        let payload = UnsafeRawBufferPointer(rebasing: frame[Frame.headerBytes...])
        let names = [
            "?", "replicate", "replicated", "read", "answer", "command", "command reply",
            "definitions", "definitions learned", "heartbeat", "survey", "surveyed",
            "exchange", "delta", "members", "refill", "hint", "hand-off", "known life",
        ]
        let number = payload.loadUnaligned(fromByteOffset: 2, as: UInt64.self)
        let rest = UnsafeRawBufferPointer(rebasing: payload[10...])
        let sessions = ["report", "equal trees", "session command", "session reply", "promises"]
        let kind = Int(payload[0])
        let word =
            20...24 ~= kind
            ? sessions[kind - 20] : kind == 26 ? "written" : names[min(kind, names.count - 1)]
        let name = "\(word) \(number) flag \(payload[1])"
        switch payload[0] {
        case 1, 17: return name + " " + describe(record: rest)
        case 16:
            let target = " for node \(Int(rest[0]) | Int(rest[1]) << 8) "
            return name + target + describe(record: UnsafeRawBufferPointer(rebasing: rest[10...]))
        case 3: return name + " " + String(decoding: rest, as: UTF8.self)
        case 4 where rest.isEmpty: return name + " declined"
        case 4: return name + (rest.count == 8 ? " nothing" : " " + describe(record: rest))
        case 12:
            let questions = ["roots", "branches", "leaves", "keys", "wanted", "held"]
            return "exchange of \(questions[min(Int(rest[0]), 5)]), \(rest.count) bytes"
        case 15:
            let questions = ["inquiry", "same", "sums", "differing", "states", "lacked"]
            return "refill's \(questions[min(Int(rest[0]), 5)]), \(rest.count) bytes"
        default: return name
        }
    }

    static func describe(payload: UnsafeRawBufferPointer) -> String {
        let rest = UnsafeRawBufferPointer(rebasing: payload[1...])
        switch payload[0] {
        case 1: return describe(record: rest)
        case 2: return "removal of " + String(decoding: rest, as: UTF8.self)
        case 4: return "delta"
        case 5: return "members"
        case 6: return payload[9] == 1 ? "that it is whole" : "which ranges are whole"
        case 7:
            return "hint for node \(Int(rest[0]) | Int(rest[1]) << 8) "
                + describe(record: UnsafeRawBufferPointer(rebasing: rest[10...]))
        case 8:
            return "end of the hint for node \(Int(rest[0]) | Int(rest[1]) << 8) of "
                + String(decoding: rest[2...], as: UTF8.self)
        case 9: return "what it promised and collected"
        case 10: return "what it dropped"
        case 12: return "that its clock was proved wrong"
        case 13: return "that all is corrected"
        case 14: return "corrected \(describe(record: rest))"
        case 15: return "which names of keyspaces are forgotten"
        case 20: return "what its lives wrote"
        default: return "definitions"
        }
    }

    private static func describe(record bytes: UnsafeRawBufferPointer) -> String {
        guard let base = bytes.baseAddress else { return "no record" }
        let record = Record(at: base)
        let key = String(decoding: record.key, as: UTF8.self)
        let stamp = record.dot.stamp
        let dot = "\(stamp.milliseconds).\(stamp.rawValue & 0xFFFF)@\(record.dot.identity)"
        let what =
            record.isSiblingSet
            ? "\(SiblingSet(valid: record).siblings.map { text($0.value) })"
            : record.isMergeable
                ? "a state of \(record.bodyBytes) bytes"
                : record.isTombstone ? "tombstone" : text(Array(record.body))
        return "\(key)=\(what) \(dot)" + (record.expiry > 0 ? " until \(record.expiry)" : "")
    }

    private static func text(_ value: [UInt8]) -> String {
        String(decoding: value.prefix { $0 != UInt8(ascii: "|") }.prefix(12), as: UTF8.self)
    }
}
