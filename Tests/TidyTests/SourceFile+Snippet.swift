/// Source text that the tests of the rules are tried on.
extension SourceFile {
    init(_ text: String, in target: String = "Quorum", name: String = "Sample") {
        self.init(path: "Sources/\(target)/\(name).swift", text: text)
    }

    init(test text: String) { self.init(path: "Tests/QuorumTests/Sample.swift", text: text) }
}

extension Manifest {
    /// A house of three rooms, well built.
    static let sample = Manifest(
        """
        func room(_ name: String) -> Target { .target(name: name, dependencies: []) }
        let package = Package(
            targets: [
                .systemLibrary(name: "CLinux"),
                room("Base", []),
                room("Causality", ["Base"]),
                room("Quorum", ["Base", "Causality"]),
                room("Lab", ["Base"]),
                tests("Quorum", ["Quorum"]),
                .executableTarget(name: "quorate", dependencies: ["Base", "Lab"], settings: strict),
            ])
        """)
}
