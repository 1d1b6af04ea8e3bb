import Testing

@Suite("Each rule catches what it forbids, and leaves the rest alone")
struct RuleTests {
    private func body(lines: Int) -> String { String(repeating: "    f()\n", count: lines) }

    private func function(lines: Int) -> String { "func sample() {\n\(body(lines: lines - 2))}\n" }

    @Test("a function of 71 lines is too long, one of 70 is not")
    func functionLines() {
        #expect(Sizes.offences(SourceFile(function(lines: 70))).isEmpty)
        let found = Sizes.offences(SourceFile("\n" + function(lines: 71)))
        #expect(found.map(\.line) == [2])
        #expect(found.first?.description.hasPrefix("Sources/Quorum/Sample.swift:2: ") == true)
        #expect(Sizes.offences(SourceFile("var sample: Int {\n\(body(lines: 70))}")).count == 1)
        #expect(Sizes.offences(SourceFile("init?(a: Int) {\n\(body(lines: 70))}")).count == 1)
        #expect(Sizes.offences(SourceFile(test: function(lines: 71))).count == 1)
    }

    @Test("braces in strings and comments do not end a function")
    func bracesInText() {
        let text = "func sample() {\n  g(\"}\") // }\n  /* } */\n\(body(lines: 68))}"
        #expect(Sizes.offences(SourceFile(text)).count == 1)
    }

    @Test("a file of 601 lines is too long")
    func fileLines() {
        #expect(Sizes.offences(SourceFile(String(repeating: "\n", count: 600))).isEmpty)
        #expect(Sizes.offences(SourceFile(String(repeating: "\n", count: 601))).count == 1)
    }

    @Test("seven parameters are too many")
    func parameters() {
        #expect(Sizes.offences(SourceFile("func f(a: A, b: B, c: C, d: D, e: E, f: F) {}")).isEmpty)
        let seven = "func f(a: A, b: B, c: C, d: D, e: E, f: F, g: G) {}"
        #expect(Sizes.offences(SourceFile(seven)).count == 1)
    }

    @Test("a line of 101 characters is too wide, however many bytes 100 take")
    func columns() {
        #expect(Sizes.offences(SourceFile(String(repeating: "é", count: 100))).isEmpty)
        #expect(Sizes.offences(SourceFile(String(repeating: "a", count: 101))).count == 1)
    }

    @Test("a size above the aim needs an entry, and an entry that nothing needs must go")
    func explained() {
        let measures = Sizes.unexplained(SourceFile(function(lines: 41)))
        #expect(measures.map(\.size) == [41])
        func entry(_ size: Int) -> Explained {
            Explained(
                place: "Sources/Quorum/Sample.swift sample", quantity: .functionLines, size: size,
                reason: "sample")
        }
        #expect(Sizes.offences(measures, explained: []).count == 1)
        #expect(Sizes.offences(measures, explained: [entry(41)]).isEmpty)
        #expect(Sizes.offences(measures, explained: [entry(40)]).count == 1)
        #expect(Sizes.offences(measures, explained: [entry(42)]).count == 1)
        #expect(Sizes.offences([], explained: [entry(41)]).count == 1)
        #expect(Sizes.unexplained(SourceFile(function(lines: 40))).isEmpty)
        #expect(Sizes.unexplained(SourceFile(function(lines: 71))).isEmpty)
        #expect(Sizes.unexplained(SourceFile(test: function(lines: 41))).isEmpty)
    }
}

@Suite("The import table")
struct RoomTests {
    private func offences(_ text: String, in target: String) -> Int {
        Rooms.offences(SourceFile(text, in: target), manifest: .sample).count
    }

    @Test("imports go down and only to listed rooms")
    func rooms() {
        #expect(offences("import Base\nimport Causality", in: "Quorum") == 0)
        #expect(offences("import Quorum", in: "Causality") == 1)
        #expect(offences("import Storage", in: "Quorum") == 1)
        #expect(offences("import Coding", in: "Quorum") == 1)
        #expect(offences("public import struct Replication.Node", in: "Base") == 1)
        #expect(offences("@preconcurrency import Server", in: "Lab") == 1)
    }

    @Test("each system module has its floors")
    func systemModules() {
        #expect(offences("import Foundation", in: "Quorum") == 1)
        #expect(offences("import Foundation", in: "Server") == 1)
        #expect(offences("import Foundation\nimport Glibc\nimport Synchronization", in: "Lab") == 0)
        #expect(offences("import Glibc", in: "Replication") == 1)
        #expect(offences("import Glibc", in: "Coding") == 0)
        #expect(offences("import Synchronization", in: "Replication") == 1)
        #expect(offences("import Dispatch", in: "Lab") == 1)
    }

    @Test("a test target lists the rooms it imports")
    func tests() {
        let file = SourceFile(test: "import Testing\n@testable import Quorum\nimport Base")
        #expect(Rooms.offences(file, manifest: .sample).map(\.line) == [3])
    }

