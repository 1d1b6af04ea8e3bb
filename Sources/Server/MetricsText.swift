import Coding
import Replication

/// Writes metrics in Prometheus's text format: families with their help and type, then samples.
///
/// Source: Prometheus documentation, exposition formats, text format 0.0.4.
struct MetricsText: ~Copyable {
    enum Kind: String {
        case counter, gauge, histogram
    }

    typealias Label = (name: String, value: String)

    private(set) var buffer = ByteBuffer(capacity: 32 << 10)
    /// Of the family under way.
    private var name = ""

    /// Begins a family; its samples follow before the next.
    ///
    /// - Parameters:
    ///   - name: in base units, with their name behind it; a counter's ends in `_total`.
    ///   - help: one sentence without a line end.
    mutating func family(_ name: String, _ kind: Kind, _ help: String) {
        self.name = name
        buffer.append(text: "# HELP \(name) \(help)\n# TYPE \(name) \(kind.rawValue)\n")
    }

    /// A family of one sample.
    mutating func single(_ name: String, _ kind: Kind, _ value: Int, _ help: String) {
        family(name, kind, help)
        sample(value)
    }

    mutating func sample(_ value: Int, _ labels: [Label] = []) {
        write(name, labels, "\(value)")
    }

    /// A duration, told in seconds.
    mutating func sample(nanoseconds: UInt64, _ labels: [Label] = []) {
        write(name, labels, MetricsText.seconds(nanoseconds))
    }

    /// A signed duration, told in seconds.
    mutating func sample(milliseconds: Int64, _ labels: [Label] = []) {
        write(name, labels, "\(Double(milliseconds) / 1e3)")
    }

    /// Cumulative buckets, sum and count.
    mutating func histogram(_ latency: LatencyHistogram, _ labels: [Label] = []) {
        var below = 0
        for (bound, count) in zip(LatencyHistogram.bounds, latency.counts) {
            below += count
            let end = Label("le", MetricsText.seconds(bound))
            write(name + "_bucket", labels + [end], "\(below)")
        }
        write(name + "_bucket", labels + [Label("le", "+Inf")], "\(latency.count)")
        write(name + "_sum", labels, MetricsText.seconds(latency.nanoseconds))
        write(name + "_count", labels, "\(latency.count)")
    }

    /// The same of small whole numbers from 1 on; the last count is of everything from there on.
    mutating func histogram(counts: [Int], sum: Int, _ labels: [Label]) {
        var below = 0
        for (index, count) in counts.enumerated() {
            below += count
            let isLast = index == counts.count - 1
            let end = Label("le", isLast ? "+Inf" : "\(index + 1)")
            write(name + "_bucket", labels + [end], "\(below)")
        }
        write(name + "_sum", labels, "\(sum)")
        write(name + "_count", labels, "\(below)")
    }

    private mutating func write(_ name: String, _ labels: [Label], _ value: String) {
        let pairs = labels.map { "\($0.name)=\"\(MetricsText.escaped($0.value))\"" }
        let set = pairs.isEmpty ? "" : "{" + pairs.joined(separator: ",") + "}"
        buffer.append(text: "\(name)\(set) \(value)\n")
    }

    private static func seconds(_ nanoseconds: UInt64) -> String {
        "\(Double(nanoseconds) / 1e9)"
    }

    static func escaped(_ value: String) -> String {
        var text = ""
        for character in value.unicodeScalars {
            switch character {
            case "\\": text += "\\\\"
            case "\"": text += "\\\""
            case "\n": text += "\\n"
            default: text.unicodeScalars.append(character)
            }
        }
        return text
    }
}
