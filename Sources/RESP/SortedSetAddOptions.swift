/// The arguments of `ZADD` behind the key.
public struct SortedSetAddOptions: Equatable, Sendable {
    /// Which members are changed; all that are set must hold.
    public struct Conditions: OptionSet, Sendable {
        public let rawValue: UInt8

        public init(rawValue: UInt8) { self.rawValue = rawValue }

        /// NX: it is absent.
        public static let absent = Conditions(rawValue: 1)
        /// XX: it is present.
        public static let present = Conditions(rawValue: 2)
        /// GT: it is absent, or the new score is greater.
        public static let greater = Conditions(rawValue: 4)
        /// LT: it is absent, or the new score is less.
        public static let less = Conditions(rawValue: 8)
    }

    public var conditions: Conditions = []
    /// CH: whether changed members count as well as new ones.
    public var countsChanged = false
    /// INCR: whether the number is added to the score of the one member, which is the answer.
    public var isIncrement = false
    /// How many members there are; at least 1.
    public private(set) var count: Int
    private var first: Int

    /// - Throws: `syntax`, `OptionRefusal.presentBesideAbsent`, `comparisonsBesideAbsent`,
    ///   `severalIncrements`.
    public init(_ arguments: borrowing Arguments) throws(CommandError) {
        first = 2
        count = 0
        while takeOption(arguments, first) { first += 1 }
        guard first < arguments.count, (arguments.count - first) % 2 == 0 else { throw .syntax }
        count = (arguments.count - first) / 2
        guard !conditions.isSuperset(of: [.absent, .present]) else {
            throw .option(.presentBesideAbsent)
        }
        let exclusive = conditions.intersection([.absent, .greater, .less])
        guard exclusive.rawValue.nonzeroBitCount < 2 else {
            throw .option(.comparisonsBesideAbsent)
        }
        guard !isIncrement || count == 1 else { throw .option(.severalIncrements) }
    }

    /// Index of a member's score.
    public func score(_ pair: Int) -> Int { first + 2 * pair }

    /// Index of a member.
    public func member(_ pair: Int) -> Int { first + 2 * pair + 1 }

    private mutating func takeOption(_ arguments: borrowing Arguments, _ index: Int) -> Bool {
        if arguments.matches(index, "NX") {
            conditions.insert(.absent)
        } else if arguments.matches(index, "XX") {
            conditions.insert(.present)
        } else if arguments.matches(index, "GT") {
            conditions.insert(.greater)
        } else if arguments.matches(index, "LT") {
            conditions.insert(.less)
        } else if arguments.matches(index, "CH") {
            countsChanged = true
        } else if arguments.matches(index, "INCR") {
            isIncrement = true
        } else {
            return false
        }
        return true
    }
}
