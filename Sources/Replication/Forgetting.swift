import AntiEntropy
import Base
import Causality
import Coding

/// How the names of dropped keyspaces are forgotten: up to where a node has come, as the stamps of
/// definitions' changes.
///
/// A dropped definition is the memory of what went with its keyspace. Records from before the drop
/// count as gone wherever they come from, and an older definition of the name is known to be
/// replaced. So it can go once there is neither any more, on any node, on any disk or on any way
/// between two nodes. No age proves that; the nodes tell each other, with each heartbeat, how far
/// they are:
///
///     promised    Whatever I have changed or am going to change up to P, everybody knows.
///                 From digests that were equal with everybody's, at moments later than P. From
///                 then on this node stamps no change up to P. On disk before it is told. No later
///                 than what any node's clock shows, so that a clock that is ahead binds nobody
///                 for long; what was stamped further ahead is remembered until then.
///     settled     F is the least of all nodes' P; so whatever was dropped up to F I know. Of that
///                 nothing is left here up to S: the records are out of memory, and no hint and no
///                 operation that began before holds any. What was sent by then has left, for the
///                 journal was synced in between.
///     forgotten   C is the least of all nodes' S, each heard over the link as it is now, behind
///                 which no older message comes: what was dropped up to C this node forgets
///                 (`KeyspaceCatalog.vacate`), a little later, for a network that lets messages
///                 overtake each other.
///     known       The latest C of any node. Nobody speaks of what was dropped up to K any more,
///                 whether it remembers it or not, so digests are equal again. A definition that
///                 is unknown and not changed after K is one that was forgotten: nothing new is
///                 stamped up to K, and whatever lives everybody knows.
///
/// What may happen at any moment, and why nothing comes back by it:
///
///     a node is away      It says nothing over its link, so P, S and C of the others stay where
///                         they are until it is back and has settled too, or is taken out.
///     a process ends      Its S is 0 until it has settled anew. Replay: a journal that holds a
///                         record from before a drop holds the drop as well, because records come
///                         behind the definitions in a checkpoint, and what was forgotten had
///                         gone from memory before; so replay forgets nothing by itself.
///     an old disk, a      P on it is less than K. Nothing is taken from such a node (`isBehind`)
///     wiped one, a node   until it was told all definitions: what it has up to K and others have
///     admitted again      not was dropped, no later than at `emptiedAt`. So it empties it, and
///                         drops whatever is that old, to have it from the others: a keyspace that
///                         it never heard of may have had keys of its `default` for a while. (Of
///                         n=1 it keeps what no definition says to be dropped, as nobody else has
///                         it.) Then it promises K (`Node.catchUp`).
///     a name is made      Its stamp is later than K everywhere. Whoever remembers the drop joins
///     anew                the two, which is a keyspace that is emptied up to the drop.
///     keys of the name    live by `default` from the drop on. When the name goes, they are counted
///                         there as well (`Reshaping`), and the index serves another name when no
///                         operation from before is under way.
///
/// A definition that a configuration contains is not forgotten: it comes back with every start.
///
/// What a member that is wrong can say does little. P and S only count as the least of all, this
/// node's own among them. K is no later than any node's P; so it is believed (`heard`)
///
///     where this node has  it: it is what was promised here, or before.
///     promised
///     while it has not     as far as no node that has contradicts it. (Where its disk is an old
///     caught up            one, those of the others that run promised more.)
///     once it has          when two say so: whoever has once found no other ahead of it can fall
///                          behind no more in this life, for no K is later than the S that it
///                          said since.
///
/// Invariants: forgotten ≤ settled, or what an earlier life forgot; settled ≤ promised.
struct Forgetting {
    /// What another node has said over the link as it is now.
    struct Word {
        var isHeard = false
        var hasCaughtUp = false
        var promised: UInt64 = 0
        var settled: UInt64 = 0
        /// As far as a clock may be, or as this node has promised.
        var known: UInt64 = 0
        /// When it was last found to know the same, and to have it on disk: what is changed here
        /// from then on is later.
        var equalAt: UInt64 = 0
        /// Drops of which it is not known to have heard.
        var unheard: [UnheardDrop] = []
    }

