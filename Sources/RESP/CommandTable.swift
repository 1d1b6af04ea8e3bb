/// Finds commands by name and holds what is known of each.
///
/// A name is folded into two words and looked up by one multiplication: the constants that a
/// `switch` over such words would need are made from the descriptions, so that each command stands
/// in one line of one list.
public enum CommandTable {
    /// What is known of a command.
    public static func description(of name: CommandName) -> CommandDescription {
        ordered[Int(name.rawValue)]
    }

    /// All commands in order of `CommandName`.
    public static let ordered: [CommandDescription] = {
        let sorted = descriptions.sorted { $0.name.rawValue < $1.name.rawValue }
        precondition(
            sorted.map(\.name) == CommandName.allCases, "every command is described exactly once")
        return sorted
    }()

    /// What `COMMAND` names: all but what is always refused.
    static let listed = ordered.filter { !$0.flags.contains(.refused) }

    struct Slot {
        var folded = FoldedName.none
        var name = CommandName.ping
        var arity: Int8 = 0
    }

    /// About a quarter full, so that a look-up seldom takes a second step.
    private static let slots: InlineArray<512, Slot> = {
        var slots = InlineArray<512, Slot>(repeating: Slot())
        for description in ordered {
            let text = description.text
            guard
                let folded = FoldedName(
                    UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
            else { preconditionFailure("a command's name has 1 to 16 letters") }
            var index = folded.hash
            while slots[index].folded != .none { index = (index + 1) & 511 }
            let arity = Int8(description.acceptedArity)
            slots[index] = Slot(folded: folded, name: description.name, arity: arity)
        }
        return slots
    }()

    static func find(_ name: UnsafeRawBufferPointer) -> Slot? {
        guard let folded = FoldedName(name) else { return nil }
        var index = folded.hash
        while true {
            let slot = slots[index]
            if slot.folded == folded { return slot }
            if slot.folded == .none { return nil }
            index = (index + 1) & 511
        }
    }
}

/// A name of 1…16 letters as two words, the same for every spelling in upper and lower case.
///
/// Setting bit 5 maps the two cases of a letter to the lower one and maps nothing else to a letter,
/// so names of letters only are told apart from everything else.
struct FoldedName: Equatable {
    private let low: UInt64
    private let high: UInt64

    static let none = FoldedName(low: 0, high: 0)

    private init(low: UInt64, high: UInt64) {
        self.low = low
        self.high = high
    }

    @inline(__always)
    init?(_ name: UnsafeRawBufferPointer) {
        guard name.count > 0, name.count <= 16 else { return nil }
        low = FoldedName.word(name, from: 0, to: min(name.count, 8))
        high = name.count > 8 ? FoldedName.word(name, from: 8, to: name.count) : 0
    }

    @inline(__always)
    private static func word(
        _ name: UnsafeRawBufferPointer, from start: Int, to end: Int
    ) -> UInt64 {
        var word: UInt64 = 0
        var index = start
        while index < end {
            word = word << 8 | UInt64(name[index] | 0x20)
            index += 1
        }
        return word
    }

    /// A place in a table of 512.
    @inline(__always)
    var hash: Int { Int(((low ^ high) &* 0x9E37_79B9_7F4A_7C15) >> 55) }
}
