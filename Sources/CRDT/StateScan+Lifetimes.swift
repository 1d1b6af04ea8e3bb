import Base
import Causality
import Coding

// Lifetimes: a key has few, so they are read. What ends as a whole, or was told to last, is known
// here; what ends in parts is built to know when.
extension StateScan {
    mutating func passLifetimes(_ buffer: inout ByteBuffer) throws(DecodeError) -> Bool {
        guard try passRemoved(&buffer), try decoder.count() == 1,
            try decoder.reader.passBytes().isEmpty
        else { return false }
        let seen = own.map { VersionVector($0) } ?? wholeContext
        // What a delta notes of totals names dots: that is not written out as a state's.
        if own == nil { decoder.identities = seen.entries }
        var entries: [DotEntry<Lifetime>] = []
        for _ in 0..<(try decoder.count()) {
            guard let dot = try passDot(&buffer), let order = try passDot(&buffer) else {
                return false
            }
            if let last = entries.last, dot <= last.dot { return false }
            let lifetime = try Lifetime(behind: order, &decoder)
            guard lifetime.allDots({ seen.contains($0) }) else { return false }
            entries.append(DotEntry(dot: dot, payload: lifetime))
        }
        guard let time = Lifetimes(entries).commonTime(seen) else { return false }
        expiry = time
        return true
    }
}
