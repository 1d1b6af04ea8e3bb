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

    /// The list may only shrink.
    static let all: [Explained] = [
        Explained(
            place: "Sources/Causality/Record.swift write", quantity: .parameters, size: 6,
            reason: "the fields of a record's layout, in their order")
    ]
}
