/// What one request may cost before it is refused.
public struct RequestLimits: Equatable, Sendable {
    /// Bytes of one argument.
    public let bulkBytesMax: Int
    /// Arguments of one request.
    public let argumentsMax: Int
    /// Bytes of an inline command, without its line end.
    public let inlineBytesMax: Int
    /// Bytes of one request, framing included: what a connection may make the server hold.
    public let requestBytesMax: Int

    /// The defaults are those of Redis, except that a whole request is bounded by 1 GiB (its query
    /// buffer's limit).
    ///
    /// - Parameters:
    ///   - bulkBytesMax: bytes, at least 0.
    ///   - argumentsMax: at least 1.
    ///   - inlineBytesMax: bytes, 1…65,536 × 16.
    ///   - requestBytesMax: bytes, below 4 GiB, because offsets have 32 bits.
    public init(
        bulkBytesMax: Int = 512 << 20, argumentsMax: Int = 1 << 20, inlineBytesMax: Int = 64 << 10,
        requestBytesMax: Int = 1 << 30
    ) {
        precondition(bulkBytesMax >= 0 && argumentsMax >= 1, "a request has arguments")
        precondition(inlineBytesMax >= 1 && inlineBytesMax <= 1 << 20, "an inline command is short")
        precondition(requestBytesMax >= 1 && requestBytesMax < 1 << 32, "offsets have 32 bits")
        self.bulkBytesMax = bulkBytesMax
        self.argumentsMax = argumentsMax
        self.inlineBytesMax = inlineBytesMax
        self.requestBytesMax = requestBytesMax
    }
}