    /// The way to a later S.
    struct Episode {
        enum Stage {
            case emptying
            case hints(link: Int, number: UInt64)
            case operations
            case writing
        }

        let target: UInt64
        /// What is under way since then knows what was dropped up to the target.
        let begunAt: Deadline
        var stage = Stage.emptying
    }

    /// Nanoseconds that a message may be overtaken by.
    static let overtakingMax: UInt64 = .nanoseconds(milliseconds: 1_000)
    /// Hints that one heartbeat looks at.
    static let hintsMax = 4_096
    /// Names for which a replay walks over all records to forget them.
    static let restoredMin = 256

    private(set) var promised: UInt64 = 0
    private(set) var settled: UInt64 = 0
    private(set) var forgotten: UInt64 = 0
    var words: [Word]
    private(set) var episode: Episode?
    /// The C that is forgotten next, and since when it is one.
    private var ripening: (level: UInt64, since: Deadline)?
    /// What is on its way to the disk.
    private(set) var marking: ForgettingMarker?
    /// Indices that may still be referred to by what began up to a moment.
    private(set) var vacated: [(indices: [Int], since: Deadline)] = []
    /// Up to where this node, which was behind, was told all definitions.
    private var told: UInt64 = 0
    /// When it was: what is under way since then knows of it.
    private(set) var toldAt: Deadline = 0
    /// Up to which stamp what is here may have been dropped under a name that nobody remembers.
    private(set) var doubtfulUpTo = Stamp(rawValue: 0)
    /// Up to where this node may not remember what was dropped.
    private(set) var unremembered: UInt64 = 0
    /// In this life all other members were heard, and none was ahead.
    private(set) var hasCaughtUp = false

    init(links: Int) { words = Array(repeating: Word(), count: links) }

    /// The latest K that is believed.
    var heard: UInt64 {
        let claims = words.map(\.known).sorted(by: >)
        guard !hasCaughtUp else { return claims.dropFirst().first ?? 0 }
        let limit = words.filter(\.hasCaughtUp).map(\.promised).min() ?? .max
        return claims.first { $0 <= limit } ?? 0
    }
    /// Whether others have forgotten what this node may have.
    var isBehind: Bool { heard > promised }
    /// What this node, which was behind, may promise once it has emptied what was dropped.
    var caughtUpTo: UInt64? {
        isBehind && told >= heard && doubtfulUpTo.rawValue == 0 ? told : nil
    }

    /// What is changed here from now on is later.
    var committed: UInt64 {
        words.reduce(max(promised, marking?.promised ?? 0)) { max($0, $1.equalAt) }
    }

    mutating func noteCaughtUp() { hasCaughtUp = true }

    /// A link came up or broke: what was said over it before says nothing of what it says now.
    mutating func forget(link index: Int) {
        words[index] = Word()
        ripening = nil
    }

    mutating func noteTold(_ forgotten: KeyspaceCatalog.Forgotten, at now: Deadline) {
        let known = forgotten.known
        if known > told { (told, toldAt, doubtfulUpTo) = (known, now, forgotten.emptiedAt) }
        unremembered = max(unremembered, known)
        unsettle()
    }

    /// All of it was, and is had from the other replicas.
    mutating func noteDropped() { doubtfulUpTo = Stamp(rawValue: 0) }

    mutating func settle(_ level: UInt64) { settled = max(settled, level) }

    /// Something that was dropped earlier has come to be known.
    mutating func unsettle() { (settled, episode) = (0, nil) }

    mutating func begin(_ target: UInt64, at now: Deadline) {
        episode = Episode(target: target, begunAt: now)
    }

    mutating func advance(to stage: Episode.Stage) { episode?.stage = stage }

