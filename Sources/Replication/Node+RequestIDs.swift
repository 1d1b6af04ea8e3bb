import Base
import Coding
import RESP
import Ring

/// Requests with an id: `IDEMPOTENCY id command key …` takes effect once, however often and
/// through whichever nodes it is sent.
///
/// The protocol, for a key with replicas A, B and C:
///
/// 1. The coordinator, say A, claims the id at a majority of the replicas. A replica grants one
///    claim and names it to whoever comes later; a grant is durable before it is answered. With it
///    comes the latest stamp of the key, which A observes: where 2 W > N the effect is then later
///    than all that was acknowledged before, also when its last acknowledgements are counted long
///    after it was stamped, and cannot have it stamped anew.
/// 2. A executes the command. Outcome and effect are durable here before any replica is sent the
///    effect, and the outcome follows the effect on every link. What answers without an error has
///    an outcome also where it changed nothing: that is durable before the reply.
/// 3. The client lost the reply and asks B, which claims the id in turn. Any majority has a replica
///    that knows A's claim or its outcome. With the outcome at hand, whoever has it writes the key
///    as it is once more to as many replicas as a write needs, and tells the kept reply. With only
///    the claim, B asks A what became of it: done, given up, or still under way. Given up for good
///    is also what A knows nothing of after a restart, because of 2. Then B claims in place of A.
/// 4. While A cannot be asked, the answer is `UNKNOWN`, never a second effect.
///
/// Invariants:
/// - I1: a claim is executed at most once, and never after its coordinator said that it is over.
/// - I2: an id that has an effect on any replica has an outcome on its coordinator's disk, or in
///   its memory where the keyspace keeps nothing on disk.
/// - I3: a replica notes an outcome only when it has seen the effect, if there is one.
/// - I4: a reply that is no error has an outcome: `finishOnce` sees to it for all commands.
///
/// A restart of A in a `memory` keyspace forgets both, and so does the loss of its disk: what it
/// began and nobody knows the outcome of is `UNKNOWN` then. A node that lost its disk takes no part
/// until the others have told it which ids there are (`Node+RequestRefill`).
struct RequestIDs {
    var ledger: RequestLedger
    var claims: Slab<ClaimOperation>
    /// An outcome from the journal that counts once the effect behind it was taken back too.
    var restored: (name: RequestName, outcome: RequestLedger.Outcome, since: UInt64)?
    /// The node's start, or the moment that its time was found wrong at.
    var origin = Instant(monotonic: 0, wallMilliseconds: 0)

    init(_ configuration: NodeConfiguration) {
        let share = MemoryAccount.requestIDsMax(of: configuration.memoryBytesMax)
        ledger = RequestLedger(bytesMax: min(configuration.requestIDBytesMax, share))
        claims = Slab(kind: .claim, capacity: configuration.operationsMax)
    }
}

/// A request with an id that this node coordinates.
struct ClaimOperation {
    enum Stage: Equatable {
        /// Replicas were asked for their grants.
        case claiming
        /// The coordinator of a claim that was there before was asked what became of it.
        case inquiring(RequestLedger.Claim)
        /// The command runs; its reply ends the operation.
        case executing
        /// Its outcome is noted.
        case executed
    }

    /// Why a replica that was reached does not count as one that granted the claim.
    enum Obstacle {
        case full
        /// What it has of the key is stamped further ahead than this node's clock may follow.
        case clockAhead
    }

    let head: OperationHead
    let name: RequestName
    let location: KeyLocation
    /// The command itself, in RESP.
    let command: [UInt8]
    var stage = Stage.claiming
    /// Places in the key's preference list that were asked and have not answered.
    var waiting: UInt64 = 0
    var granted = 0
    var answered = 0
    var rival: RequestLedger.Claim?
    var obstacle: Obstacle?
    var rounds = 0
}

extension ClaimOperation: SlabElement {
    var keyspace: Int { location.keyspace }
    var heldBytes: Int { command.count + name.bytes.count }
}

/// A request with an id that was just executed here.
struct ExecutedRequest {
    let name: RequestName
    let outcome: RequestLedger.Outcome
    let location: KeyLocation
}

extension Node {
    /// What ids are remembered by: wall-clock milliseconds since 1970 as they would be had no clock
    /// been set since the time was confirmed. A clock that is set ends nothing early.
    var requestTime: UInt64 {
        requestIDs.origin.wallMilliseconds &+ requestAge
    }

    /// Milliseconds that the time has run on since.
    private var requestAge: UInt64 { (now.monotonic - requestIDs.origin.monotonic) / 1_000_000 }

    /// At a heartbeat. What a majority shows first is taken for the time, else the clock that this
    /// node started under once all that former lives knew is too old by any.
    mutating func tendRequestIDs() {
        if requestIDs.ledger.holdsFormer {
            if clock.isConfirmed {
                let wrong = Int64(clock.time) - Int64(requestTime)
                let isWrong = wrong.magnitude > configuration.clockDriftMax
                requestIDs.ledger.release(correctingBy: isWrong ? wrong : 0)
                if isWrong {
                    requestIDs.origin = Instant(
                        monotonic: now.monotonic, wallMilliseconds: clock.time)
                }
            } else if requestAge > RequestLedger.lifetimeMilliseconds {
                requestIDs.ledger.release(correctingBy: 0)
            }
        }
        requestIDs.ledger.forgetOld(now: requestTime, atMost: 2_000)
    }
}

