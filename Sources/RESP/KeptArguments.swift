import Coding

/// Arguments that outlast the step in which their request was parsed, as bulk strings in RESP.
///
/// Those that are most of an input buffer keep that instead of a copy: one of 20 MB takes longer
/// than a turn may. As `InputBuffer` says, nobody changes its bytes meanwhile.
public struct KeptArguments: @unchecked Sendable {
    /// Valid as long as this value.
    public let bytes: UnsafeRawBufferPointer
    private let owner: InputBuffer

    /// - Parameter bytes: of the owner.
    init(_ bytes: UnsafeRawBufferPointer, of owner: InputBuffer) {
        self.bytes = bytes
        self.owner = owner
    }

    public init(copying bytes: UnsafeRawBufferPointer) {
        let copy = InputBuffer(bytes)
        self.init(copy.bytes, of: copy)
    }

    public init(copying bytes: [UInt8]) { self = bytes.withUnsafeBytes { Self(copying: $0) } }

    /// - Returns: nil when the bytes are not the owner's, or a copy takes less than half as much.
    init?(_ bytes: UnsafeRawBufferPointer, sharing owner: InputBuffer?) {
        guard let owner, let start = bytes.baseAddress, let first = owner.bytes.baseAddress,
            start >= first, start + bytes.count <= first + owner.count,
            bytes.count >= KeptArguments.sharedBytesMin, bytes.count >= owner.count / 2
        else { return nil }
        self.init(bytes, of: owner)
    }

    /// Bytes that are copied in any case.
    static let sharedBytesMin = 64 << 10
}
