import AntiEntropy
import Base
import Causality
import Coding
import Ring

/// How far a list of members has come since it took the place of another one.
///
/// A list says which nodes keep a key. When it changes, what the former ones kept has to reach the
/// new ones before these say what the key is, and before anybody forgets a deletion: with A and B
/// as the former replicas and C and D as the new ones, C and D are equal while both are empty, so
/// each would promise the other to know everything, and what A hands over then would be taken for
/// known, and be lost. So each list is a generation with a number, and each node is in one of two
/// states, which its journal keeps:
///
///     open     No key range is whole here (`Node+Refill`): reads are declined, nothing is
///              promised, settled or collected, of keyspaces with one replica neither; what comes
///              from others is taken in, however old. Nothing is dropped that others replicate now.
///     closed   Every other member has handed over what it held. Ranges become whole as after the
///              loss of a disk, and what this node no longer replicates goes.
///
/// What happens while a generation is open, with nodes 1 and 2 and then 3 and 4 as well:
///
///     met          1 has heard what 2, 3 and 4 have promised and collected. So nothing of what 1
///                  is about to hand over can turn out later to have been deleted: what all former
///                  replicas of a key knew, and 1 did not promise to know, it leaves out where one
///                  of them vouches for its range. From then on 1 takes what is handed over, and
///                  says so.
///     handed over  1 has caught up where it was behind (`Node+CatchUp`), and has gone through all
///                  its records. Each that it does not replicate any more was acknowledged, as
///                  stored, by all its replicas. Hints for nodes that the new list does not give
///                  the key go the same way. 1 says so once that is on disk.
///     closed       1 has heard from 2, 3 and 4 that they have handed over, or from one of them
///                  that it has closed.
///
/// What a node replicates under both lists is not sent by this walk: a range becomes whole only
/// when nothing is lacked of what all its replicas have (`Coverage`).
///
/// A node begins open when its journal speaks of another list, or of none, as a new directory's
/// does; and when it is told that the list has changed, since it may have missed one in between.
/// The number counts the lists; a node that hears a higher one under its own list has missed some,
/// and opens. So of A, B and A again the first and the third are different generations, and what
/// was whole in the first is not in the third. A node that lost its disk hears that the others have
/// closed, and closes at once.
///
/// A range that was empty here when the generation opened cannot hold what was deleted: its replica
/// promises what others have collected without dropping anything, and what is handed over to it
/// then stays (`bare`).
///
/// A member that never comes is waited for until an operator gives it up (`CLUSTER REFILL WITHOUT`)
/// or takes it out. One that comes late all the same hands over to closed nodes, once the range is
/// whole there: what they have settled they ignore. Of a keyspace with one replica they cannot know
/// what was deleted since, so that comes back. Records whose replicas were all given up are kept
/// (`keptFor`); when one of these comes, the list opens anew, and they are handed over to it before
/// anybody answers for them.
///
/// A process may end at any moment: the walk begins anew, and acknowledgements are idempotent. What
/// is closed was closed on disk before anything was whole, promised or dropped by it.
struct Generation {
    /// A former target of hints that the list does not give their keys; what they hold is a record
    /// here by now.
    struct FormerHint {
        let target: NodeID
        let key: [UInt8]
    }

    static let numberMax: UInt64 = 1 << 48

