import Testing

@Suite("Swift is cut into tokens and comments")
struct LexerTests {
    private func words(_ text: String) -> [String] { Lexer(text).tokens.map(\.text) }

    @Test("comments and strings hide what looks like code")
    func hidden() {
        #expect(words("a // b {\nc") == ["a", "c"])
        #expect(words("a /* b /* c */ d */ e") == ["a", "e"])
        #expect(words(#"f("a \" } b")"#) == ["f", "(", #"a \" } b"#, ")"])
        #expect(words(##"#"a " \n b"#"##) == [##"a " \n b"##])
    }

    @Test("a multi-line string keeps quotes and counts its lines")
    func multiline() {
        let tokens = Lexer("\"\"\"\na \"b\" }\n\"\"\"\nend").tokens
        #expect(tokens.map(\.kind) == [.string, .word])
        #expect(tokens.map(\.line) == [1, 4])
    }

    @Test("code inside an interpolation is code")
    func interpolation() {
        #expect(
            words(#""x \(f("y", z)) w""#) == [
                #"x \(f("y", z)) w"#, "(", "f", "(", "y", ",", "z", ")", ")",
            ])
    }

    @Test("operators are runs, brackets stand alone")
    func symbols() {
        #expect(words("a!=b&&[c!]") == ["a", "!=", "b", "&&", "[", "c", "!", "]"])
        #expect(words("0..<n") == ["0", "..<", "n"])
    }

    @Test("a block comment is one comment a line")
    func blockComment() {
        #expect(Lexer("/* a\n * b\n */").comments.map(\.line) == [1, 2, 3])
        #expect(Lexer("/// a").comments.map(\.isDocumentation) == [true])
    }
}

@Suite("Declarations are found by their tokens")
struct DeclarationsTests {
    private func declarations(_ text: String) -> [Declaration] {
        Declarations(Lexer(text).tokens).all()
    }

    @Test("a function spans its keyword to its closing brace")
    func lines() {
        let found = declarations(
            "@inlinable\npublic static func f<T>(\n    a: Int\n) {\n    g { }\n}")
        #expect(found.map(\.name) == ["f"])
        #expect(found[0].lines == 5)
        #expect(found[0].firstLine == 1)
        #expect(found[0].isExported)
    }

    @Test("parameters are counted by their own colons")
    func labels() {
        let found = declarations(
            "func f(_ a: [Int: Int], to b: (x: Int) -> Void = { (y: Int) in }, c: Int) {}")
        #expect(found[0].labels == ["_", "to", "c"])
    }

    @Test("a requirement of a protocol has no body, and what follows keeps its own")
    func requirements() {
        let found = declarations("protocol P {\n  func a() -> Int\n  func b()\n}\nfunc c() {\n}")
        #expect(found.map(\.name) == ["P", "a", "b", "c"])
        #expect(found.map { $0.lastLine == nil } == [false, true, true, false])
    }

    @Test("computed properties have a body, stored ones have none")
    func properties() {
        let found = declarations(
            "var a: Int { 1 }\nvar b: Int = f { 2 }\nprivate(set) var c: [Int]\nlet d = 1")
        #expect(found.map { $0.lastLine != nil } == [true, false, false, false])
        #expect(found[2].modifiers == ["private", "(", "set", ")"])
    }

    @Test("uses of init, class and type names are no declarations")
    func uses() {
        #expect(
            declarations("x = .init(a: 1); self.init(b: 2); protocol Q: class {}").map(\.name) == [
                "Q"
            ])
        #expect(declarations("class func f() {}").map(\.name) == ["f"])
        #expect(
            declarations("struct S { func < (a: Int, b: Int) -> Bool { a < b } }").map(\.name) == [
                "S", "<",
            ])
    }
}
