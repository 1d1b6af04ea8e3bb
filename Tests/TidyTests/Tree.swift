import Foundation

/// The repository as it lies on disk.
struct Tree {
    let files: [SourceFile]
    let manifest: Manifest
    let readme: String
    /// Names at the top level, dotfiles included.
    let top: [String]

    init(root: String) throws {
        let manager = FileManager.default
        files = try ["Sources", "Tests"].flatMap { folder -> [SourceFile] in
            let paths = manager.enumerator(atPath: root + "/" + folder)?.compactMap {
                $0 as? String
            }
            return try (paths ?? []).filter { $0.hasSuffix(".swift") }.sorted().map { path in
                let name = folder + "/" + path
                return SourceFile(
                    path: name, text: try String(contentsOfFile: root + "/" + name, encoding: .utf8)
                )
            }
        }
        manifest = Manifest(try String(contentsOfFile: root + "/Package.swift", encoding: .utf8))
        readme = (try? String(contentsOfFile: root + "/README.md", encoding: .utf8)) ?? ""
        top = try manager.contentsOfDirectory(atPath: root)
    }

    /// The package that this file belongs to.
    static func root(from path: String = #filePath) -> String {
        path.split(separator: "/").dropLast(3).reduce("") { $0 + "/" + $1 }
    }

    func offences(_ rule: (SourceFile) -> [Offence]) -> [Offence] { files.flatMap(rule) }
}