    /// What is the least of all S now may go a little later.
    ///
    /// - Returns: whether more is forgotten than before.
    mutating func ripen(_ level: UInt64, at now: Deadline) -> Bool {
        if let ripe = ripening {
            guard now >= ripe.since + Forgetting.overtakingMax else { return false }
            ripening = nil
            guard ripe.level > forgotten else { return false }
            forgotten = ripe.level
            unremembered = max(unremembered, forgotten)
            return true
        }
        if level > forgotten { ripening = (level, now) }
        return false
    }

    mutating func mark(_ marker: ForgettingMarker) { marking = marker }

    /// What was on its way is on the disk.
    mutating func reachedMarker() {
        guard let marker = marking else { return }
        marking = nil
        promised = max(promised, marker.promised)
        if case .writing = episode?.stage, let target = episode?.target {
            settle(target)
            episode = nil
        }
    }

    mutating func restore(_ marker: ForgettingMarker) {
        promised = max(promised, marker.promised)
        forgotten = max(forgotten, marker.forgotten)
        unremembered = max(unremembered, forgotten, marker.catalog.known)
    }

    mutating func noteVacated(_ indices: [Int], at now: Deadline) {
        for link in words.indices {
            words[link].unheard.removeAll { indices.contains($0.keyspace) }
        }
        vacated.append((indices, now))
    }

    /// The indices that nothing refers to any more.
    ///
    /// - Parameter earliest: when the first of what is under way began.
    mutating func takeVacated(before earliest: Deadline) -> [Int] {
        let over = vacated.filter { $0.since < earliest }.flatMap(\.indices)
        vacated.removeAll { $0.since < earliest }
        return over
    }
}

extension Message {
    /// What a heartbeat says of the sender's definitions.
    struct Names {
        /// What they hash to.
        let digest: UInt64
        /// What the sender knows of them is on its disk.
        let isDurable: Bool
        /// The sender has found no other ahead of it.
        let hasCaughtUp: Bool
        let word: ForgettingMarker

        init(digest: UInt64, isDurable: Bool, hasCaughtUp: Bool, _ word: ForgettingMarker) {
            (self.digest, self.isDurable, self.word) = (digest, isDurable, word)
            self.hasCaughtUp = hasCaughtUp
        }

        init(_ reader: inout ByteReader) throws(DecodeError) {
            digest = try reader.integer()
            let flags: UInt8 = try reader.integer()
            guard flags < 4 else { throw .invalid("definitions have unknown flags") }
            (isDurable, hasCaughtUp) = (flags & 1 == 1, flags & 2 == 2)
            word = try ForgettingMarker(&reader)
            guard word.forgotten <= word.promised else {
                throw .invalid("a node has settled more than it has promised")
            }
        }

        func encode(into buffer: inout ByteBuffer) {
            buffer.append(integer: digest)
            buffer.append((isDurable ? 1 : 0) | (hasCaughtUp ? 2 : 0))
            word.encode(into: &buffer)
        }
    }
}

/// A journal's payload, and part of each heartbeat: how far forgetting has come.
struct ForgettingMarker: Equatable {
    var promised: UInt64 = 0
    /// In a journal what is forgotten here; in a heartbeat what is settled.
    var forgotten: UInt64 = 0
    var catalog = KeyspaceCatalog.Forgotten()

    init(promised: UInt64, forgotten: UInt64, _ catalog: KeyspaceCatalog.Forgotten) {
        (self.promised, self.forgotten, self.catalog) = (promised, forgotten, catalog)
    }

    init(_ reader: inout ByteReader) throws(DecodeError) {
        promised = try reader.integer()
        forgotten = try reader.integer()
        catalog.known = try reader.integer()
        catalog.emptiedAt = Stamp(rawValue: try reader.integer())
    }

    /// The latest stamp in it.
    var latest: Stamp {
        max(Stamp(rawValue: max(promised, forgotten, catalog.known)), catalog.emptiedAt)
    }

    func encode(into buffer: inout ByteBuffer) {
        buffer.append(integer: promised)
        buffer.append(integer: forgotten)
        buffer.append(integer: catalog.known)
        buffer.append(integer: catalog.emptiedAt.rawValue)
    }
}
