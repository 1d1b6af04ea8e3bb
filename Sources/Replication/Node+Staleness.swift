import Base
import Causality
import Coding

// Live staleness: what a sampled read told its client, held against all replicas afterwards.
//
// The sample is `readrepair`: so many of a thousand reads. A sampled read asks as few replicas as
// any other; only when it has been answered are the rest asked, so that it is as fast and as stale
// as the others. (With R=1 on a replica the answer is that replica's own state.) When all N have
// answered, the state that was told is compared with their states: stale is an answer that lacks a
// write which another replica held and which was stamped before the read began.
//
// Which way this errs:
// - Too many: a newer write counts though it was not acknowledged when the read began, or never.
// - Too few: a write counts as concurrent when its stamp is later than the coordinator's clock was
//   when the read began, so one that a clock ahead of this one stamped may be missed for as long as
//   the clocks differ; reads of which a replica did not answer say nothing; and a replica may have
//   lost the race to a repair in between.
// - The age is counted from the newer write's stamp, not from its acknowledgement. Of the versions
//   in between only those that some replica still holds are known: both are what is certain.
//
// Source: Bailis et al., "Probabilistically Bounded Staleness" (2012), t- and k-staleness.
extension Node {
    /// A client has been told what the answers so far add up to; a sampled read asks the rest.
    mutating func compareRest(_ id: OperationID, _ effects: inout Effects) {
        guard let read = reads[id], read.comparesAll else { return }
        reads[id]?.toldAnswers = read.answers.count
        if !isAnswerWaitedFor { askMore(id, read.tally.replicaCount, &effects) }
    }

    /// Nobody else will answer.
    mutating func noteStaleness(of read: ReadOperation) {
        guard let told = read.toldAnswers, read.tally.replicaCount > 1 else { return }
        while staleness.count <= read.keyspace { staleness.append(StalenessFigures()) }
        guard read.answers.count == read.tally.replicaCount else {
            return staleness[read.keyspace].record(.incomplete)
        }
        withRecords(of: read) { node, records in
            node.compare(records[..<told], with: records[told...], read)
        }
    }

    private mutating func compare(
        _ told: ArraySlice<Record?>, with others: ArraySlice<Record?>, _ read: ReadOperation
    ) {
        let policy = catalog.active[read.keyspace].settings.conflict
        var sum = ByteBuffer(capacity: 64)
        let first = AnswerMerge(Array(told), policy: policy, into: &sum)
        guard let answer = first.record(among: Array(told), sum) else {
            return staleness[read.keyspace].record(.incomplete)
        }
        let earlier = others.filter { $0.map { $0.dot.stamp <= read.begun } ?? true }
        var whole = ByteBuffer(capacity: 64)
        let all = [answer] + earlier
        let merge = AnswerMerge(all, policy: policy, into: &whole)
        let newest = merge.record(among: all, whole) ?? nil
        // A reader sees nothing in either of two states without a live value.
        guard merge.stale.first == 0, isSeen(answer) || isSeen(newest) else {
            let isAgreed = first.stale.isEmpty && others.allSatisfy { isSame($0, answer) }
            return staleness[read.keyspace].record(isAgreed ? .agreed : .fresh)
        }
        noteStale(answer, earlier.compactMap { $0?.dot }, told.compactMap { $0?.dot }, read)
    }

    private mutating func noteStale(
        _ answer: Record?, _ others: [Dot], _ told: [Dot], _ read: ReadOperation
    ) {
        var newer: [Dot] = []
        for dot in others.sorted() where !told.contains(dot) && newer.last != dot {
            // What is not ordered after the answer was written beside it, and was not told either.
            if catalog.active[read.keyspace].settings.conflict == .siblings
                || answer.map({ $0.dot < dot }) ?? true
            {
                newer.append(dot)
            }
        }
        let oldest = newer.first?.stamp ?? read.begun
        let newest = newer.last?.stamp ?? read.begun
        staleness[read.keyspace].recordStale(
            ageMilliseconds: read.begun.milliseconds - oldest.milliseconds,
            behindMilliseconds: answer.map {
                newest.milliseconds - min($0.dot.stamp.milliseconds, newest.milliseconds)
            },
            newer: max(1, newer.count))
    }

    private func isSeen(_ record: Record?) -> Bool {
        guard let record else { return false }
        return isLive(record)
    }

    private func isSame(_ a: Record?, _ b: Record?) -> Bool {
        guard let a, let b else { return a == nil && b == nil }
        return a.isEqual(to: b)
    }
}

extension AnswerMerge {
    /// The sum of these answers, which may be nothing; nil when there is none.
    fileprivate func record(among answers: [Record?], _ sum: borrowing ByteBuffer) -> Record?? {
        switch result {
        case .refused: nil
        case .nothing: .some(nil)
        case .answer(let index): answers[index]
        case .merged(let range): sum[range].baseAddress.map { Record(at: $0) }
        }
    }
}
