import Base
import Coding
import Replication
import Secrets
import Storage

// The journal's jobs, starts and crashes: `Server+Journal`, `Server+Checkpoint` and `Server+Start`
// in virtual time.
extension World {
    private static let retryNanoseconds: UInt64 = 1_000_000_000

    func startJob(_ machine: Machine, _ process: Process) {
        guard process.job == nil else { return }
        if process.retryAt.map({ $0 <= time }) ?? true {
            process.retryAt = process.journal.wantsRetry ? time + World.retryNanoseconds : nil
            process.journal.retryPreparing()
        }
        let isDue = process.isGating || process.syncBy.map { $0 <= time } == true
        guard let job = process.journal.nextJob(flush: isDue) else { return }
        if process.journal.gatheredBytes == 0 {
            process.isGating = false
            process.syncBy = nil
        }
        process.job = job
        let latency = plan.diskLatency + UInt64(machine.random.below(Int(plan.diskLatency)))
        schedule(
            .diskDone(machine: machine.index, life: machine.life),
            after: latency * machine.diskFactor)
    }

    func finishJob(_ machine: Machine, _ process: Process) {
        guard let job = process.job else { return }
        process.job = nil
        let outcome = run(job, on: machine)
        process.journal.completed(outcome)
        if let failure = process.journal.failure {
            note("\(machine.node) stops: \(failure)")
            counters.syncFailures += 1
            stop(machine, isPowerCut: false, restartAfter: 200 + faultRandom.below(1_000))
            return
        }
        walk(machine, process)
    }

    private func run(_ job: DiskJob, on machine: Machine) -> Result<Void, DiskError> {
        do throws(DiskError) {
            for operation in job.operations {
                do throws(DiskError) { try operation.run(on: machine.disk) } catch {
                    guard plant == .syncRetried, case .failed = error else { throw error }
                    try operation.run(on: machine.disk)
                }
            }
            return .success(())
        } catch { return .failure(error) }
    }

    // MARK: Checkpoints

    func tendCheckpoint(_ machine: Machine, _ process: Process) {
        process.journal.checkpointBytesExpected = process.node.checkpointBytesExpected
        if process.node.disk.takeRefusal() { process.journal.isWanted = true }
        if case .idle = process.checkpointStage {
            guard process.journal.checkpointIsDue(after: plan.checkpointAfterBytes),
                process.journal.beginCheckpoint()
            else { return }
            process.checkpointStage = .begun
        }
        guard process.journal.isCheckpointing else {
            process.checkpointStage = .idle
            return
        }
        if process.journal.checkpointHasRoom { feedCheckpoint(process) }
        if case .idle = process.checkpointStage { return }
        scheduleTurn(machine, process, after: 1_000_000)
    }

    private func feedCheckpoint(_ process: Process) {
        var cursor: UInt64?
        if case .feeding(let place) = process.checkpointStage { cursor = place }
        var piece = ByteBuffer(capacity: 4_096)
        cursor = process.node.exportState(from: cursor, bytesMax: 2_048, into: &piece)
        World.eachPayload(of: piece) { process.journal.appendToCheckpoint($0) }
        if let cursor {
            process.checkpointStage = .feeding(cursor)
        } else {
            process.journal.finishCheckpoint()
            process.checkpointStage = .idle
        }
    }

    /// Takes what `Node.exportState` wrote apart.
    static func eachPayload(
        of exported: borrowing ByteBuffer, _ body: (UnsafeRawBufferPointer) -> Void
    ) {
        var rest = ByteReader(exported.bytes)
        do throws(DecodeError) {
            while rest.remaining > 0 {
                let length: UInt32 = try rest.integer()
                body(try rest.slice(Int(length)))
            }
        } catch { preconditionFailure("exported state is length-prefixed payloads") }
    }

    // MARK: Starts

    /// The same in all worlds, so that a seed replays.
    private static let secret: ClusterSecret = {
        var random = PRNG(seed: 7)
        return ClusterSecret(from: &random)
    }()

