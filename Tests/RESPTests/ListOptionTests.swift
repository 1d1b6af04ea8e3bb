import Testing

@testable import RESP

@Suite("Options of lists")
struct ListOptionTests {
    @Test(
        "Index ranges, as LRANGE of five elements takes them",
        arguments: [
            (0, -1, 0..<5), (0, 4, 0..<5), (1, 2, 1..<3), (-3, -2, 2..<4), (-100, 100, 0..<5),
            (3, 1, 0..<0), (5, 9, 0..<0), (4, 4, 4..<5), (-100, -6, 0..<0), (0, -5, 0..<1),
            (Int64.min, Int64.max, 0..<5), (.max, .min, 0..<0),
        ])
    func ranges(_ first: Int64, _ last: Int64, _ positions: Range<Int>) {
        let range = IndexRange(first: first, last: last)
        let found = range.positions(of: 5)
        #expect(found == positions || found.isEmpty && positions.isEmpty)
        #expect(range.positions(of: 0).isEmpty)
    }

    @Test("LRANGE's arguments are integers")
    func indexRange() throws {
        func range(_ line: String) -> Result<IndexRange, CommandError> {
            parse(line) { arguments throws(CommandError) in try IndexRange(arguments, at: 2) }
        }
        #expect(range("LRANGE l 0 -1") == .success(IndexRange(first: 0, last: -1)))
        #expect(range("LRANGE l x 1") == .failure(.notAnInteger))
        #expect(range("LTRIM l 0 x") == .failure(.notAnInteger))
    }

    @Test("LINSERT")
    func insertion() throws {
        func insertion(_ line: String) -> Result<ListInsertOptions, CommandError> {
            parse(line) { arguments throws(CommandError) in try ListInsertOptions(arguments) }
        }
        let before = try insertion("LINSERT l before p e W 1").get()
        #expect(before.isBefore && before.consistency.w == .count(1))
        #expect(before.pivot == 3 && before.element == 4)
        #expect(try !insertion("LINSERT l AFTER p e").get().isBefore)
        #expect(insertion("LINSERT l foo p e") == .failure(.syntax))
        #expect(insertion("LINSERT l AFTER p e f") == .failure(.wrongArgumentCount(.linsert)))
    }

    @Test("LREM")
    func removal() throws {
        func removal(_ line: String) -> Result<ListRemoveOptions, CommandError> {
            parse(line) { arguments throws(CommandError) in try ListRemoveOptions(arguments) }
        }
        let last = try removal("LREM l -2 e").get()
        #expect(last.limit == 2 && last.isFromEnd && last.element == 3)
        let all = try removal("LREM l 0 e").get()
        #expect(all.limit == .max && !all.isFromEnd)
        #expect(try removal("LREM l -9223372036854775808 e").get().limit == .max)
        #expect(removal("LREM l x e") == .failure(.notAnInteger))
    }

    func search(_ tail: String) -> Result<ListSearchOptions, CommandError> {
        parse("LPOS l e" + tail) { arguments throws(CommandError) in
            try ListSearchOptions(arguments)
        }
    }

    @Test("LPOS")
    func searches() throws {
        let plain = try search("").get()
        #expect(plain.rank == 1 && plain.count == nil && plain.comparisonsMax == 0)
        let all = try search(" RANK -2 COUNT 0 maxlen 10 R 1").get()
        #expect(all.rank == 2 && all.isFromEnd && all.count == 0 && all.comparisonsMax == 10)
        #expect(all.consistency.r == .count(1))
    }

    @Test(
        "What Redis refuses of LPOS",
        arguments: [
            (" RANK 0", CommandError.option(.zeroRank)), (" RANK x", .notAnInteger),
            (" RANK -9223372036854775808", .value(.countOutOfRange)),
            (" COUNT -1", .option(.negativeCount)), (" COUNT x", .option(.negativeCount)),
            (" MAXLEN -1", .option(.negativeMaxLength)), (" FOO", .syntax), (" RANK", .syntax),
        ])
    func refused(_ tail: String, _ error: CommandError) {
        #expect(search(tail) == .failure(error))
    }
}
