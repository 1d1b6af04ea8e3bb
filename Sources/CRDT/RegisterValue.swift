import Coding

/// What a write put into a register.
struct RegisterValue: DotPayload {
    let value: Bytes
    /// Wall-clock milliseconds since 1970, 0 for never.
    let expiry: UInt64

    init(value: Bytes, expiry: UInt64) {
        self.value = value
        self.expiry = expiry
    }

    mutating func join(_ other: RegisterValue) {
        if (expiry, value) < (other.expiry, other.value) { self = other }
    }

    func encode(into encoder: inout DotEncoder) {
        encoder.append(varint: expiry)
        encoder.append(value)
    }

    init(decoding decoder: inout DotDecoder) throws(DecodeError) {
        expiry = try decoder.varint()
        value = try decoder.bytes()
    }
}

/// When the key expires.
struct ExpiryMark: DotPayload {
    /// Wall-clock milliseconds since 1970; not 0.
    var milliseconds: UInt64

    init(milliseconds: UInt64) { self.milliseconds = milliseconds }

    mutating func join(_ other: ExpiryMark) { milliseconds = max(milliseconds, other.milliseconds) }

    func encode(into encoder: inout DotEncoder) { encoder.append(varint: milliseconds) }

    init(decoding decoder: inout DotDecoder) throws(DecodeError) {
        milliseconds = try decoder.varint()
        guard milliseconds > 0 else { throw .invalid("an expiry has a time") }
    }
}
