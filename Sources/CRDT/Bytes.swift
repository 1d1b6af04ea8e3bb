import Coding
import Glibc

/// A run of bytes that orders as an unsigned byte string: an element, a field, a member or a value.
public struct Bytes: Hashable, Comparable, Sendable, ExpressibleByStringLiteral {
    public let array: [UInt8]

    public init(_ array: [UInt8]) { self.array = array }

    /// The UTF-8 bytes of a literal.
    public init(stringLiteral text: String) { array = Array(text.utf8) }

    public var count: Int { array.count }

    public static func < (a: Bytes, b: Bytes) -> Bool { a.order(against: b) < 0 }

    /// Negative before `other`, 0 for the same bytes, positive behind it.
    public func order(against other: Bytes) -> Int {
        array.withUnsafeBytes { left in
            other.array.withUnsafeBytes { Self.order(left, against: $0) }
        }
    }

    /// The same of bytes that are not kept.
    public static func order(
        _ left: UnsafeRawBufferPointer, against right: UnsafeRawBufferPointer
    ) -> Int {
        let shared = min(left.count, right.count)
        guard shared > 0, let x = left.baseAddress, let y = right.baseAddress else {
            return left.count - right.count
        }
        let order = memcmp(x, y, shared)
        return order == 0 ? left.count - right.count : Int(order)
    }
}

extension Bytes: DotKey, DotPayload {
    /// The one key of the types that have no elements.
    static let unit = Bytes([])

    func encode(into encoder: inout DotEncoder) { encoder.append(self) }

    init(decoding decoder: inout DotDecoder) throws(DecodeError) { self = try decoder.bytes() }

    mutating func join(_ other: Bytes) { self = max(self, other) }
}
