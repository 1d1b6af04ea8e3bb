import Base
import Causality
import Coding
import RESP

/// What goes along with a command to the node that executes it: the time that it has, and the
/// levels that the client's connection asks for where the command names none.
struct CommandWishes: Equatable {
    /// Milliseconds.
    let timeoutMilliseconds: UInt32
    /// Who executes it may stamp it up to there: nobody waits for its answer any more then.
    let end: Stamp
    /// R, W, PR, PW and DW; of the connection.
    let defaults: ConsistencyOptions

    static let encodedBytes = 22

    private static let quorum: UInt16 = 0xFFFE
    private static let all: UInt16 = 0xFFFF

    init(timeoutMilliseconds: UInt32, end: Stamp, defaults: ConsistencyOptions) {
        self.timeoutMilliseconds = timeoutMilliseconds
        self.end = end
        self.defaults = defaults
    }

    func encode(into buffer: inout ByteBuffer) {
        buffer.append(integer: timeoutMilliseconds)
        buffer.append(integer: end.rawValue)
        for level in [defaults.r, defaults.w, defaults.pr, defaults.pw, defaults.dw] {
            let word: UInt16 =
                switch level {
                case nil: 0
                case .count(let count): UInt16(count)
                case .quorum: CommandWishes.quorum
                case .all: CommandWishes.all
                }
            buffer.append(integer: word)
        }
    }

    /// - Throws: `truncated`, or `invalid` for levels that there are not.
    init(decoding reader: inout ByteReader) throws(DecodeError) {
        timeoutMilliseconds = try reader.integer()
        end = Stamp(rawValue: try reader.integer())
        var levels: [Level?] = []
        for _ in 0..<5 {
            let word: UInt16 = try reader.integer()
            switch word {
            case 0: levels.append(nil)
            case CommandWishes.quorum: levels.append(.quorum)
            case CommandWishes.all: levels.append(.all)
            default:
                guard let count = UInt8(exactly: word) else { throw .invalid("level of a command") }
                levels.append(.count(count))
            }
        }
        defaults = ConsistencyOptions(
            r: levels[0], w: levels[1], pr: levels[2], pw: levels[3], dw: levels[4])
    }
}
