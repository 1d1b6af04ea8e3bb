import Base
import Coding
import Testing

@testable import Causality

/// One key on three replicas, which a session and others write: as sibling sets, and as sets of
/// names.
private struct SessionWorld {
    /// What a replica holds and what it knows to be replaced, write by write.
    struct Names {
        var live: Set<Dot> = []
        var dead: Set<Dot> = []

        var all: Set<Dot> { live.union(dead) }

        mutating func join(_ other: Names) {
            dead.formUnion(other.dead)
            live = live.union(other.live).subtracting(dead)
        }
    }

    var sets = Array(repeating: SiblingSet(), count: 3)
    var names = Array(repeating: Names(), count: 3)
    var history = SessionHistory(keysMax: 1)
    /// What the session has read or replaced, and what it wrote beside other values.
    var known: Set<Dot> = []
    var beside: Set<Dot> = []
    /// The session's change of each value's expiry.
    var changes: [Dot: Dot] = [:]
    private var stamp: UInt64 = 0

    private mutating func mint(at replica: Int) -> Dot {
        stamp += 1
        return dot(UInt16(replica + 1), stamp)
    }

    /// A plain write, or a deletion: it replaces what its replica holds, and a session's what the
    /// session knows.
    mutating func set(at replica: Int, inSession: Bool, value: Bool) {
        let dot = mint(at: replica)
        var context = sets[replica].seen
        if inSession { context.join(history.replaceable(of: 1)) }
        if value {
            sets[replica].update(dot: dot, value: [1], expiry: 0, context: context)
        } else {
            sets[replica].delete(dot: dot, context: context)
        }
        names[replica].dead.formUnion(names[replica].live)
        if inSession { names[replica].dead.formUnion(known) }
        names[replica].live = value ? [dot] : []
        guard inSession else { return }
        // Of others' writes that were replaced too, that replica knows and tells.
        known.formUnion(names[replica].all.filter { $0.identity == dot.identity }.union([dot]))
        history.wrote(1, dot, replaces: true)
    }

    /// A write beside whatever is there.
    mutating func add(at replica: Int, inSession: Bool) {
        let dot = mint(at: replica)
        sets[replica].update(dot: dot, value: [2], expiry: 0, context: CausalContext())
        names[replica].live.insert(dot)
        guard inSession else { return }
        beside.insert(dot)
        history.wrote(1, dot, replaces: false)
    }

    /// The session's EXPIRE of what one replica holds, coordinated by another one.
    mutating func expire(at replica: Int, reading other: Int) {
        let read = sets[other]
        guard isCovered(by: read), !read.siblings.isEmpty else { return }
        let dot = mint(at: replica)
        sets[replica].join(read)
        sets[replica].expire(at: 1_000 + stamp, read.siblings.map(\.dot), dot: dot)
        for sibling in read.siblings { changes[sibling.dot] = dot }
        known.formUnion(names[other].all)
        names[replica].join(names[other])
        history.changed(1, dot, read: read.seen)
    }

    mutating func exchange(_ from: Int, _ to: Int) {
        sets[to].join(sets[from])
        names[to].join(names[from])
    }

    /// - Returns: whether the session could read there.
    mutating func read(at replica: Int) -> Bool {
        guard isCovered(by: sets[replica]) else { return false }
        for sibling in sets[replica].siblings {
            guard let change = changes[sibling.dot], sibling.expiryDot < change else { continue }
            Issue.record("\(sibling.dot) is shown without the expiry that the session gave it")
        }
        known.formUnion(names[replica].all)
        history.read(1, sets[replica].seen)
        return true
    }

    func isCovered(by set: SiblingSet) -> Bool {
        let seen = set.seen
        return history.requirement(of: 1).seen.entries.allSatisfy { seen.contains($0) }
    }

    /// The session moves by token.
    mutating func move() throws {
        var buffer = ByteBuffer()
        history.encode(into: &buffer)
        let taken = Array(buffer.bytes).withUnsafeBytes { bytes in
            Result { () throws(DecodeError) in
                try SessionHistory(decoding: bytes, keysMax: 1)
            }
        }
        #expect(try taken.get() == history)
        history = try taken.get()
    }

    /// Whether each replica holds what it has to.
    func isRight() -> Bool {
        for set in sets { set.checkInvariants() }
        return zip(sets, names).allSatisfy { Set($0.siblings.map(\.dot)) == $1.live }
    }
}

@Suite("A session over sibling sets")
struct SessionLaws {
    @Test("its plain write replaces what it has read or replaced, on whatever node, and no more")
    func replaces() throws {
        var random = PRNG(seed: 31)
        for round in 0..<600 {
            var world = SessionWorld()
            for _ in 0..<(4 + random.below(24)) {
                let (replica, other) = (random.below(3), random.below(3))
                let inSession = random.below(3) > 0
                switch random.below(10) {
                case 0...2:
                    let value = random.below(4) > 0
                    world.set(at: replica, inSession: inSession, value: value)
                    // Nothing is left that another replica would be needed for.
                    if inSession, world.beside.isSubset(of: world.known) {
                        let isCovered = world.isCovered(by: world.sets[replica])
                        #expect(isCovered, "round \(round)")
                    }
                case 3: world.add(at: replica, inSession: inSession)
                case 4, 5: world.expire(at: replica, reading: other)
                case 6: try world.move()
                case 7: _ = world.read(at: replica)
                default: world.exchange(replica, other)
                }
                let isRight = world.isRight()
                guard isRight else {
                    Issue.record("round \(round) ends with \(world)")
                    return
                }
            }
            for replica in [1, 2, 0, 1, 2] { world.exchange(replica, (replica + 1) % 3) }
            #expect(world.sets[0] == world.sets[1] && world.sets[1] == world.sets[2])
            let isAnswered = world.read(at: 0)
            #expect(isAnswered, "what every replica has is covered")
        }
    }

    @Test("a SET behind an EXPIRE on another node replaces the value, not what stands beside it")
    func example() {
        var history = SessionHistory(keysMax: 1)
        history.wrote(1, dot(1, 10), replaces: true)
        // Another client's value has the dot (1, 11).
        history.changed(1, dot(1, 12), read: VersionVector(dot(1, 10)))
        #expect(history.requirement(of: 1).seen == VersionVector(dot(1, 12)))
        #expect(history.replaceable(of: 1) == VersionVector(dot(1, 10)))
        history.wrote(1, dot(2, 20), replaces: true)
        #expect(history.requirement(of: 1).seen == vector(dot(1, 10), dot(2, 20)))
    }
}