    @Test("the manifest's own lists go down, and every target has a floor")
    func manifest() {
        #expect(Rooms.offences(.sample).isEmpty)
        #expect(Manifest.sample.targets.map(\.name).suffix(2) == ["QuorumTests", "quorate"])
        #expect(Manifest.sample.targets.last?.dependencies == ["Base", "Lab"])
        #expect(Rooms.offences(Manifest("room(\"Base\", [\"Quorum\"])")).count == 1)
        #expect(Rooms.offences(Manifest("room(\"Ring\", [\"RESP\"])")).count == 1)
        #expect(Rooms.offences(Manifest("room(\"Cellar\", [])")).count == 1)
        #expect(
            Rooms.offences(Manifest(".target(name: \"Base\", dependencies: [\"NIO\"])")).count == 1)
    }
}

@Suite("Banned calls")
struct BanTests {
    private func offences(_ text: String, in target: String = "Quorum") -> Int {
        Bans.offences(SourceFile(text, in: target)).count
    }

    @Test(
        "floors 0–3 have no clock, chance, thread or hash iteration of their own",
        arguments: [
            "clock_gettime(CLOCK_MONOTONIC, &t)", "let a = Date()", "ContinuousClock().now",
            "var g = SystemRandomNumberGenerator()", "Int.random(in: 0..<4)", "a.shuffled()",
            "a.randomElement()", "Task { }", "Task.detached { }", "let m = Mutex(1)", "Thread()",
            "DispatchQueue.main", "key.hashValue", "await f()", "var a: [Int: String]",
            "var a: Dictionary<Int, Int>", "let s: Set<Int>", "let s = Set([1])", "let a = [1: 2]",
            "f([:])", "func f(_ a: [NodeID: [Int]]) {}",
        ])
    func impure(_ text: String) {
        #expect(offences(text) == 1, "\(text)")
        #expect(offences(text, in: "Lab") == 0, "\(text)")
    }