    func start(_ machine: Machine) {
        guard machine.process == nil, machine.index < memberCount else { return }
        let before = try? IdentityFile.read(from: machine.disk)
        guard let identity = claim(machine) else { return }
        var node = Node(
            configuration(machine), identity: identity, secret: World.secret,
            seed: machine.random.next(), now: machine.now(time))
        if let before { node.resumes(after: before.starts) }
        let report: RecoveryReport
        do throws(RecoveryError) {
            let policy: RecoveryPolicy =
                machine.quarantines || plant == .rotAccepted ? .quarantine : .refuse
            report = try recover(machine, policy, into: &node)
        } catch { return recoveryFailed(machine, error) }
        if report.droppedBytes > 0 { counters.tornTails += 1 }
        if !report.quarantined.isEmpty {
            note("\(machine.node) quarantined \(report.quarantined)")
        }
        var journal = Journal(
            resuming: report,
            limits: JournalLimits(segmentBytes: plan.segmentBytes, batchBytesMax: 4_096 * 5),
            salt: machine.random.next())
        journal.checkpointBytesExpected = node.checkpointBytesExpected
        while let job = journal.nextJob() { journal.completed(run(job, on: machine)) }
        if let failure = journal.failure {
            note("\(machine.node) does not start: \(failure)")
            return restart(machine, after: 300)
        }
        machine.life += 1
        machine.epochAbove = 0
        machine.takesOtherMembers = false
        machine.lastIdentity = identity
        machine.process = Process(node, journal)
        counters.restarts += machine.life > 1 ? 1 : 0
        history.noteStart(of: machine.index, at: time)
        note("\(machine.node) starts as \(identity)")
        for other in 0..<machine.index { schedule(.call(from: machine.index, to: other), after: 0) }
        machine.process.map { walk(machine, $0) }
    }

    private func claim(_ machine: Machine) -> ReplicaIdentity? {
        do throws(IdentityError) {
            let identity = try IdentityFile.claim(
                on: machine.disk,
                for: IdentityFile.Owner(node: machine.node, clusterID: 7, memberDigest: 0),
                wallMilliseconds: machine.now(time).wallMilliseconds, above: machine.epochAbove)
            if plant == .identityReused, let last = machine.lastIdentity { return last }
            return identity
        } catch {
            switch error {
            case .disk(let error):
                note("\(machine.node) does not start: \(error)")
                restart(machine, after: 300)
            case .damaged, .otherFormat, .missing, .otherNode, .otherCluster, .otherMembers,
                .outOfEpochs:
                replaceDisk(machine, "\(error)")
            }
            return nil
        }
    }

    private func recover(
        _ machine: Machine, _ policy: RecoveryPolicy, into node: inout Node
    ) throws(RecoveryError) -> RecoveryReport {
        let dropsTombstones = plant == .tombstonesDropped
        let tells = plant != .rotAccepted
        let report = try Recovery.run(
            on: machine.disk, policy: policy,
            distrust: { if tells { node.distrustMemory() } },
            deliver: { payload in
                note("\(machine.node) reads \(World.describe(payload: payload))")
                let isTombstone = payload.count > 5 && payload[0] == 1 && payload[5] & 1 == 1
                if dropsTombstones, isTombstone { return }
                do throws(DecodeError) { try node.restore(payload) } catch {
                    violate("\(machine.node) wrote a record that it cannot read: \(error)")
                }
            })
        for obstacle in node.takeUpConfiguration() {
            violate("\(machine.node) is told that its configuration has changed: \(obstacle)")
        }
        return report
    }

    private func recoveryFailed(_ machine: Machine, _ error: RecoveryError) {
        switch error {
        case .damaged(let damage):
            note("\(machine.node) refuses to start: \(damage)")
            guard machine.isRotten else {
                return violate("\(machine.node) found rot where there is none: \(damage)")
            }
            counters.rotNamed += 1
            history.isAnythingLost = true
            machine.quarantines = true
            restart(machine, after: 100)
        case .disk(let error):
            note("\(machine.node) does not start: \(error)")
            restart(machine, after: 300)
        }
    }

    /// The disk no longer says whose it is: an operator puts a new one in.
    private func replaceDisk(_ machine: Machine, _ reason: String) {
        note("\(machine.node) gets a new disk: \(reason)")
        guard machine.isRotten else {
            return violate("\(machine.node) lost its identity file without rot: \(reason)")
        }
        counters.rotNamed += 1
        history.isAnythingLost = true
        machine.disk = SimulatedDisk(prng: machine.random.split())
        restart(machine, after: 100)
    }

    func restart(_ machine: Machine, after milliseconds: Int) {
        schedule(
            .start(machine: machine.index), after: .nanoseconds(milliseconds: UInt64(milliseconds)))
    }

    private func configuration(_ machine: Machine) -> NodeConfiguration {
        var configuration = NodeConfiguration(node: machine.node, clusterID: 7, members: members)
        configuration.takesOtherMembers = machine.takesOtherMembers
        configuration.operationsMax = plan.operationsMax
        // In one seed of two, what is proportional to the records takes many turns.
        if seed % 2 == 1 { configuration.workUnitsMax = 256 }
        configuration.recordBytesMax = 4_096 * 5 - 64
        configuration.plantedBug = nodeBug
        configuration.sessionKeysMax = plan.sessionKeysMax
        configuration.collectionGraceMilliseconds = plan.collection.grace
        configuration.collectionMilliseconds = plan.collection.interval
        configuration.hintMillisecondsMax = Plan.hintMilliseconds
        // What a configuration contains is never forgotten; what an operator makes is.
        let configured = plan.keyspaces.filter(\.isConfigured)
        configuration.keyspaces = configured.map { keyspace in
            var settings = KeyspaceSettings()
            for assignment in keyspace.settings { _ = settings.set(assignment) }
            if plant == .writeQuorumOffByOne, keyspace.w > 1 {
                _ = settings.set("floor=none")
                _ = settings.set("w=\(keyspace.w - 1)")
            }
            if plant == .lastWriterWinsForSiblings {
                _ = settings.set("overflow=refuse")
                _ = settings.set("conflict=lww")
            }
            return (Array(keyspace.name.utf8), settings)
        }
        return configuration
    }

