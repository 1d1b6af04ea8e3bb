/// A keyed 64-bit hash of bytes for tables: two multiplications for the common key, keyed so that a
/// client who does not know the key cannot choose bytes that collide.
///
/// Source: Wang Yi, wyhash final 4 (the folded multiply and its secrets); not a message
/// authentication code.
///
/// - Complexity: O(count).
@inlinable public func keyHash(_ bytes: UnsafeRawBufferPointer, key: UInt64) -> UInt64 {
    let count = bytes.count
    guard let base = bytes.baseAddress, count > 0 else { return finalMix(key) }
    var seed = key ^ 0xA076_1D64_78BD_642F
    // Keyed too: against a published constant a client could choose words that zero the product.
    let secret = key &* 0x9E37_79B9_7F4A_7C15 ^ 0xE703_7ED1_A0B4_28DB
    var low: UInt64
    var high: UInt64
    if count <= 16 {
        (low, high) = shortWords(base, count)
    } else {
        var offset = 0
        while count - offset > 16 {
            seed = foldedMultiply(
                word64(base + offset) ^ secret, word64(base + offset + 8) ^ seed)
            offset += 16
        }
        low = word64(base + count - 16)
        high = word64(base + count - 8)
    }
    low ^= secret
    high ^= seed
    return foldedMultiply(foldedMultiply(low, high) ^ 0xA076_1D64_78BD_642F, UInt64(count) ^ seed)
}

@inlinable func shortWords(_ base: UnsafeRawPointer, _ count: Int) -> (UInt64, UInt64) {
    if count >= 8 { return (word64(base), word64(base + count - 8)) }
    if count >= 4 {
        return (
            UInt64(base.loadUnaligned(as: UInt32.self)),
            UInt64((base + count - 4).loadUnaligned(as: UInt32.self))
        )
    }
    let first = UInt64(base.load(as: UInt8.self))
    let middle = UInt64((base + count >> 1).load(as: UInt8.self))
    let last = UInt64((base + count - 1).load(as: UInt8.self))
    return (first << 16 | middle << 8 | last, 0)
}

@inlinable func word64(_ pointer: UnsafeRawPointer) -> UInt64 {
    pointer.loadUnaligned(as: UInt64.self)
}

@inlinable func foldedMultiply(_ a: UInt64, _ b: UInt64) -> UInt64 {
    let product = a.multipliedFullWidth(by: b)
    return product.low ^ product.high
}
