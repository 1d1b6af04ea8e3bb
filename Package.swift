// swift-tools-version: 6.3
import PackageDescription

// The rooms of the house and their floors; `Tests/TidyTests` holds every import to this table.
let strict: [SwiftSetting] = [.treatAllWarnings(as: .error)]

func room(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: strict)
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .testTarget(name: name + "Tests", dependencies: dependencies, swiftSettings: strict)
}

let package = Package(
    name: "quorate",
    products: [
        .library(name: "Quorate", targets: ["Replication", "Server"]),
        .executable(name: "quorate", targets: ["quorate"]),
    ],
    targets: [
        // Below floor 0: what Glibc's Swift module lacks, as inline C; nothing to install.
        .systemLibrary(name: "CLinux"),
        // Floor 0
        room("Base", []),
        room("Coding", ["CLinux"]),
        room("Secrets", []),
        // Floor 1
        room("Causality", ["Base", "Coding", "Secrets"]),
        // Above Causality on its floor: a mergeable value is made of Causality's dots.
        room("CRDT", ["Base", "Coding", "Causality"]),
        room("Ring", ["Base", "Coding"]),
        room("RESP", ["Base", "Coding"]),
        // Floor 2
        room("Quorum", ["Base", "Causality"]),
        room("AntiEntropy", ["Coding"]),
        room("Membership", ["Base", "Coding"]),
        room("Storage", ["Base", "Coding", "Secrets", "Causality"]),
        // Floor 3
        room(
            "Replication",
            [
                "Base", "Coding", "Secrets", "Causality", "CRDT", "Ring", "RESP", "Quorum",
                "AntiEntropy",
                "Membership", "Storage",
            ]),
        // Floor 4
        room("Reactor", ["CLinux", "Base", "Coding"]),
        // Floor 5
        room("Server", ["Base", "Coding", "Secrets", "RESP", "Storage", "Replication", "Reactor"]),
        room(
            "Simulator",
            ["Base", "Coding", "Secrets", "Causality", "Ring", "Storage", "Replication"]),
        room("Lab", ["Base", "Coding", "Secrets", "RESP", "Reactor"]),
        .executableTarget(
            name: "quorate",
            dependencies: [
                "Base", "Coding", "Secrets", "Ring", "RESP", "Replication", "Reactor", "Server",
                "Simulator",
                "Lab",
            ],
            swiftSettings: strict),
        tests("Lab", ["Base", "Secrets", "Lab"]),
        tests("quorate", ["quorate", "Base", "Secrets", "Lab", "Replication", "Server"]),
        tests("Tidy", []),
        tests("Coding", ["Coding", "Base"]),
        tests("Secrets", ["Secrets", "Base"]),
        tests("RESP", ["RESP", "Coding", "Base"]),
        tests("Base", ["Base"]),
        tests("Causality", ["Base", "Coding", "Secrets", "Causality"]),
        tests("CRDT", ["CLinux", "Base", "Coding", "Causality", "CRDT"]),
        tests("Ring", ["Base", "Ring"]),
        tests("Quorum", ["Base", "Quorum"]),
        tests("AntiEntropy", ["AntiEntropy", "Base", "Coding"]),
        tests("Membership", ["Base", "Coding", "Membership"]),
        tests(
            "Replication",
            [
                "CLinux", "Base", "Coding", "Secrets", "Causality", "CRDT", "AntiEntropy",
                "Membership", "RESP", "Ring", "Replication",
            ]),
        tests(
            "Storage", ["Base", "Coding", "Secrets", "Ring", "Replication", "Storage", "Simulator"]),
        tests("Simulator", ["Base", "Secrets", "Causality", "Replication", "Simulator"]),
        tests("Reactor", ["Base", "Reactor", "Storage"]),
        tests(
            "Server",
            [
                "Base", "Coding", "Secrets", "Membership", "Storage", "Ring", "Replication",
                "Reactor", "Server",
            ]),
    ],
    swiftLanguageModes: [.v6]
)
