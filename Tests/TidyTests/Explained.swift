/// A size above the limit that goes without saying, and why it is right there.
struct Explained {
    /// A path, or a path and a function's name.
    let place: String
    let quantity: Measure.Quantity
    /// The size as it is; it may only go down.
    let size: Int
    let reason: String

    func allows(_ measure: Measure) -> Bool { isAbout(measure) && measure.size <= size }
    func needs(_ measure: Measure) -> Bool { isAbout(measure) && measure.size >= size }

    private func isAbout(_ measure: Measure) -> Bool {
        place == measure.place && quantity == measure.quantity
    }

    private static let along = "where a reply goes and the effects go along with every step"

    /// The list may only shrink.
    static let all: [Explained] = [
        Explained(
            place: "Sources/Replication/Node+Commands.swift isAllowed",
            quantity: .parameters, size: 6,
            reason: along),
        Explained(
            place: "Sources/Replication/Node+Links.swift send",
            quantity: .parameters, size: 6,
            reason: "the fields of a message, in their order"),
        Explained(
            place: "Sources/Replication/Node+Forward.swift forward",
            quantity: .parameters, size: 6,
            reason: along),
        Explained(
            place: "Sources/Replication/Node+Read.swift read",
            quantity: .parameters, size: 6,
            reason: along),
        Explained(
            place: "Sources/Replication/Node+Read.swift ask",
            quantity: .parameters, size: 6,
            reason: along),
        Explained(
            place: "Sources/Replication/Node+Strings.swift finish",
            quantity: .parameters, size: 6,
            reason: along),
        Explained(
            place: "Sources/Replication/Node+Strings.swift deleteOne",
            quantity: .parameters, size: 6,
            reason: along),
        Explained(
            place: "Sources/Replication/Node+Write.swift merge",
            quantity: .parameters, size: 6,
            reason: along),
        Explained(
            place: "Sources/Replication/Node+Write.swift sendReplicas",
            quantity: .parameters, size: 6,
            reason: along),
        Explained(
            place: "Sources/Causality/Record.swift write",
            quantity: .parameters, size: 6,
            reason: "the fields of a record's layout, in their order"),
    ]
}
