import Lab

/// What the process ends with, one meaning each; `quorate --help` prints this table.
enum ExitStatus: Equatable {
    case success
    case failure(Failure.Kind)

    static let all = [success] + Failure.Kind.allCases.map(failure)

    var rawValue: Int32 {
        switch self {
        case .success: 0
        case .failure(let kind): kind.rawValue
        }
    }

    var meaning: String {
        switch self {
        case .success: "done; for experiments: every checked promise held"
        case .failure(.failed): "the operation failed; for experiments: a promise was broken"
        case .failure(.unknown): "nobody can say: no answer in time, or too little was measured"
        case .failure(.badFile):
            "a file that was given is unreadable or wrong (configuration, cluster state)"
        case .failure(.usage): "the command line is wrong"
        case .failure(.unavailable): "nobody answers, or too few replicas do; nothing was changed"
        case .failure(.internalDefect): "a defect of quorate itself"
        case .failure(.cannotCreate):
            "a port, a directory or a process cannot be had, or a data directory is damaged"
        case .failure(.interrupted):
            "stopped by a signal; what was started has been ended; a stopped serve ends with 0"
        }
    }
}
