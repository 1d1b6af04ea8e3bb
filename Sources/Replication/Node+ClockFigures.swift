import Base
import Causality

/// What an operator is told of this node's clock.
public struct ClockFigures: Equatable, Sendable {
    /// Whether a majority has confirmed the time that this node goes by.
    public let isConfirmed: Bool
    /// Whether no majority agrees, so that nothing is written here.
    public let isUndecided: Bool
    /// Milliseconds that the wall clock is ahead of the time that this node goes by.
    public let wallAheadMilliseconds: Int64
    /// Milliseconds that stamps are ahead of the time, because a majority's clocks once were.
    public let stampsAheadMilliseconds: UInt64
}

extension Node {
    /// This node's clock beside the cluster's.
    public var clockFigures: ClockFigures {
        ClockFigures(
            isConfirmed: clock.isConfirmed, isUndecided: clock.isUndecided,
            wallAheadMilliseconds: clock.wallAheadMilliseconds,
            stampsAheadMilliseconds: clock.reach - clock.time)
    }

    /// Which clock is wrong, by how much, and what to do; nil while none is known to be.
    public var clockTrouble: String? {
        let own = clock.wallAheadMilliseconds
        let apart = linkFigures.compactMap { link in
            link.clockAheadMilliseconds.map { (node: link.node, ahead: $0) }
        }
        if clock.isUndecided {
            let others = apart.map { "node \($0.node.rawValue)'s is \(Node.offset($0.ahead)) it" }
            return "no majority agrees with the clock of node \(configuration.node.rawValue): "
                + others.joined(separator: ", ") + "; set the wrong clock right"
        }
        if own.magnitude > configuration.clockDriftMax {
            return "the clock of node \(configuration.node.rawValue) is \(Node.offset(own)) "
                + "the majority's, whose time is used here; set it right"
        }
        let wrong = apart.filter { ($0.ahead + own).magnitude > configuration.clockDriftMax }
        guard !wrong.isEmpty else { return nil }
        return wrong.map {
            "the clock of node \($0.node.rawValue) is \(Node.offset($0.ahead + own)) the time "
                + "here"
        }.joined(separator: ", ") + "; set it right"
    }

    private static func offset(_ milliseconds: Int64) -> String {
        "\(milliseconds.magnitude) ms \(milliseconds < 0 ? "behind" : "ahead of")"
    }

    var clockFields: [(String, String)] {
        let figures = clockFigures
        let state =
            figures.isUndecided
            ? "undecided" : figures.isConfirmed ? "confirmed" : "unconfirmed"
        return [
            ("clock_state", state),
            ("clock_wall_ahead_ms", "\(figures.wallAheadMilliseconds)"),
            ("clock_stamps_ahead_ms", "\(figures.stampsAheadMilliseconds)"),
            ("clock_trouble", clockTrouble ?? "none"),
        ]
    }
}
