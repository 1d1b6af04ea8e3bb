/// What can go wrong.
enum FaultKind: Int, CaseIterable {
    case powerCut, kill, killAll, oneWayCut, partition, linkBreak, syncFailure, diskFull, slowDisk
    case clockJump, pause, clientBreak, rot, restore, wipe, clocksStep, futureLife, memberChange
    /// All disks are put back to what they held one after the other at earlier times.
    case rollBack

    /// Drawn from a generator of its own.
    var isDrawnApart: Bool {
        self == .wipe || self == .memberChange || self == .rollBack || isOfClocks
    }
    /// It makes clocks wrong by more than nodes tolerate.
    var isOfClocks: Bool { self == .clocksStep || self == .futureLife }

    /// Out of a thousand seeds, in how many it happens at all.
    var seedsPerMille: Int {
        switch self {
        case .powerCut, .kill, .oneWayCut, .partition, .linkBreak: 500
        case .killAll, .syncFailure, .diskFull, .slowDisk, .pause, .clientBreak: 300
        case .clockJump: 250
        case .clocksStep, .futureLife: 200
        case .rot: 250
        case .memberChange: 300
        case .restore: 100
        case .rollBack: 600
        case .wipe: 400
        }
    }

    /// Milliseconds between two of a kind, about.
    var meanMilliseconds: Int {
        switch self {
        case .killAll: 3_000
        case .rollBack: 250
        case .clockJump, .diskFull, .rot, .restore, .wipe, .clocksStep, .futureLife,
            .memberChange:
            2_000
        case .powerCut, .kill, .oneWayCut, .partition, .linkBreak, .syncFailure, .slowDisk, .pause,
            .clientBreak:
            1_000
        }
    }
}

/// What ends a fault that lasts.
enum Mend {
    case cut(from: Int, to: Int)
    case partition
    case diskRoom(machine: Int)
    case diskSpeed(machine: Int)
    case clock(machine: Int)
    case clocks
}
