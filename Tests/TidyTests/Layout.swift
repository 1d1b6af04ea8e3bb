/// What lies at the top of the repository, and whether README leads to every room.
enum Layout {
    static let top = ["Package.swift", "README.md", "Sources", "Tests", "bench"]

    static func offences(top names: [String]) -> [Offence] {
        let visible = names.filter { !$0.hasPrefix(".") }
        let extra = visible.filter { !top.contains($0) }.map {
            Offence(
                path: $0, line: 1, message: "not at the top level; move it into a room or delete it"
            )
        }
        let missing = top.filter { !visible.contains($0) }.map {
            Offence(path: $0, line: 1, message: "missing at the top level")
        }
        return extra + missing
    }

    static func offences(readme: String, manifest: Manifest) -> [Offence] {
        manifest.targets.filter { !$0.isTest && !readme.contains("`\($0.name)`") }.map {
            Offence(
                path: "README.md", line: 1,
                message: "the map does not name `\($0.name)`; add a row with its responsibility")
        }
    }
}
