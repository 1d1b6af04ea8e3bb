/// Rows of text under headings, every column as wide as its widest cell.
public struct TextTable: Equatable, Sendable {
    private let headings: [String]
    private var rows: [[String]] = []

    public init(_ headings: [String]) { self.headings = headings }

    /// Adds a row of as many cells as there are headings.
    public mutating func add(_ cells: [String]) {
        precondition(cells.count == headings.count, "a row has a cell under every heading")
        rows.append(cells)
    }

    /// The headings and then the rows; cells that begin with a digit stand on the right of their
    /// column.
    public var lines: [String] {
        let widths = headings.indices.map { column in
            ([headings] + rows).map { $0[column].count }.max() ?? 0
        }
        return ([headings] + rows).map { row in
            let cells = zip(row, widths).map { cell, width in
                let blanks = String(repeating: " ", count: width - cell.count)
                return cell.first?.isNumber == true ? blanks + cell : cell + blanks
            }
            return cells.joined(separator: "  ").trimmingEnd
        }
    }
}

extension String {
    fileprivate var trimmingEnd: String {
        var text = self[...]
        while text.last == " " { text.removeLast() }
        return String(text)
    }
}
