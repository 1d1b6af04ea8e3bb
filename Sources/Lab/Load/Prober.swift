import Base

/// One staleness probe: writes the next number to its key through one node, waits until a chosen
/// time after the acknowledgement, reads the key through another node, and starts again.
///
/// One read for each write: a second one would see what the first one's read repair had mended.
public struct Prober: Sendable {
    /// What the prober wants done.
    public enum Step: Equatable, Sendable {
        case write(node: Int, number: Int)
        case read(node: Int)
    }

    /// A judged read.
    public struct Sighting: Equatable, Sendable {
        /// In `StalenessCurve.grid`.
        public let position: Int
        /// Nanoseconds between acknowledgement and sending.
        public let delay: UInt64
        /// Acknowledged writes that were not seen.
        public let behind: Int
    }

    private enum Phase: Equatable {
        case idle
        case writing
        case resting(readAt: UInt64)
        case reading(sentAt: UInt64)
    }

    private var phase = Phase.idle
    private var random: PRNG
    /// The number of the last write.
    private(set) var writes = 0
    /// The numbers of acknowledged writes, ascending.
    private var acknowledged: [Int] = []
    private var acknowledgedAt: UInt64 = 0
    private var writer = 0
    private var position = 0
    private var resumeAt: UInt64 = 0

    public init(seed: UInt64) { random = PRNG(seed: seed) }

    /// When the prober wants to be asked again, in nanoseconds; nil while it waits for an answer.
    public var nextMoment: UInt64? {
        switch phase {
        case .idle: resumeAt
        case .resting(let readAt): readAt
        case .writing, .reading: nil
        }
    }

    /// The next step when its moment has come.
    ///
    /// - Parameter nodes: the nodes that can be reached, at least one.
    public mutating func step(now: UInt64, nodes: [Int]) -> Step? {
        guard let moment = nextMoment, moment <= now else { return nil }
        switch phase {
        case .idle:
            writer = nodes[random.below(nodes.count)]
            writes += 1
            phase = .writing
            return .write(node: writer, number: writes)
        case .resting:
            let others = nodes.filter { $0 != writer }
            guard !others.isEmpty else {
                pause(now)
                return nil
            }
            phase = .reading(sentAt: now)
            return .read(node: others[random.below(others.count)])
        case .writing, .reading: return nil
        }
    }

    /// The write was answered; only an acknowledged one is worth reading back.
    public mutating func wrote(_ outcome: Outcome, now: UInt64) {
        guard case .done = outcome else {
            pause(now)
            return
        }
        acknowledged.append(writes)
        acknowledgedAt = now
        let points = StalenessCurve.grid.count
        // The lesser of two draws: short times matter more, and long ones cost the prober's time.
        position = min(random.below(points), random.below(points))
        phase = .resting(readAt: now + StalenessCurve.grid[position] * 1000)
    }

    /// The read was answered.
    ///
    /// - Parameter found: the number that was read, 0 for no value; nil when the read failed.
    public mutating func read(_ found: Int?, now: UInt64) -> Sighting? {
        guard case .reading(let sentAt) = phase else {
            preconditionFailure("an answer follows a read")
        }
        guard let found else {
            pause(now)
            return nil
        }
        phase = .idle
        resumeAt = now
        let behind = acknowledged.reversed().prefix { $0 > found }.count
        return Sighting(position: position, delay: sentAt - acknowledgedAt, behind: behind)
    }

    /// After a failure the next try comes a little later.
    private mutating func pause(_ now: UInt64) {
        phase = .idle
        resumeAt = now + 50_000_000
    }
}
