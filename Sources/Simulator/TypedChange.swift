/// What a key of a typed keyspace is used for; the key's number says which.
enum TypedRole: Int, CaseIterable {
    /// A string to which each increment adds a power of two of its own.
    case counter
    case set, hash, sortedSet, list
    /// `QBOUND`.
    case bounded
    /// `SET`, `GET`, `DEL`.
    case register
    /// Every command, every type, and expiry: nothing is promised but that replicas meet.
    case mixed

    init(_ number: Int) {
        let roles = TypedRole.allCases
        self = roles[number % roles.count]
    }
}

/// What a write does to a key of a typed keyspace.
///
/// Whatever the type, a value is a set of elements, each put there under a name that says which
/// write it came from: a member, a field, the power of two that an increment added.
struct TypedChange {
    /// The element that it puts there; nil for none.
    var element: [UInt8]?
    /// Elements that it takes away where it sees them.
    var removes: [[UInt8]] = []
    /// It takes away every element that it sees.
    var removesAll = false
    /// It takes away every increment that it sees: the field or member of that name is removed.
    var removesNumbers = false
    /// The same, by a number in their place; what it answers does not say whether there were any.
    var replacesNumbers = false
    /// It takes away one element at most, which the answer names.
    var pops = false
    /// Where a push puts its element.
    var push: Push?
    /// After how many milliseconds what it sees ends, where it gives that a time.
    var expires: Int?
    /// To a bounded counter: what it adds, or takes away when negative.
    var amount = 0
    /// It makes a bounded counter with this value, and 0 as its bound.
    var created: Int?

    /// One end of a list, on one connection to a replica: such pushes are in one order for all.
    struct Push {
        let isLeft: Bool
        let connection: Int
    }

    var isRemoval: Bool {
        removesAll || pops || removesNumbers || replacesNumbers || !removes.isEmpty
    }

    /// Whether an element is among what it takes away where it sees it, if that was said.
    func takes(_ element: [UInt8]) -> Bool {
        removesAll || removes.contains(element)
            || (removesNumbers || replacesNumbers) && TypedChange.isNumber(element)
    }

    /// Whether an element is an increment.
    static func isNumber(_ element: [UInt8]) -> Bool { element.first == UInt8(ascii: "b") }
}

/// What a client asked of a typed keyspace, and so how the answer is read.
enum TypedQuestion {
    /// Any answer but an error says that it was done.
    case change
    /// The same, and the answer is the number afterwards.
    case increment(bit: Int)
    /// The answer is the element that was taken away, if any.
    case pop(TypedRole)
    /// The answer is all of the value.
    case contents(TypedRole)
    /// The answers are whole values, one an operation.
    case several([TypedRole])
    /// The answer is the sum of several sets.
    case union
    /// Nothing follows from the answer.
    case anything
}
