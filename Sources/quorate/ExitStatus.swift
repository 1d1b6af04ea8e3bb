import Lab

/// What the process ends with, one meaning each; `quorate --help` prints this table.
enum ExitStatus: Int32, CaseIterable {
    case success = 0
    case failed = 1
    case unknown = 2
    case badFile = 3
    case usage = 64
    case unavailable = 69
    case internalDefect = 70
    case cannotCreate = 73
    case interrupted = 130

    init(_ kind: Failure.Kind) {
        switch kind {
        case .failed: self = .failed
        case .unknown: self = .unknown
        case .badFile: self = .badFile
        case .usage: self = .usage
        case .unavailable: self = .unavailable
        case .internalDefect: self = .internalDefect
        case .cannotCreate: self = .cannotCreate
        case .interrupted: self = .interrupted
        }
    }

    var meaning: String {
        switch self {
        case .success: "done; for experiments: every checked promise held"
        case .failed: "the operation failed; for experiments: a promise was broken"
        case .unknown: "nobody can say: no answer in time, or too little was measured"
        case .badFile: "a file that was given is unreadable or wrong (configuration, cluster state)"
        case .usage: "the command line is wrong"
        case .unavailable: "nobody answers, or too few replicas do; nothing was changed"
        case .internalDefect: "a defect of quorate itself"
        case .cannotCreate: "a port, a directory or a process cannot be had"
        case .interrupted: "stopped by a signal; what was started has been ended"
        }
    }
}
