/// Metrics in Prometheus's text format, read as strictly as a scraper may.
///
/// Source: Prometheus documentation, exposition formats, text format 0.0.4.
struct ScrapedMetrics {
    struct Malformed: Error {
        let line: String
        let problem: String
    }

    private(set) var values: [String: Double] = [:]
    private(set) var types: [String: String] = [:]
    private var family = ""
    private var helped: Set<String> = []

    init(parsing text: String) throws {
        guard text.hasSuffix("\n") else { throw Malformed(line: "", problem: "no last line end") }
        for line in text.split(separator: "\n", omittingEmptySubsequences: false).dropLast() {
            do {
                try line.hasPrefix("#") ? takeComment(line) : takeSample(line)
            } catch {
                throw Malformed(line: String(line), problem: "\(error)")
            }
        }
        try checkHistograms()
    }

    /// The value of one series, written as it stands in the text.
    subscript(series: String) -> Double? { values[series] }

    private enum Problem: Error {
        case comment, twice, unknownType, name, labels, value, foreignFamily, total
    }

    private mutating func takeComment(_ line: Substring) throws {
        let words = line.split(separator: " ", maxSplits: 3)
        guard words.count == 4, words[0] == "#" else { throw Problem.comment }
        let name = String(words[2])
        switch words[1] {
        case "HELP":
            guard helped.insert(name).inserted else { throw Problem.twice }
        case "TYPE":
            guard types[name] == nil, helped.contains(name) else { throw Problem.twice }
            guard ["counter", "gauge", "histogram"].contains(words[3]) else {
                throw Problem.unknownType
            }
            if words[3] == "counter", !name.hasSuffix("_total") { throw Problem.total }
            types[name] = String(words[3])
            family = name
        default: throw Problem.comment
        }
    }

    private mutating func takeSample(_ line: Substring) throws {
        let sample = try #/([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)/#.wholeMatch(in: line)
        guard let sample else { throw Problem.name }
        let name = String(sample.1)
        if let labels = sample.2 {
            let label = #/[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\]|\\["\\n])*"(?:,|$)/#
            guard labels.replacing(label, with: "").isEmpty else { throw Problem.labels }
        }
        guard let value = Double(sample.3), value.isFinite else { throw Problem.value }
        let suffixes = types[family] == "histogram" ? ["_bucket", "_sum", "_count"] : [""]
        guard suffixes.contains(where: { family + $0 == name }) else { throw Problem.foreignFamily }
        let series = name + (sample.2.map { "{\($0)}" } ?? "")
        guard values.updateValue(value, forKey: series) == nil else { throw Problem.twice }
    }

    /// Buckets rise to +Inf, which is the count.
    private func checkHistograms() throws {
        for (series, count) in values where series.contains("_count") {
            let name = String(series.prefix { $0 != "{" }.dropLast("_count".count))
            guard types[name] == "histogram" else { continue }
            let labels = series.contains("{") ? series.drop { $0 != "{" }.dropLast() + "," : "{"
            let prefix = "\(name)_bucket\(labels)le="
            let buckets = values.filter { $0.key.hasPrefix(prefix) }
            let ends = buckets.compactMap { series, value in
                Double(series.dropFirst(prefix.count + 1).dropLast(2)).map { ($0, value) }
            }.sorted { $0.0 < $1.0 }
            guard ends.count >= 8, ends.last?.0 == .infinity, ends.last?.1 == count,
                zip(ends, ends.dropFirst()).allSatisfy({ $0.1 <= $1.1 })
            else { throw Malformed(line: series, problem: "buckets do not rise to the count") }
        }
    }
}
