import Base
import Coding

@testable import Causality

let key = Array("k".utf8)

/// A sibling set as the bytes of its record.
func encoded(_ set: SiblingSet) -> [UInt8] {
    var buffer = ByteBuffer()
    let range = key.withUnsafeBytes { set.encodeRecord(key: $0, into: &buffer) }
    return Array(buffer[range])
}

func validated(_ bytes: [UInt8]) throws(DecodeError) -> SiblingSet {
    var result: Result<SiblingSet, DecodeError> = .failure(.truncated)
    bytes.withUnsafeBytes { bytes in
        do throws(DecodeError) {
            result = .success(try SiblingSet(record: Record(validating: bytes)))
        } catch {
            result = .failure(error)
        }
    }
    return try result.get()
}

struct Merged: Equatable {
    let bytes: [UInt8]
    let droppedValues: Int
}

/// What a replica holds after a record arrived.
func merged(_ stored: [UInt8]?, _ incoming: [UInt8], _ policy: ConflictPolicy) -> Merged {
    var buffer = ByteBuffer()
    let result = incoming.withUnsafeBytes { incoming in
        let record = Record(at: incoming.baseAddress!)
        guard let stored else {
            return RecordMerge.merge(stored: nil, incoming: record, policy: policy, into: &buffer)
        }
        return stored.withUnsafeBytes {
            RecordMerge.merge(
                stored: Record(at: $0.baseAddress!), incoming: record, policy: policy,
                into: &buffer)
        }
    }
    let bytes =
        switch result.outcome {
        case .keepStored: stored ?? []
        case .takeIncoming: incoming
        case .merged(let range): Array(buffer[range])
        case .refused: [UInt8]()
        }
    return Merged(bytes: bytes, droppedValues: result.droppedValues)
}

/// A read's answers summed up: the whole record's bytes, and who is stale.
func summed(
    _ answers: [[UInt8]?], _ policy: ConflictPolicy
) -> (bytes: [UInt8]?, merge: AnswerMerge) {
    var buffer = ByteBuffer()
    let storage = answers.map { bytes -> UnsafeMutableRawBufferPointer? in
        guard let bytes else { return nil }
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 8)
        copy.copyBytes(from: bytes)
        return copy
    }
    defer { for copy in storage { copy?.deallocate() } }
    let records = storage.map { $0.map { Record(at: UnsafeRawPointer($0.baseAddress!)) } }
    let merge = AnswerMerge(records, policy: policy, into: &buffer)
    let bytes: [UInt8]? =
        switch merge.result {
        case .nothing, .refused: nil
        case .answer(let index): answers[index]
        case .merged(let range): Array(buffer[range])
        }
    return (bytes, merge)
}