    @Test(
        "what only looks like it is allowed",
        arguments: [
            "a.shuffled(using: &prng)", "Int.random(in: 0..<4, using: &prng)",
            "table[key, default: 0]",
            "a[slot: 3]", "[a ? b : c]", "let a = [f(x: 1), g { (y: Int) in y }]", "// Date()",
            "\"Task { }\"", "func time(a: Int) {}", "record.time(a)", "enum Set {}",
            "func hash(into hasher: inout Hasher) {}", "a?[key: 1]",
        ])
    func pure(_ text: String) { #expect(offences(text) == 0, "\(text)") }

    @Test("counters are counted, and decide nothing")
    func counters() {
        for text in ["let a = counters.reads", "if counters.b > before { }", "f(counters.c)"] {
            #expect(offences(text) == 1, "\(text)")
        }
        for text in ["counters.a += 1", "counters.a -= f(b)", "counters.named.map { $0 }"] {
            #expect(offences(text) == 0, "\(text)")
        }
    }

    @Test("a gate is lifted by the next step, or by the end of its scope")
    func gates() {
        let text = "effects.beginStep()"
        #expect(Bans.offences(SourceFile(text, in: "Replication", name: "Node")).isEmpty)
        #expect(Bans.offences(SourceFile(text, in: "Replication", name: "Node+Read")).count == 1)
    }

    @Test("only Table holds a dictionary")
    func table() {
        let text = "var storage: [Key: Value] = [:]"
        #expect(Bans.offences(SourceFile(text, in: "Base", name: "Table")).isEmpty)
        #expect(!Bans.offences(SourceFile(text, in: "Base", name: "SortedMap")).isEmpty)
    }

    @Test(
        "no source traps by accident",
        arguments: [
            "fatalError(\"x\")", "try! f()", "a as! B", "a!", "f()!.b", "a[0]!", "let a: Int!",
            "\"\\(a!)\"",
        ])
    func traps(_ text: String) {
        #expect(offences(text) == 1, "\(text)")
        #expect(offences(text, in: "Lab") == 1, "\(text)")
    }

    @Test(
        "negation and inequality are no unwrap",
        arguments: ["!a", "a != b", "a!=b", "(!a)", "f(!a)", "#if !os(Linux)\n#endif", "// a!"])
    func negation(_ text: String) { #expect(offences(text) == 0, "\(text)") }

    @Test("tests do not sleep, but may unwrap")
    func tests() {
        #expect(Bans.offences(SourceFile(test: "usleep(10)")).count == 1)
        #expect(Bans.offences(SourceFile(test: "let a = b!")).isEmpty)
    }
}

@Suite("Names and comments")
struct WordTests {
    private func names(_ text: String, in target: String = "Quorum", name: String) -> Int {
        Names.offences(SourceFile(text, in: target, name: name)).count
    }

    @Test("empty words are refused in type and file names")
    func empty() {
        #expect(names("struct LinkManager {}", name: "LinkManager") == 2)
        #expect(names("enum Utils {}\nstruct Ring {}", name: "Ring") == 1)
        #expect(names("struct NodeInfo {}\nstruct Ring {}", name: "Ring") == 1)
        #expect(names("struct DataFrame {}", name: "DataFrame") == 0)
        #expect(names("struct Commonest {}\nstruct Serviced {}", name: "Commonest") == 0)
    }

    @Test("ruled words are refused in declared names")
    func ruled() {
        #expect(names("struct A { var peerCount: Int }", name: "A") == 1)
        #expect(names("struct A { func f(to peer: Int) {} }", name: "A") == 0)
        #expect(names("struct A { func f(peer: Int) {} }", name: "A") == 1)
        #expect(names("struct A { let version: Int }", name: "A") == 1)
        #expect(names("struct A { let protocolVersion: Int }", name: "A") == 0)
        #expect(names("struct A { let version: Int }", in: "quorate", name: "A") == 0)
    }

    @Test("a file is named after what it declares")
    func fileNames() {
        #expect(names("struct Ring {}", name: "Rings") == 1)
        #expect(names("extension Ring {}", name: "Ring+Slots") == 0)
        #expect(names("func keyHash() {}", name: "KeyHash") == 0)
        #expect(names("struct NodeIdentity {}", name: "Identity") == 0)
        #expect(names("func run() {}", name: "main") == 0)
    }

    @Test("public declarations need a doc comment above their attributes")
    func documentation() {
        func offences(_ text: String) -> Int { Comments.offences(SourceFile(text)).count }
        #expect(offences("public struct A {}") == 1)
        #expect(offences("/// An A.\npublic struct A {}") == 0)
        #expect(offences("/// An A.\n@frozen\npublic struct A {}") == 0)
        #expect(offences("/// An A.\n\npublic struct A {}") == 1)
        #expect(offences("// An A.\npublic struct A {}") == 1)
        #expect(offences("package func f() {}") == 1)
        #expect(offences("func f() {}") == 0)
        #expect(offences("public let timeout: Int") == 1)
        #expect(offences("/// Counts.\npublic var opened: Int\npublic var closed: Int") == 0)
        #expect(offences("/// One.\npublic var opened: Int\n\npublic var closed: Int") == 1)
        #expect(offences("public let timeoutMilliseconds: Int\npublic let dot: Dot") == 0)
        #expect(offences("public static func < (a: A, b: A) -> Bool { a.b < b.b }") == 0)
        #expect(
            offences("public var description: String { \"\" }\npublic init(a: Int) { b = a }") == 0)
    }

    @Test("what a protocol documents need not be said again")
    func witnesses() {
        let file = SourceFile("protocol P {\n  func read(_ a: Int, at b: Int)\n}\nfunc c() {}")
        let requirements = Set(file.requirements)
        #expect(requirements.map(\.name) == ["read"])
        let witness = SourceFile("public func read(_ x: Int, at y: Int) {}")
        #expect(Comments.offences(witness, requirements: requirements).isEmpty)
        #expect(Comments.offences(witness).count == 1)
        let other = SourceFile("public func read(at y: Int) {}")
        #expect(Comments.offences(other, requirements: requirements).count == 1)
    }

    @Test("commented-out code and markers are leftovers")
    func leftovers() {
        func offences(_ text: String) -> Int { Comments.offences(SourceFile(text)).count }
        for text in [
            "let x = 1", "foo(bar, 1)", "a.b.foo()", "if x {", "}", "return f(x)", "import Base",
        ] {
            #expect(offences("// \(text)") == 1, "\(text)")
            #expect(offences("/// \(text)") == 0, "\(text)")
        }
        for text in [
            "Floor 0", "see f(x) and g(y)", "let the reader decide", "R + W > N", "(a, b)",
        ] {
            #expect(offences("// \(text)") == 0, "\(text)")
        }
        #expect(offences("/// TO" + "DO: later") == 1)
        #expect(offences("f() // FIX" + "ME") == 1)
    }
}

@Suite("The layout of the repository")
struct LayoutTests {
    @Test("the top level holds exactly what was designed")
    func top() {
        #expect(Layout.offences(top: Layout.top + [".git", ".ci"]).isEmpty)
        #expect(Layout.offences(top: Layout.top + ["docs"]).map(\.path) == ["docs"])
        #expect(Layout.offences(top: Array(Layout.top.dropFirst())).count == 1)
    }

    @Test("README names every target, tests aside")
    func map() {
        let map = "`CLinux` `Base` `Causality` `Quorum` `Lab` `quorate`"
        #expect(Layout.offences(readme: map, manifest: .sample).isEmpty)
        #expect(Layout.offences(readme: "`Base`", manifest: .sample).count == 5)
    }
}