    private var nodeBug: NodeConfiguration.PlantedBug? {
        switch plant {
        case .repairWithFreshStamp: .repairWithFreshStamp
        case .mergeKeepsStored: .mergeKeepsStored
        case .unknownToldAsFailed: .unknownToldAsFailed
        case .refusalCountsAsAnswer: .refusalCountsAsAnswer
        case .emptiedByOwnClock: .emptiedByOwnClock
        case .restampedWins: .restampedWins
        case .exchangeSkipsTombstones: .exchangeSkipsTombstones
        case .exchangeAsksNothing: .exchangeAsksNothing
        case .emptiedAnswersAtOnce: .emptiedAnswersAtOnce
        case .refillForgotten: .refillForgotten
        case .refillFromOne: .refillFromOne
        case .hintForgottenWhenSent: .hintForgottenWhenSent
        case .hintForAnyone: .hintForAnyone
        case .standInWithoutHistory: .standInWithoutHistory
        case .sessionForgetsEvicted: .sessionForgetsEvicted
        case .uncoveredReadAnswers: .uncoveredReadAnswers
        case .closedAcrossBrokenLink: .closedAcrossBrokenLink
        case .groundlessAcknowledged: .groundlessAcknowledged
        case .removesUnheard: .removesUnheard
        case .deltasNotKept: .deltasNotKept
        case .coveredBlindly: .coveredBlindly
        case .statesNotTruncated: .statesNotTruncated
        case .requestIDForgotten: .requestIDForgotten
        case .partialChange: .partialChange
        case .topologyStale: .topologyStale
        case .forgottenUnaware: .forgottenUnaware
        case .overflowKeepsNewest: .overflowKeepsNewest
        case .incrementsComeBack: .incrementsComeBack
        case .memoryLeftUnwritten: .memoryLeftUnwritten
        case .expiryCarriesValue: .expiryCarriesValue
        default: collectionBug
        }
    }

    /// Those of what is deleted, and of dropped keyspaces.
    private var collectionBug: NodeConfiguration.PlantedBug? {
        switch plant {
        case .collectedUnheard: .collectedUnheard
        case .collectedBeforeHints: .collectedBeforeHints
        case .collectionForgotten: .collectionForgotten
        case .behindKeepsAll: .behindKeepsAll
        case .behindDropsUnvouched: .behindDropsUnvouched
        case .behindJudgesWhole: .behindJudgesWhole
        case .closedUnheard: .closedUnheard
        case .namesForgottenUnheard: .namesForgottenUnheard
        case .dropSparesUnheard: .dropSparesUnheard
        case .compactedUnsettled: .compactedUnsettled
        default: nil
        }
    }

    // MARK: Ends

    /// Ends a process without any warning.
    ///
    /// - Parameter isPowerCut: what was not synced is gone as well, or torn.
    func stop(_ machine: Machine, isPowerCut: Bool, restartAfter milliseconds: Int) {
        guard let process = machine.process else { return }
        counted.add(process.node.counters)
        counters.checkpoints += process.journal.counters.checkpointsFinished
        counters.segmentsRemoved += process.journal.counters.segmentsRemoved
        machine.process = nil
        machine.pausedUntil = 0
        let inMemory = process.node.keyspaceFigures.filter { $0.durability == .memory }.map(\.name)
        history.noteStop(of: machine.index, at: time, inMemory: inMemory)
        if isPowerCut { powerCut(machine, process) }
        for other in machines where other !== machine { loseMachine(machine, other, isPowerCut) }
        for index in process.connections.indices {
            guard let connection = process.connections[index], !connection.isGone else { continue }
            hangUp(connection.client, connection.generation)
        }
        restart(machine, after: milliseconds)
    }

    /// The job under way gets some way, then everything not synced is lost or torn.
    private func powerCut(_ machine: Machine, _ process: Process) {
        if let job = process.job {
            let reached = machine.random.below(job.operations.count + 1)
            for operation in job.operations.prefix(reached) {
                do throws(DiskError) { try operation.run(on: machine.disk) } catch { break }
            }
        }
        machine.disk.crash()
    }
}
