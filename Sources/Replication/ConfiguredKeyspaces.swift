import Base
import Causality
import Coding

/// What this node's configuration says of keyspaces, as far as it has to be remembered.
///
/// A configuration defines keyspaces until the first `KEYSPACE` command. Each node reads its own,
/// at each start, so what it says may be what was true before other nodes had newer ones. So the
/// journal remembers what it said at the last start, and only what differs from that is a change:
///
///     file now is      what follows
///     as the last      nothing: the definition that the cluster has by now counts
///     another one      a change that replaces what is known by the safer of each setting, of what
///                      is known and what the file says (`KeyspaceSettings.saferOf`); its name
///                      follows from the settings, so nodes that are given the same new file make
///                      the same change
///     of a new name    a definition that knows of no other; where nodes' files differ, these meet
///                      at the safer of each. Keys of `default` that it takes in are promised no
///                      less than before
///
/// So one node that is started with a mistaken file lowers no promise that the cluster has made:
/// with r=quorum and durability=fsync in the files of A, B and C, and r=1 and durability=memory in
/// C's new one, nothing changes. To lower one takes `KEYSPACE ALTER`, or new files and empty disks.
///
/// What keys need (`suitsKeys`) is not changed where there are some: the node does not start
/// (`KeyspaceObstacle`). Where the keys are on other nodes only, one of these puts back what they
/// need (`Origin.kept`).
///
/// What does not count in the end is told (`Node.configurationDifferences`).
struct ConfiguredKeyspaces {
    /// What was said at the last start, as digests of settings by name.
    private var former: [(name: [UInt8], digest: UInt64)] = []
    /// There was a `KEYSPACE` command: what is said of a name that is known does not count any
    /// more.
    private(set) var isOver = false
    /// The journal has said what was said at the last start.
    private(set) var isRestored = false
    /// What is said now was compared with it.
    private(set) var isTaken = false
    /// The journal does not have what is said now, or does not know that it is over.
    private(set) var isUnsaved = true

    init() {}

    /// Whether a name was said to have other settings, or none, at the last start.
    func isChanged(_ name: [UInt8], _ digest: UInt64) -> Bool {
        former.first { $0.name == name }?.digest != digest
    }

    /// - Parameter said: what counts as said from now on.
    mutating func take(_ said: [(name: [UInt8], digest: UInt64)]) {
        let isSame = isRestored && said.elementsEqual(former, by: ==)
        former = said
        isTaken = true
        isUnsaved = !isSame
    }

    mutating func noteCommand() { (isOver, isUnsaved) = (true, true) }

    /// What follows from what is said now is to be saved as well.
    mutating func noteUnsaved() { isUnsaved = true }

    mutating func noteSaved() { isUnsaved = false }

    /// `over (1) | count (2)`, then each as `name bytes (1) | name | digest (8)`.
    func encode(into buffer: inout ByteBuffer) {
        buffer.append(isOver ? 1 : 0)
        buffer.append(integer: UInt16(former.count))
        for (name, digest) in former {
            buffer.append(UInt8(name.count))
            buffer.append(name)
            buffer.append(integer: digest)
        }
    }

    init(decoding bytes: UnsafeRawBufferPointer) throws(DecodeError) {
        var reader = ByteReader(bytes)
        let over: UInt8 = try reader.integer()
        guard over < 2 else { throw .invalid("configured keyspaces have unknown flags") }
        (isOver, isRestored, isUnsaved) = (over == 1, true, false)
        for _ in 0..<(try reader.integer(UInt16.self)) {
            let name = Array(try reader.slice(Int(try reader.integer(UInt8.self))))
            former.append((name, try reader.integer()))
        }
        try reader.end()
    }
}

/// A setting that a configuration changes although its keyspace has keys that need it.
public struct KeyspaceObstacle: Equatable, Sendable, CustomStringConvertible {
    public let keyspace: String
    public let setting: String
    /// What the data directory has, and what the configuration says.
    public let stored: String
    public let configured: String
    /// The configuration does not name the setting.
    public let isDefault: Bool
    /// Records on this node, tombstones included.
    public let records: Int

    public var description: String {
        "keyspace \(keyspace): the configuration "
            + KeyspaceDifference.said(setting, configured, isDefault: isDefault)
            + ", and the data directory has \(records) records that were written under "
            + "\(setting)=\(stored); n, and conflict to or from crdt, change only while a "
            + "keyspace holds nothing. Put \(setting)=\(stored) into the file. Then either give "
            + "the data a new keyspace, or empty this one (KEYSPACE DROP, FLUSHALL) and say "
            + "KEYSPACE CREATE or KEYSPACE ALTER \(keyspace) \(setting)=\(configured)"
    }
}

/// A setting of this node's configuration that does not count.
public struct KeyspaceDifference: Equatable, Sendable {
    public let keyspace: String
    /// `dropped` for a keyspace that does not exist any more.
    public let setting: String
    public let configured: String
    /// The configuration does not name the setting.
    public let isDefault: Bool
    public let inForce: String
    /// `KEYSPACE` commands decide since the first one; otherwise what other nodes have.
    public let isCommanded: Bool

    /// What the configuration does to give the setting its value.
    public var said: String { Self.said(setting, configured, isDefault: isDefault) }

    static func said(_ setting: String, _ value: String, isDefault: Bool) -> String {
        isDefault
            ? "names no \(setting), which leaves its default \(value)" : "says \(setting)=\(value)"
    }
}

extension KeyspaceSettings {
    /// Whether keys that were written under other settings can be gone on with.
    ///
    /// Where a key's replicas are follows from n. A merged state is nothing that plain values could
    /// go on with. And a plain record of `lww` does not say which earlier ones it replaced, so a
    /// replica that had missed a delete would bring back what was deleted once states merge.
    func suitsKeys(of former: KeyspaceSettings) -> Bool {
        replicationFactor == former.replicationFactor && conflictSuitsKeys(of: former)
    }

    func conflictSuitsKeys(of former: KeyspaceSettings) -> Bool {
        (conflict == .crdt) == (former.conflict == .crdt)
            || conflict == .crdt && former.conflict == .siblings
    }
}

extension ReplicaIdentity {
    /// What a configuration says is named by what it says: it has no node.
    var isConfiguration: Bool { node.rawValue == 0 }
}
