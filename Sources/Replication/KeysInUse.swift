import Base

/// What a request does with keys, as far as the order of a connection's requests goes.
enum KeyUse {
    /// Keys by their hashes. What is `alone` goes beside nothing else that uses the key: it may
    /// change it.
    case key(UInt64, alone: Bool)
    case keys([UInt64], alone: Bool)
    /// A key that is given a value whatever it has, by this node's own stamp: the later of two is
    /// the newer one on every replica, so it does not wait for the other to be acknowledged.
    case replaced(UInt64)
    /// Keys that are not named, or too many to count each.
    case all(alone: Bool)
    case none

    /// Keys of one request that are counted each.
    static let keysMax = 16
}

/// The keys that a connection's unfinished requests use: each of its requests has to see what those
/// before it did, and nothing of what those behind it do. So what changes a key waits for what
/// reads it and for what changes it, unless both just replace it, and what reads a key waits for
/// what changes it.
///
/// - Complexity: of each function O(keys of the request), at most `KeyUse.keysMax`.
struct KeysInUse: Equatable {
    private var shared = KeyCounts()
    private var alone = KeyCounts()
    private var replaced = KeyCounts()

    mutating func begin(_ use: KeyUse) {
        switch use {
        case .key(let hash, true): alone.add(hash)
        case .key(let hash, false): shared.add(hash)
        case .keys(let hashes, let isAlone):
            for hash in hashes { begin(.key(hash, alone: isAlone)) }
        case .replaced(let hash): replaced.add(hash)
        case .all(true): alone.ofAll += 1
        case .all(false): shared.ofAll += 1
        case .none: break
        }
    }

    mutating func end(_ use: KeyUse) {
        switch use {
        case .key(let hash, true): alone.remove(hash)
        case .key(let hash, false): shared.remove(hash)
        case .keys(let hashes, let isAlone):
            for hash in hashes { end(.key(hash, alone: isAlone)) }
        case .replaced(let hash): replaced.remove(hash)
        case .all(true): alone.ofAll -= 1
        case .all(false): shared.ofAll -= 1
        case .none: break
        }
    }

    /// Whether a request may begin beside the unfinished ones.
    func admits(_ use: KeyUse) -> Bool {
        switch use {
        case .key(let hash, let isAlone):
            !alone.contains(hash) && !replaced.contains(hash)
                && !(isAlone && shared.contains(hash))
        case .keys(let hashes, let isAlone):
            hashes.allSatisfy { admits(.key($0, alone: isAlone)) }
        case .replaced(let hash): !alone.contains(hash) && !shared.contains(hash)
        case .all(let isAlone):
            alone.isEmpty && replaced.isEmpty && !(isAlone && !shared.isEmpty)
        case .none: true
        }
    }
}

/// How many requests use each key.
private struct KeyCounts: Equatable {
    private var counts = Table<UInt64, Int>()
    /// Requests that may use any key.
    var ofAll = 0

    var isEmpty: Bool { ofAll == 0 && counts.isEmpty }

    func contains(_ hash: UInt64) -> Bool {
        ofAll > 0 || !counts.isEmpty && counts[hash] != nil
    }

    mutating func add(_ hash: UInt64) { counts[hash, default: 0] += 1 }

    mutating func remove(_ hash: UInt64) {
        guard let others = counts[hash] else { preconditionFailure("a key in use is counted") }
        counts[hash] = others > 1 ? others - 1 : nil
    }
}
