import Testing

/// Holds this repository to its own style.
@Suite("The sources keep their own rules")
struct TreeTests {
    private static let tree = Result { try Tree(root: Tree.root()) }

    private func tree() throws -> Tree { try Self.tree.get() }

    private func report(_ offences: [Offence]) {
        for offence in offences {
            let place = SourceLocation(
                fileID: offence.path, filePath: "\(Tree.root())/\(offence.path)",
                line: offence.line,
                column: 1)
            Issue.record("\(offence)", sourceLocation: place)
        }
    }

    @Test("the tree is found and is not empty")
    func found() throws {
        #expect(try tree().files.contains { $0.path == "Tests/TidyTests/Tree.swift" })
        #expect(try tree().manifest.targets.contains { $0.name == "Base" })
    }

    @Test("no line, file, function or parameter list is larger than the limit")
    func sizes() throws { report(try tree().offences(Sizes.offences)) }

    @Test("what is larger than it should be is listed with its reason, and the list shrinks")
    func explainedSizes() throws {
        let measures = try tree().files.flatMap(Sizes.unexplained)
        report(Sizes.offences(measures, explained: Explained.all))
    }

    @Test("imports point downward and are listed in Package.swift")
    func imports() throws {
        let tree = try tree()
        report(tree.offences { Rooms.offences($0, manifest: tree.manifest) })
        report(Rooms.offences(tree.manifest))
    }

    @Test("no clock, chance, thread or hash iteration on floors 0–3; no traps or force unwraps")
    func bans() throws { report(try tree().offences(Bans.offences)) }

    @Test("names say what a thing is")
    func names() throws { report(try tree().offences(Names.offences)) }

    @Test("public declarations are documented; no leftovers in comments")
    func comments() throws {
        let tree = try tree()
        let requirements = Set(tree.files.flatMap(\.requirements))
        report(tree.offences { Comments.offences($0, requirements: requirements) })
    }

    @Test("the top level is as designed and README names every target")
    func layout() throws {
        report(Layout.offences(top: try tree().top))
        report(Layout.offences(readme: try tree().readme, manifest: try tree().manifest))
    }
}
