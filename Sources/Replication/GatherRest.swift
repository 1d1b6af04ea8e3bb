import Base
import CRDT
import Coding
import RESP

/// The words in front of the parts of a request, as bulk strings in RESP.
struct RequestHead {
    let bytes: [UInt8]
    /// How many.
    let count: Int

    init(_ name: StaticString) {
        var buffer = ByteBuffer(capacity: 32)
        buffer.writeBulk(name)
        self.init(Array(buffer.bytes), count: 1)
    }

    /// The first words of a request.
    init(_ request: borrowing Arguments, upTo end: Int) {
        var buffer = ByteBuffer(capacity: 128)
        for index in 0..<end { buffer.writeBulk(request[index]) }
        self.init(Array(buffer.bytes), count: end)
    }

    private init(_ bytes: [UInt8], count: Int) {
        self.bytes = bytes
        self.count = count
    }
}

/// The parts of a request that have not begun: their arguments, as bulk strings in RESP.
struct GatherRest {
    private let kept: KeptArguments
    /// Where the first of them begins.
    private(set) var offset = 0
    /// Its number among all parts.
    private(set) var part: Int
    /// How many there are.
    private(set) var parts: Int
    private let words: Int
    /// Which word of a part is its name.
    private let nameWord: Int

    /// - Parameter kept: `parts` times `words` bulk strings.
    init(_ kept: KeptArguments, from part: Int, parts: Int, words: Int, nameWord: Int = 0) {
        self.kept = kept
        self.part = part
        self.parts = parts
        self.words = words
        self.nameWord = nameWord
    }

    private var bytes: UnsafeRawBufferPointer { kept.bytes }
    /// Of all parts, begun or not.
    var byteCount: Int { kept.bytes.count }

    /// A request of some of the next parts.
    ///
    /// - Parameters:
    ///   - partsMax: how many at most.
    ///   - bytesMax: bytes from which on no further part is added.
    /// - Returns: the request in RESP, and how many parts it has.
    func request(
        _ head: RequestHead, partsMax: Int, bytesMax: Int
    ) -> (bytes: [UInt8], parts: Int) {
        var end = offset
        var count = 0
        while count < min(partsMax, parts), end - offset < bytesMax {
            for _ in 0..<words { end = behindBulk(at: end) }
            count += 1
        }
        var request: [UInt8] = []
        request.reserveCapacity(16 + head.bytes.count + end - offset)
        request += "*\(head.count + count * words)\r\n".utf8
        request += head.bytes
        request += UnsafeRawBufferPointer(rebasing: bytes[offset..<end])
        return (request, count)
    }

    /// A request of parts that begin at these places.
    func request(_ head: RequestHead, at places: ArraySlice<UInt32>) -> [UInt8] {
        var request: [UInt8] = []
        request.reserveCapacity(1_024 + head.bytes.count + places.count * 64)
        request += "*\(head.count + places.count * words)\r\n".utf8
        request += head.bytes
        for place in places {
            let part = bytes[Int(place)..<behindPart(at: Int(place))]
            request += UnsafeRawBufferPointer(rebasing: part)
        }
        return request
    }

    func behindPart(at offset: Int) -> Int {
        var end = offset
        for _ in 0..<words { end = behindBulk(at: end) }
        return end
    }

    /// The name of the part at an offset.
    ///
    /// Valid as long as this value.
    func name(at offset: Int) -> UnsafeRawBufferPointer {
        word(at: nameWord == 0 ? offset : behindBulk(at: offset))
    }

    /// Bytes of the words beside the name, of the part at an offset.
    func bytesBesideName(at offset: Int) -> Int {
        guard words > 1 else { return 0 }
        return word(at: nameWord == 0 ? behindBulk(at: offset) : offset).count
    }

    /// Negative where the name of the part at one offset is before that at another, 0 for the same.
    func compareNames(_ a: Int, _ b: Int) -> Int {
        Bytes.order(name(at: a), against: name(at: b))
    }

    /// Some of the next parts have begun.
    mutating func removeFirst(_ count: Int = 1) {
        for _ in 0..<count * words { offset = behindBulk(at: offset) }
        part += count
        parts -= count
    }

    /// The first word of the part at an offset; valid as long as this value.
    func word(at offset: Int) -> UnsafeRawBufferPointer {
        let (start, length) = bulk(at: offset)
        return UnsafeRawBufferPointer(rebasing: bytes[start..<start + length])
    }

    private func behindBulk(at offset: Int) -> Int {
        let (start, length) = bulk(at: offset)
        return start + length + 2
    }

    private func bulk(at offset: Int) -> (start: Int, length: Int) {
        var place = offset + 1
        var length = 0
        while bytes[place] != UInt8(ascii: "\r") {
            length = length * 10 + Int(bytes[place]) - 48
            place += 1
        }
        return (place + 2, length)
    }
}

/// Keys that a change of several keys names more than once: only the last part of each counts, so
/// the others are left out, and parts that run side by side are of different keys.
struct RepeatedKeys {
    /// Where the last part with this hash is.
    ///
    /// A table of a million would take turns to make, or to move as it grows: there are many, of
    /// some thousand at most. Their shares of the hashes lie between one and two, so that they do
    /// not all grow at a time.
    private var last: [Table<UInt64, Int>]
    /// Whether there is any.
    private(set) var hasSome = false
    private(set) var count = 0

    /// - Parameter parts: that will be noted, at most.
    init(parts: Int = 0) {
        last = Array(repeating: Table(), count: 1 + parts / RepeatedKeys.partsOfTable)
    }

    static let partsOfTable = 4_096
    var capacity: Int { last.reduce(0) { $0 + $1.capacity } }
    var largestTable: Int { last.reduce(0) { max($0, $1.count) } }

    private func table(of hash: UInt64) -> Int {
        let place = hash >> 32
        let curved = place << 2 - (place * place) >> 32
        return Int(curved * UInt64(last.count) / (3 << 32))
    }

    /// - Parameter place: of a part that stands behind all that were noted.
    mutating func note(_ hash: UInt64, at place: Int) {
        if last[table(of: hash)].exchange(place, for: hash) == nil {
            count += 1
        } else {
            hasSome = true
        }
    }

    /// Whether a later part has the same key.
    ///
    /// - Parameter isSame: whether the key at another place is this one's.
    func isRepeated(_ hash: UInt64, at place: Int, _ isSame: (Int) -> Bool) -> Bool {
        guard hasSome, let other = last[table(of: hash)][hash], other > place else { return false }
        return isSame(other)
    }
}
