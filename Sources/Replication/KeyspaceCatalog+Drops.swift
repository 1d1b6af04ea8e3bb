import Causality

// Which keyspaces were dropped.
extension KeyspaceCatalog {
    /// Keyspaces of which nothing may stay that was written before this node heard what
    /// `definitions` say now: they were dropped meanwhile, or merged typed values before.
    func dropped(since before: KeyspaceCatalog) -> [Int] {
        active.indices.filter { index in
            guard !active[index].isVacant, !before.active.isEmpty else { return false }
            let isNew = index >= before.active.count || before.active[index].isVacant
            let former = before.active[isNew ? 0 : index]
            if former.settings.conflict == .crdt, active[index].settings.conflict != .crdt {
                return true
            }
            // A keyspace that is made is emptied of what `default` was emptied of.
            let truncatedAt = definitions[index].truncatedAt
            return !isNew && index > 0 && truncatedAt > definitions[0].truncatedAt
                && truncatedAt > before.definitions[index].truncatedAt
        }
    }

    /// Keyspaces that were dropped, whether or not they were made again, as far as other nodes have
    /// to know.
    var everDropped: [Int] {
        definitions.indices.dropFirst().filter {
            definitions[$0].truncatedAt.rawValue > 0 && isSpokenOf($0)
        }
    }

    /// Up to which stamp all that a keyspace held is known to be gone: by its definition, or by a
    /// drop of its name that is forgotten, of which another node may still speak.
    func goneUpTo(_ index: Int) -> Stamp { max(active[index].drop.emptiedAt, forgotten.emptiedAt) }
}
