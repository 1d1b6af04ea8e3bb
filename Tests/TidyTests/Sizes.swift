/// Limits on lines, files, functions and parameters.
enum Sizes {
    static let columnsMax = 100
    static let fileLinesMax = 600
    static let functionLinesMax = 70
    static let parametersMax = 6

    /// What is broken and may never be.
    static func offences(_ file: SourceFile) -> [Offence] {
        columns(file) + length(file) + functions(file)
    }

    static func columns(_ file: SourceFile) -> [Offence] {
        file.lines.enumerated().compactMap { index, line in
            guard line.utf8.count > columnsMax, line.count > columnsMax else { return nil }
            return file.offence(
                index + 1, "\(line.count) columns; wrap the line at \(columnsMax)")
        }
    }

    private static func length(_ file: SourceFile) -> [Offence] {
        guard file.lineCount > fileLinesMax else { return [] }
        return [
            file.offence(
                fileLinesMax + 1,
                "the file has \(file.lineCount) lines, at most \(fileLinesMax) are allowed; "
                    + "split it by phase or message into Type+Aspect.swift")
        ]
    }

    private static func functions(_ file: SourceFile) -> [Offence] {
        file.declarations.flatMap { declaration in
            var offences: [Offence] = []
            if declaration.isMeasured, declaration.lines > functionLinesMax {
                offences.append(
                    file.offence(
                        declaration.line,
                        "`\(declaration.name)` has \(declaration.lines) lines, at most "
                            + "\(functionLinesMax) are allowed; split it by phase"))
            }
            if declaration.isCallable, declaration.labels.count > parametersMax {
                offences.append(
                    file.offence(
                        declaration.line,
                        "`\(declaration.name)` takes \(declaration.labels.count) parameters, at "
                            + "most \(parametersMax) are allowed; group what belongs together"))
            }
            return offences
        }
    }
}

/// Sizes that want an explanation: each is listed in `Explained.all`, or it is an offence.
extension Sizes {
    static let fileLinesUnexplained = 400
    static let functionLinesUnexplained = 40
    static let parametersUnexplained = 5

    /// Everything in Sources that is above these sizes, but not above what is never allowed.
    static func unexplained(_ file: SourceFile) -> [Measure] {
        guard !file.isTest else { return [] }
        var measures: [Measure] = []
        if file.lineCount > fileLinesUnexplained {
            measures.append(Measure(file.path, .fileLines, file.lineCount, line: 1))
        }
        for declaration in file.declarations {
            let place = "\(file.path) \(declaration.name)"
            if declaration.isMeasured, declaration.lines > functionLinesUnexplained {
                measures.append(
                    Measure(place, .functionLines, declaration.lines, line: declaration.line))
            }
            if declaration.isCallable, declaration.labels.count > parametersUnexplained {
                let count = declaration.labels.count
                measures.append(Measure(place, .parameters, count, line: declaration.line))
            }
        }
        return measures.filter { $0.size <= $0.quantity.max }
    }

    /// What is larger than its explanation allows, or has none; and explanations that nothing
    /// needs any more.
    static func offences(_ measures: [Measure], explained: [Explained]) -> [Offence] {
        let unlisted = measures.filter { measure in
            !explained.contains { $0.allows(measure) }
        }.map(\.offence)
        let idle = explained.filter { entry in
            !measures.contains { entry.needs($0) }
        }.map { entry in
            Offence(
                path: "Tests/TidyTests/Explained.swift", line: 1,
                message: "`\(entry.place)` is smaller than its entry (\(entry.size)); lower the "
                    + "number or remove the entry: the list only shrinks")
        }
        return unlisted + idle
    }
}

/// A size above what goes without saying.
struct Measure: Equatable {
    enum Quantity {
        case fileLines, functionLines, parameters

        var max: Int {
            switch self {
            case .fileLines: Sizes.fileLinesMax
            case .functionLines: Sizes.functionLinesMax
            case .parameters: Sizes.parametersMax
            }
        }
    }

    /// A path, or a path and a function's name.
    let place: String
    let quantity: Quantity
    let size: Int
    /// Counted from 1.
    let line: Int

    init(_ place: String, _ quantity: Quantity, _ size: Int, line: Int) {
        self.place = place
        self.quantity = quantity
        self.size = size
        self.line = line
    }

    var offence: Offence {
        let parts = place.split(separator: " ", maxSplits: 1)
        let name = parts.count > 1 ? "`\(parts[1])`" : "the file"
        let advice =
            switch quantity {
            case .fileLines: "\(size) lines (aim for 80–250); split it"
            case .functionLines: "\(size) lines (aim for 3–20); split it by phase"
            case .parameters: "\(size) parameters (aim for 4); group them"
            }
        return Offence(
            path: String(parts[0]), line: line,
            message: "\(name) has \(advice), or list it with its reason in Explained.swift")
    }
}

extension Declaration {
    /// Functions and computed properties: what has statements.
    var isMeasured: Bool { lastLine != nil && (isCallable || kind == .var) }
}