    /// Of the list as it is now; 0 before the journal was read.
    private(set) var number: UInt64 = 0
    private(set) var isClosed = false
    /// When this node had handed over everything; 0 while it has not.
    private(set) var handedOverAt = Stamp(rawValue: 0)
    /// Members that were given up, and that all replicas of some records here are among.
    private(set) var keptFor: [NodeID] = []
    /// The list whose replicas have everything: the last that closed here; empty before the first.
    private(set) var settled: [Member] = []
    /// The journal does not know of it yet.
    private(set) var isUnsaved = false
    /// What is on its way to the disk.
    var saving: GenerationMarker?
    /// Whether this node takes what others hand over: it has met all of them.
    var takes = false
    /// Other members, by link index, whose promises were heard since the generation opened.
    var met: UInt64 = 0
    /// What others have said of this generation, by link index.
    private(set) var heard: UInt64 = 0
    private(set) var taking: UInt64 = 0
    private(set) var handedOver: UInt64 = 0
    private(set) var closed: UInt64 = 0
    /// Members that an operator gave up.
    var givenUp: UInt64 = 0
    /// Where this node vouches while the generation is open.
    var former = FormerWholeness()
    /// Up to which stamp what this node held may have been dropped with names of keyspaces.
    var namesDoubtedUpTo: UInt64 = 0
    /// By n, ranges in which this node had nothing when the generation opened.
    var bare: [RangeSet] = []
    /// Hints that became records, and that the journal still has as hints.
    var formerHints: [FormerHint] = []
    /// Hints of the journal for nodes that are no members any more.
    var strayHints: [(target: NodeID, hints: HintQueue)] = []
    /// What the journal says.
    private var journaled: GenerationMarker?

    /// The last list that closed here before this start.
    var settledBefore: [Member] { journaled?.settled ?? [] }
    var hasHandedOver: Bool { handedOverAt.rawValue > 0 }
    var hasBegun: Bool { number > 0 }

    /// Takes back what the journal says; the last marker counts.
    mutating func restore(_ marker: GenerationMarker) {
        journaled = marker
        if marker.isClosed { former = FormerWholeness() }
    }

    /// Whether the journal says, as far as it was read, that a list's generation is closed.
    func wasClosed(_ ringDigest: UInt64) -> Bool {
        journaled.map { $0.ringDigest == ringDigest && $0.isClosed } ?? false
    }

    /// The journal was read.
    ///
    /// - Parameter isDoubted: the list has changed, and this node may have missed one in between.
    mutating func begin(_ ring: Ring, isDoubted: Bool) {
        let isAlone = ring.members.count == 1
        settled = settledBefore
        defer { if isClosed { settled = ring.members } }
        if let journaled, journaled.ringDigest == ring.digest {
            number = journaled.number
            isClosed = journaled.isClosed
            handedOverAt = journaled.handedOverAt
            keptFor = journaled.keptFor
            guard isClosed, isDoubted, !isAlone else { return }
            (isClosed, handedOverAt, keptFor) = (false, Stamp(rawValue: 0), [])
        } else {
            number = min((journaled?.number ?? 0) + 1, Generation.numberMax)
            isClosed = isAlone
        }
        isUnsaved = true
    }

    /// A later generation under the same list was heard of.
    ///
    /// - Parameter former: where this node vouched until now.
    mutating func reopen(as number: UInt64, _ former: FormerWholeness) {
        let (givenUp, formerHints, settled) = (givenUp, formerHints, settled)
        self = Generation()
        self.settled = settled
        (self.number, self.former) = (number, former)
        (self.givenUp, self.formerHints) = (givenUp, formerHints)
        isUnsaved = true
    }

    mutating func noteSaved() { isUnsaved = false }

    /// - Parameter members: that what was not handed over is kept for.
    mutating func noteHandedOver(at stamp: Stamp, butFor members: [NodeID]) {
        (handedOverAt, keptFor) = (stamp, members)
    }

    mutating func close(_ members: [Member]) {
        (isClosed, former, settled) = (true, FormerWholeness(), members)
    }

    /// Another node says where it stands in this generation. What it has reached it does not leave.
    mutating func note(_ message: GenerationMessage, from index: Int) {
        let bit: UInt64 = 1 << UInt64(index)
        heard |= bit
        if message.takes { taking |= bit }
        if message.hasHandedOver { handedOver |= bit }
        if message.isClosed { closed |= bit }
    }

