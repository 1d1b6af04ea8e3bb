/// What became of every operation, by keyspace and class, and what ended in the turn under way.
///
/// An operation's latency runs from the clock reading of the turn that read its request to the end
/// of the turn that wrote its reply. The hot path knows neither, so it only counts: one array
/// element for each keyspace and class says how many began and ended within this turn, and
/// `endTurn` moves them all into the bucket of how long the turn took. What began in an earlier
/// turn is kept with its beginning until then. What neither sees: the time that a request waits in
/// the kernel before its turn, or behind an earlier one of its connection, and a reply behind
/// others that the client has not read.
///
/// Invariant: `begunNow[cell] > 0` exactly when `touched` holds the cell.
struct OperationLedger {
    /// Ended in this turn and begun earlier; beyond it latencies end with the turn's beginning.
    private static let waitingMax = 16_384

    private var begunNow: [Int]
    private var touched: [Int] = []
    private var waiting: [(cell: Int, begunAt: UInt64)] = []
    /// By cell, as many as have been needed.
    private var figures: [OperationFigures] = []

    init(keyspacesMax: Int) {
        begunNow = Array(repeating: 0, count: keyspacesMax * OperationClass.allCases.count)
    }

    /// Whether `endTurn` has something to do.
    var hasEndings: Bool { !touched.isEmpty || !waiting.isEmpty }

    subscript(keyspace: Int, operation: OperationClass) -> OperationFigures {
        let cell = OperationLedger.cell(keyspace, operation)
        return cell < figures.count ? figures[cell] : OperationFigures()
    }

    @inline(__always)
    private static func cell(_ keyspace: Int, _ operation: OperationClass) -> Int {
        keyspace * 3 + operation.rawValue
    }

    /// An operation that began in this turn did what was asked.
    @inline(__always)
    mutating func answeredNow(_ keyspace: Int, _ operation: OperationClass) {
        let cell = OperationLedger.cell(keyspace, operation)
        if begunNow[cell] == 0 { touched.append(cell) }
        begunNow[cell] &+= 1
    }

    /// An operation did what was asked.
    ///
    /// - Parameters:
    ///   - begunAt: the clock reading of the turn in which it began, nanoseconds.
    ///   - now: that of this turn.
    mutating func answered(
        _ keyspace: Int, _ operation: OperationClass, begunAt: UInt64, now: UInt64
    ) {
        guard begunAt != now else { return answeredNow(keyspace, operation) }
        let cell = OperationLedger.cell(keyspace, operation)
        if waiting.count < OperationLedger.waitingMax {
            waiting.append((cell, begunAt))
        } else {
            reach(cell)
            figures[cell].latency.record(now - begunAt)
        }
    }

    /// An operation did not do what was asked.
    mutating func failed(
        _ keyspace: Int, _ operation: OperationClass, _ outcome: OperationOutcome
    ) {
        precondition(outcome != .ok, "what succeeded has a latency")
        let cell = OperationLedger.cell(keyspace, operation)
        reach(cell)
        figures[cell].failures[outcome.rawValue] += 1
    }

    /// A keyspace's index is another's from now on.
    mutating func renew(_ keyspace: Int) {
        for operation in OperationClass.allCases {
            let cell = OperationLedger.cell(keyspace, operation)
            if cell < figures.count { figures[cell] = OperationFigures() }
        }
    }

    /// The replies of a turn have been written.
    ///
    /// - Parameters:
    ///   - beganAt: the turn's own clock reading, nanoseconds.
    ///   - endedAt: the clock now.
    mutating func endTurn(beganAt: UInt64, endedAt: UInt64) {
        for cell in touched {
            reach(cell)
            figures[cell].latency.record(endedAt - beganAt, times: begunNow[cell])
            begunNow[cell] = 0
        }
        touched.removeAll(keepingCapacity: true)
        for (cell, begunAt) in waiting {
            reach(cell)
            figures[cell].latency.record(endedAt - begunAt)
        }
        waiting.removeAll(keepingCapacity: true)
    }

    private mutating func reach(_ cell: Int) {
        while figures.count <= cell { figures.append(OperationFigures()) }
    }
}
