/// The one source of randomness: xoshiro256**, seeded through SplitMix64, so that a seed replays a
/// run.
///
/// Source: Blackman & Vigna, "Scrambled linear pseudorandom number generators" (2021), §5; not for
/// secrets.
public struct PRNG: RandomNumberGenerator, Sendable {
    @usableFromInline var state: (UInt64, UInt64, UInt64, UInt64)

    /// - Parameter seed: any number; equal seeds give equal sequences.
    public init(seed: UInt64) {
        var mixer = seed
        func mixed() -> UInt64 {
            mixer &+= 0x9E37_79B9_7F4A_7C15
            return finalMix(mixer)
        }
        state = (mixed(), mixed(), mixed(), mixed())
    }

    @inlinable public mutating func next() -> UInt64 {
        let product = state.1 &* 5
        let result = (product << 7 | product >> 57) &* 9
        let shifted = state.1 << 17
        state.2 ^= state.0
        state.3 ^= state.1
        state.1 ^= state.2
        state.0 ^= state.3
        state.2 ^= shifted
        state.3 = state.3 << 45 | state.3 >> 19
        return result
    }

    /// A number in `0..<bound`; the bias is below bound/2⁶⁴.
    ///
    /// - Parameter bound: at least 1.
    @inlinable public mutating func below(_ bound: Int) -> Int {
        precondition(bound > 0, "a bound is at least 1")
        return Int(next().multipliedFullWidth(by: UInt64(bound)).high)
    }

    /// True with `perMille`/1000 probability.
    @inlinable public mutating func chance(perMille: Int) -> Bool { below(1000) < perMille }

    /// A generator of its own for one part of the world, so that drawing more here never shifts the
    /// draws there.
    public mutating func split() -> PRNG { PRNG(seed: next()) }
}

/// SplitMix64's output function: every input bit changes every output bit with probability near one
/// half.
@inlinable public func finalMix(_ value: UInt64) -> UInt64 {
    var mixed = value
    mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
    return mixed ^ mixed >> 31
}
