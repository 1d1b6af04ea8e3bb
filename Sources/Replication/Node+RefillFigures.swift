import AntiEntropy
import Base
import RESP
import Ring

/// How far a node has been refilled.
public struct RefillFigures: Equatable, Sendable {
    /// Key ranges that it keeps, counted for each n of a keyspace; 0 unless it is being refilled.
    public internal(set) var ranges = 0
    /// Of these, how many it answers reads of.
    public internal(set) var wholeRanges = 0
    /// Nodes of which it has not learned yet whether they have what it lacks, ascending: those out
    /// of reach, where there are any.
    public internal(set) var waitingFor: [NodeID] = []

    /// One line for an operator.
    public var text: String {
        let nodes = waitingFor.map { "\($0.rawValue)" }.joined(separator: ", ")
        let waits = nodes.isEmpty ? "" : ", waiting for node \(nodes)"
        return "refilling \(wholeRanges)/\(ranges) ranges\(waits)"
    }
}

// What an operator sees of a refill, and says about it.
extension Node {
    /// How far the refill has come.
    ///
    /// - Complexity: O(key ranges · replicas) while there is one.
    public var refillFigures: RefillFigures {
        var figures = RefillFigures()
        guard isRefilling else { return figures }
        var waiting: UInt64 = 0
        for index in links.indices where links[index].node != configuration.node {
            if !refill.agreed.isSet(index) { waiting |= 1 << UInt64(index) }
        }
        for n in replicationFactors {
            for range in KeyRange.all where Int(ranks[Int(range.rawValue)]) < n {
                figures.ranges += 1
                figures.wholeRanges += isRefilled(range, n) ? 1 : 0
                waiting |= awaited(range, n)
            }
        }
        waiting |= membersToHandOver
        waiting &= ~refill.givenUp
        // Those in reach may themselves wait for who is not.
        let away = links.indices.reduce(0) { links[$1].isUp ? $0 : $0 | 1 << UInt64($1) } & waiting
        if away != 0 { waiting = away }
        figures.waitingFor = links.indices.filter { waiting.isSet($0) }.map { links[$0].node }
        return figures
    }

    /// Whether no other member has told yet whether this node's disk is older than what it has
    /// done.
    private var awaitsFirstWord: Bool { !knowsItsPast && !unmet.isEmpty }

    private var unmet: [NodeID] {
        links.map(\.node).filter { $0 != configuration.node && !isRemoved($0) }
    }

    /// Whether this node is being refilled, or cannot know yet that it will not be: before it has
    /// met one other member in this process.
    public var mayBeRefilling: Bool { isRefilling || awaitsFirstWord }

    /// Replicas of a range, by link index, that may have what this one lacks.
    private func awaited(_ range: KeyRange, _ n: Int) -> UInt64 {
        let part = refill.parts[n]
        guard part?.complete.contains(range.rawValue) != true else { return 0 }
        var waiting: UInt64 = 0
        for node in ring.primaries(of: range, replicationFactor: n)
        where node != configuration.node {
            guard let index = linkIndex(of: node) else { continue }
            if part?.coverage[index][Int(range.rawValue)].isComplete != true {
                waiting |= 1 << UInt64(index)
            }
        }
        return waiting
    }

    /// What an error adds where a replica would do that is being refilled: for whom this node waits
    /// before it answers, and what ends that.
    var refillNote: String {
        let waiting = refillFigures.waitingFor
        guard let first = waiting.first else { return "" }
        let nodes = waiting.map { "\($0)" }.joined(separator: ", ")
        guard linkIndex(of: first).map({ !links[$0].isUp }) ?? false else {
            return "; this node is being refilled, and has yet to hear \(nodes)"
        }
        return "; this node is being refilled, and waits for \(nodes); a node that never comes: "
            + "CLUSTER REFILL WITHOUT \(first.rawValue), said here"
    }

    /// How many lists of members there were, and whether the present one is open (`Generation`).
    public var memberListFigures: (number: Int, isOpen: Bool) {
        (Int(clamping: generation.number), links.count > 1 && !generation.isClosed)
    }

    /// Whether this node is refilled because the list of members has changed.
    public var followsOtherList: Bool {
        links.count > 1 && !generation.isClosed && !generation.settled.isEmpty
    }

    var refillFields: [(String, String)] {
        let figures = refillFigures
        let waiting = isRefilling || !awaitsFirstWord ? figures.waitingFor : unmet
        let nodes = waiting.map { "\($0.rawValue)" }.joined(separator: ",")
        return [
            ("refilling", mayBeRefilling ? "1" : "0"), ("refill_ranges", "\(figures.ranges)"),
            ("refill_ranges_whole", "\(figures.wholeRanges)"), ("refill_waiting_for", nodes),
            ("members_number", "\(generation.number)"),
            ("members_handed_over", generation.hasHandedOver ? "1" : "0"),
            ("members_closed", generation.isClosed ? "1" : "0"),
        ]
    }

    /// `CLUSTER REFILL` tells how far it is; `CLUSTER REFILL WITHOUT node` goes on without a
    /// replica that never returns. What only that one had is lost then.
    mutating func refill(
        _ target: ReplyTarget, _ effects: inout Effects
    ) throws(CommandError) {
        guard request.count > 2 else {
            let others = awaitsFirstWord ? "no other member was met since the start" : "whole"
            return effects.bytes.writeBulk(text: isRefilling ? refillFigures.text : others)
        }
        guard request.matches(2, "WITHOUT"), request.count == 4 else { throw .syntax }
        guard let number = UInt16(exactly: try request.integer(3)),
            let index = linkIndex(of: NodeID(number)), links[index].node != configuration.node
        else { return effects.bytes.writeError("ERR no such other node") }
        guard isRefilling else {
            return effects.bytes.writeError("ERR this node is whole; it waits for nobody")
        }
        guard !links[index].isUp else {
            return effects.bytes.writeError("ERR that node is in reach, and is being asked")
        }
        refill.givenUp |= 1 << UInt64(index)
        generation.givenUp |= 1 << UInt64(index)
        noteOrder("CLUSTER REFILL WITHOUT \(number)", of: target)
        effects.bytes.writeOK()
    }
}
