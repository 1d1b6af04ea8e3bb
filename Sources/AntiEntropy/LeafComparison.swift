/// Who lacks which of one leaf's keys, from both nodes' lists.
///
/// A key that both hold in different states goes the way of its stamps: the older side gets the
/// newer state. It goes both ways where states merge, or where the stamps do not tell. What was
/// written just now is still on its way, and left alone.
public struct LeafComparison: Equatable, Sendable {
    /// Hashes of keys whose state this side should send, ascending.
    public private(set) var lackedThere: [UInt64] = []
    /// Hashes of keys whose state this side should ask for, ascending.
    public private(set) var lackedHere: [UInt64] = []

    /// - Parameters:
    ///   - here: ascending by hash; `there` as well.
    ///   - fresh: stamps of writes that are still on their way.
    public init(here: [KeyState], there: [KeyState], fresh: ClosedRange<UInt64>) {
        var (left, right) = (here[...], there[...])
        while let hash = [left.first?.hash, right.first?.hash].compactMap({ $0 }).min() {
            let mine = left.first?.hash == hash ? left.removeFirst() : nil
            let other = right.first?.hash == hash ? right.removeFirst() : nil
            guard mine?.digest != other?.digest else { continue }
            let (mineStamp, otherStamp) = (mine?.stamp ?? 0, other?.stamp ?? 0)
            guard !fresh.contains(max(mineStamp, otherStamp)) else { continue }
            let isEither =
                mineStamp == otherStamp || (mine?.merges ?? false)
                || (other?.merges ?? false)
            if mine != nil, isEither || otherStamp < mineStamp { lackedThere.append(hash) }
            if other != nil, isEither || mineStamp < otherStamp { lackedHere.append(hash) }
        }
    }

    /// Hashes of what another side has and this one does not hold like that.
    ///
    /// - Parameter here: ascending by hash; `there` as well.
    public static func refuted(here: [KeyState], there: [KeyState]) -> [UInt64] {
        var left = here[...]
        return there.compactMap { state in
            while let first = left.first, first.hash < state.hash { left.removeFirst() }
            let isHeld = left.first?.hash == state.hash && left.first?.digest == state.digest
            return isHeld ? nil : state.hash
        }
    }
}