    /// A link came up or went down: what was said over the former one has to be said again.
    mutating func forget(link index: Int) {
        let rest = ~(UInt64(1) << UInt64(index))
        heard &= rest
        taking &= rest
        closed &= rest
    }
}

/// Where a node stands in a generation, as its journal has it. The last one counts: `digest of the
/// ring (8) | number (8) | flags (1) | handed over at (8) | settled (2)`, for each member of the
/// settled list `node (2) | weight (2) | zone (2)`, then each member (2) that records are kept for.
struct GenerationMarker: Equatable {
    let ringDigest: UInt64
    let number: UInt64
    var isClosed: Bool
    var handedOverAt: Stamp
    var keptFor: [NodeID]
    var settled: [Member]

    init(_ generation: Generation, _ ringDigest: UInt64) {
        (self.ringDigest, number) = (ringDigest, generation.number)
        (isClosed, handedOverAt) = (generation.isClosed, generation.handedOverAt)
        (keptFor, settled) = (generation.keptFor, generation.settled)
    }

    init(_ reader: inout ByteReader) throws(DecodeError) {
        ringDigest = try reader.integer()
        number = try reader.integer()
        let flag: UInt8 = try reader.integer()
        handedOverAt = Stamp(rawValue: try reader.integer())
        (keptFor, settled) = ([], [])
        for _ in 0..<(try reader.integer(UInt16.self)) {
            let (node, weight) = (NodeID(try reader.integer()), try reader.integer(UInt16.self))
            let isNext = settled.last.map { $0.node < node } ?? true
            guard weight > 0, isNext else {
                throw .invalid("a generation's members are out of order or have no weight")
            }
            settled.append(Member(node, weight: weight, zone: try reader.integer()))
        }
        while reader.remaining > 0 { keptFor.append(NodeID(try reader.integer())) }
        guard flag < 2, 1...Generation.numberMax ~= number else {
            throw .invalid("a generation of members has no such number or flag")
        }
        isClosed = flag == 1
    }

    /// Appends the journal's payload.
    func encode(into buffer: inout ByteBuffer) {
        buffer.append(JournalKind.generation.rawValue)
        buffer.append(integer: ringDigest)
        buffer.append(integer: number)
        buffer.append(UInt8(isClosed ? 1 : 0))
        buffer.append(integer: handedOverAt.rawValue)
        buffer.append(integer: UInt16(settled.count))
        for member in settled {
            buffer.append(integer: member.node.rawValue)
            buffer.append(integer: member.weight)
            buffer.append(integer: member.zone)
        }
        for node in keptFor { buffer.append(integer: node.rawValue) }
    }
}

/// What a node says of the generation that it is in; the number is the message's.
struct GenerationMessage: Equatable {
    static let kind: UInt8 = 25

    let number: UInt64
    let isClosed: Bool
    let hasHandedOver: Bool
    /// It takes what is handed over.
    let takes: Bool
    /// It has heard that the node that it says this to has closed.
    let knowsClosed: Bool

    /// - Parameter index: the link to the node that this is said to.
    init(_ generation: Generation, to index: Int) {
        number = generation.number
        isClosed = generation.isClosed
        hasHandedOver = generation.hasHandedOver
        takes = generation.takes
        knowsClosed = generation.closed.isSet(index)
    }

    init(
        _ flag: UInt8, _ number: UInt64, _ reader: inout ByteReader
    ) throws(DecodeError) {
        try reader.end()
        guard flag < 16, 1...Generation.numberMax ~= number else {
            throw .invalid("a generation of members has no such number or flag")
        }
        self.number = number
        isClosed = flag & 1 != 0
        hasHandedOver = flag & 2 != 0
        takes = flag & 4 != 0
        knowsClosed = flag & 8 != 0
    }

    var flag: UInt8 {
        let flags = [isClosed, hasHandedOver, takes, knowsClosed]
        return flags.reversed().reduce(0) { $0 << 1 | ($1 ? 1 : 0) }
    }
}
