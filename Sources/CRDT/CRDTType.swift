import Coding

/// The types that one key may have. Their order and raw values are those of the encoding.
public enum CRDTType: UInt8, CaseIterable, Sendable {
    /// A register and a counter in one, as Redis strings are.
    case string = 0
    case flag = 1
    case set = 2
    case hash = 3
    case sortedSet = 4
    case list = 5
    case boundedCounter = 6
}

/// Some of the types of a key, and perhaps its expiry.
struct TypeMask: Equatable, Sendable {
    /// One bit a type; the top bit is the expiry.
    var bits: UInt8

    static let none = TypeMask(bits: 0)
    static let expiry = TypeMask(bits: 128)

    init(bits: UInt8) { self.bits = bits }
    init(_ type: CRDTType) { bits = 1 << type.rawValue }

    var isEmpty: Bool { bits == 0 }
    func contains(_ other: TypeMask) -> Bool { bits & other.bits == other.bits }
    func contains(_ type: CRDTType) -> Bool { contains(TypeMask(type)) }
    /// The first of the types; nil for none.
    var first: CRDTType? { CRDTType(rawValue: UInt8(bits.trailingZeroBitCount)) }
    mutating func formUnion(_ other: TypeMask) { bits |= other.bits }
}

/// Why a mutation was not done. The state is as it was.
public enum CRDTRefusal: Error, Equatable, Sendable {
    /// The key holds this type.
    case wrongType(CRDTType)
    /// The value is not a number, or the number not an integer.
    case notANumber
    /// The result would be out of range.
    case overflow
    /// The index is not in the list, or the element to insert beside is missing.
    case absent
    /// An element, a value or a list position would be larger than its limit.
    case tooLarge
    /// The key would have more elements than its limit.
    case tooMany
    /// This identity's rights to decrement do not cover the amount.
    case insufficientRights
}
