import Testing

@testable import Lab

@Suite("JSON5 as settings are written in it")
struct JSONTests {
    @Test("comments, bare names, single quotes, trailing commas and hexadecimal numbers are read")
    func json5() throws {
        let text = """
            // a comment
            {bare: 'single', "quoted": 0x1F, /* another */ list: [1, -2.5, +3, .5, 5., 1e3,],
             yes: true, no: false, nothing: null, far: -Infinity,}
            """
        let expected: JSON = [
            "bare": "single", "quoted": 31,
            "list": [1, .number(-2.5), 3, .number(0.5), .number(5), .number(1000)],
            "yes": true, "no": false, "nothing": .null, "far": .number(-.infinity),
        ]
        #expect(try JSON(parsing: text) == expected)
    }

    @Test("escapes are read, surrogate pairs among them")
    func escapes() throws {
        #expect(try JSON(parsing: #""a\n\t\"\\\u00e9\x41\ud83d\ude00""#) == "a\n\t\"\\éA😀")
    }

    @Test(
        "what is broken is refused with its line",
        arguments: [
            ("{\n a: 1\n b: 2}", 3), ("{a: 1, a: 2}", 1), ("[1,\n", 2), ("'open", 1),
            ("{a: 1} x", 1),
            ("/* open", 1), ("{1a: 1}", 1), ("[tru]", 1), ("'\\ud800'", 1), ("", 1), ("'a\nb'", 1),
            ("--1", 1),
            ("1e", 1), ("0x", 1), ("-", 1), ("'\\", 1), ("'\\u12", 1), ("/", 1),
        ])
    func broken(text: String, line: Int) {
        let error = #expect(throws: JSON.ParseError.self) { try JSON(parsing: text) }
        #expect(error?.line == line)
    }

    @Test("nesting beyond 64 is refused, not followed")
    func depth() throws {
        let fits = String(repeating: "[", count: 64) + String(repeating: "]", count: 64)
        _ = try JSON(parsing: fits)
        #expect(throws: JSON.ParseError.self) {
            try JSON(parsing: String(repeating: "[", count: 100_000))
        }
    }

    @Test("what is written is read back, on one line and on several")
    func roundTrip() throws {
        let value: JSON = [
            "a": [1, "x\u{1}\"\\\n", .number(0.25), .null, true, [:], []], "b": ["c": -7],
            "é 😀": "\u{7F}",
        ]
        #expect(try JSON(parsing: value.line) == value)
        #expect(try JSON(parsing: value.pretty) == value)
        #expect(!value.line.contains("\n"))
        #expect((["a": [1, .number(2.5)]] as JSON).line == #"{"a":[1,2.5]}"#)
    }

    @Test("no cut or changed text traps")
    func damaged() {
        let text = Array(
            "{a: [1, 'é\\u0041', {b: 0x1f, /* c */ d: -1.5e3}], // e\n f: \"g\"}".utf8)
        for cut in 0...text.count {
            _ = try? JSON(parsing: String(decoding: text[..<cut], as: UTF8.self))
            for byte: UInt8 in [0, 34, 39, 42, 47, 58, 91, 92, 123, 125, 255] where cut < text.count
            {
                var changed = text
                changed[cut] = byte
                _ = try? JSON(parsing: String(decoding: changed, as: UTF8.self))
            }
        }
    }
}

@Suite("Did you mean")
struct SuggestionTests {
    @Test(
        "distance counts insertions, deletions, replacements and swaps of neighbours",
        arguments: [
            ("", "", 0), ("a", "", 1), ("kitten", "sitting", 3), ("stauts", "status", 1),
            ("abc", "abc", 0),
        ])
    func distance(a: String, b: String, expected: Int) {
        #expect(Suggestion.distance(a, b) == expected)
        #expect(Suggestion.distance(b, a) == expected)
    }

    @Test("the nearest name is suggested, and none that has little in common")
    func nearest() {
        let names = ["status", "start", "up", "down"]
        #expect(Suggestion.nearest(to: "stauts", among: names) == "status")
        #expect(
            Suggestion.nearest(to: "dataDir", among: ["x", "dataDirectory"]) == "dataDirectory")
        #expect(Suggestion.nearest(to: "STATUS", among: names) == "status")
        #expect(Suggestion.nearest(to: "xyzzy", among: names) == nil)
    }
}