// Beginning.
extension Node {
    /// Runs `IDEMPOTENCY id command key …`.
    mutating func runOnce(_ target: ReplyTarget, _ effects: inout Effects) {
        guard client.guarantees.isEmpty else {
            return fail(
                target, "ERR IDEMPOTENCY is not served in a session; SESSION OFF ends it", &effects)
        }
        let id = Array(request[1])
        guard 1...RequestName.idBytesMax ~= id.count else {
            return fail(target, "ERR a request id has 1 to 64 bytes", &effects)
        }
        var buffer = ByteBuffer(capacity: 256)
        buffer.writeArrayHeader(count: request.count - 2)
        for index in 2..<request.count { buffer.writeBulk(request[index]) }
        let command = Array(buffer.bytes)
        // The arguments lie in `command` from here on, so errors are told before it goes.
        command.withUnsafeBytes { bytes in
            do throws(CommandError) {
                try runOnce(id, command, bytes, target, &effects)
            } catch {
                counters.commandErrors += 1
                let start = effects.bytes.count
                effects.bytes.writeError(error, for: request)
                deliver(target, from: start, &effects)
            }
        }
    }

    private mutating func runOnce(
        _ id: [UInt8], _ command: [UInt8], _ bytes: UnsafeRawBufferPointer, _ target: ReplyTarget,
        _ effects: inout Effects
    ) throws(CommandError) {
        guard parse(bytes) else { throw .syntax }
        let name = try CommandName(request)
        try checkKeys(of: name)
        let description = CommandTable.description(of: name)
        let keys = Array(description.keyIndices(in: request))
        guard description.flags.contains(.write), keys.count == 1, let index = keys.first else {
            return fail(
                target, "ERR IDEMPOTENCY takes a command that changes one key", &effects)
        }
        guard !isTyped(catalog.index(of: request[index])) || !namesTooMany(name) else {
            return fail(target, text: Node.inPiecesOnly, &effects)
        }
        try runOnce(id, command, key: request[index], target, &effects)
    }

    mutating func parse(_ command: UnsafeRawBufferPointer) -> Bool {
        var progress = ParseProgress()
        return parser.parse(command, &progress, into: &request) == .complete
    }

    private mutating func runOnce(
        _ id: [UInt8], _ command: [UInt8], key: UnsafeRawBufferPointer, _ target: ReplyTarget,
        _ effects: inout Effects
    ) throws(CommandError) {
        // A kept reply is told to clients of either dialect, so it is in the older one.
        client.dialect = .resp2
        let location = place(of: key)
        let name = id.withUnsafeBytes { RequestName(key: key, id: $0) }
        let timeout = catalog.active[location.keyspace].writes.timeoutMilliseconds
        guard coordinates(location), !standsIn(at: location) else {
            return wholeCommand(name, command).withUnsafeBytes {
                forward($0, to: location, timeoutMilliseconds: timeout, target, &effects)
            }
        }
        let known = requestIDs.ledger.entry(of: name, now: requestTime)
        if case .done(let outcome) = known, outcome.checksum != Node.checksum(of: command) {
            return fail(
                target, "ERR this request id was used for another command on this key", &effects)
        }
        if case .done(let outcome) = known, outcome.dot != nil {
            return try repeatOutcome(outcome, key, target, &effects)
        }
        guard requestIDs.claims.room(for: location.keyspace) > 0 else {
            return overload(.write, location.keyspace, target, &effects)
        }
        let deadline = now.monotonic + .nanoseconds(milliseconds: UInt64(timeout))
        let head = OperationHead(
            target: outlasting(target), client: client,
            deadline: deadline, begunAt: now.monotonic)
        let claim = requestIDs.claims.insert(
            ClaimOperation(head: head, name: name, location: location, command: command))
        if case .done(let outcome) = known {
            counters.requestsRepeated += 1
            return settle(claim, outcome, &effects)
        }
        watch(claim, at: deadline)
        beginRound(claim, over: nil, &effects)
    }

    /// Of a command in RESP; the letters of its name may be of either case.
    static func checksum(of command: [UInt8]) -> UInt32 {
        // The name is the first bulk string: `*count`, `$length` and then it.
        var folded = command
        let lines = command.indices.filter { command[$0] == 10 }.prefix(3)
        guard let start = lines.dropFirst().first, let end = lines.last else { return 0 }
        for index in start..<end { folded[index] |= 0x20 }
        return folded.withUnsafeBytes { CRC32C.checksum($0) }
    }

    func isWithID(_ target: ReplyTarget) -> Bool {
        if case .request = target { true } else { false }
    }

    /// Whether a reply can be told again; if not, the request is refused before it takes effect.
    func mayTellAgain(_ byteCount: Int, _ target: ReplyTarget) -> Bool {
        guard isWithID(target) else { return true }
        return byteCount <= RequestLedger.Outcome.replyBytesMax
    }

    static let tooLargeToTellAgain: StaticString =
        "ERR a reply of more than 64 KB is not kept for a request id; nothing was changed"

    func wholeCommand(_ name: RequestName, _ command: [UInt8]) -> [UInt8] {
        var buffer = ByteBuffer(capacity: command.count + 128)
        command.withUnsafeBytes { bytes in
            var arguments = Arguments()
            var progress = ParseProgress()
            guard parser.parse(bytes, &progress, into: &arguments) == .complete else { return }
            buffer.writeArrayHeader(count: arguments.count + 2)
            buffer.writeBulk("IDEMPOTENCY")
            name.withID { buffer.writeBulk($0) }
            for index in 0..<arguments.count { buffer.writeBulk(arguments[index]) }
        }
        return Array(buffer.bytes)
    }
}
