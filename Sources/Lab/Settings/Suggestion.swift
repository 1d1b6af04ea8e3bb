/// Finds what someone meant who typed a name that does not exist.
public enum Suggestion {
    /// The candidate nearest to `name`, or nil when none is near enough to be worth saying: at most
    /// a third of the letters, and at least one, may differ; or the end, after three, is missing.
    ///
    /// - Complexity: O(candidates × letters²).
    public static func nearest(to name: String, among candidates: [String]) -> String? {
        let name = name.lowercased()
        let near = candidates.map { (name: $0, distance: distance(name, $0.lowercased())) }
            .filter {
                $0.distance <= max(1, max(name.count, $0.name.count) / 3)
                    || name.count >= 3 && $0.name.lowercased().hasPrefix(name)
            }
        return near.min { ($0.distance, $0.name) < ($1.distance, $1.name) }?.name
    }

    /// How many insertions, deletions, replacements and swaps of neighbours turn one text into the
    /// other.
    ///
    /// Source: optimal string alignment, the restricted Damerau–Levenshtein distance.
    public static func distance(_ a: String, _ b: String) -> Int {
        let a = Array(a)
        let b = Array(b)
        var rows = [Array(0...b.count)]
        for i in 1..<(a.count + 1) {
            var row = [i]
            for j in 1..<(b.count + 1) {
                let cost = a[i - 1] == b[j - 1] ? 0 : 1
                var best = min(rows[i - 1][j] + 1, row[j - 1] + 1, rows[i - 1][j - 1] + cost)
                if i > 1, j > 1, a[i - 1] == b[j - 2], a[i - 2] == b[j - 1] {
                    best = min(best, rows[i - 2][j - 2] + 1)
                }
                row.append(best)
            }
            rows.append(row)
        }
        return rows[a.count][b.count]
    }
}
