import AntiEntropy
import Base
import Causality
import Coding
import Ring

// Anti-entropy: replicas compare hash trees in the background and send each other what differs, so
// that keys which nobody reads become equal as well.
//
// There is one tree for each key range and each n: a range's replicas for n=3 are not those for
// n=2. Trees hold every state that counts, tombstones included, and change with each record that is
// stored (`HashTree`). Of two linked nodes the one with the lower number begins an exchange
// (`ExchangeMessage`), at every heartbeat while it finds differences and more and more rarely while
// it finds none. Nothing of an exchange is remembered between messages.
//
// Trees follow changed definitions in steps (`Reshaping`); until they have, nothing is compared.
extension Node {
    /// Nothing differed: the next exchange comes after twice the pause, up to this.
    static let exchangePauseMax: UInt64 = 6_400
    /// How old a write is when it is no longer on its way.
    private static let writeMilliseconds: UInt64 = 2_000
    /// The same where something is known to have been missed: writes that are on their way are
    /// rather sent twice than waited for.
    private static let missedWriteMilliseconds: UInt64 = 300
    /// How long exchanges follow each other once something was missed.
    private static let missingMilliseconds: UInt64 = 1_500
    /// Trees that one exchange descends into.
    private static let rangesMax = 64
    /// What a descent into one tree takes down to the leaves when all of them differ.
    private static let descentBytes = 16_384

    /// A stored state as its tree sees it: 0 for what is in no tree.
    @inline(__always)
    func treeDigest(_ record: Record?, _ keyspace: Int) -> UInt64 {
        guard catalog.active[keyspace].n > 1, let record else { return 0 }
        guard record.written.stamp > catalog.active[keyspace].truncatedAt else { return 0 }
        return isTyped(keyspace) ? record.contextDigest : record.digest
    }

    func tree(_ n: Int, _ range: KeyRange) -> HashTree {
        holdings.tree(n, range)
    }

    /// Whether a range is compared with another node: not while it may bring back what was deleted.
    private func exchanges(_ range: KeyRange, _ n: Int, with node: NodeID) -> Bool {
        sharesRange(range, n, with: node)
            && linkIndex(of: node).map { !isBehind($0, range, n) } ?? false
    }

    func sharesRange(_ range: KeyRange, _ n: Int, with node: NodeID) -> Bool {
        guard Int(ranks[Int(range.rawValue)]) < n else { return false }
        guard let place = ring.position(of: node, in: range) else { return false }
        return place < n
    }
}

// When.
extension Node {
    /// At a heartbeat: begins an exchange over a link when it is due.
    mutating func tendExchange(_ index: Int, _ effects: inout Effects) {
        let refill = configuration.exchangeBytesPerSecond / 1_000 * Int(Node.heartbeatMilliseconds)
        links[index].exchangeBudget = min(
            links[index].exchangeBudget + refill, configuration.exchangeBytesPerSecond)
        let waits = links[index].isDiskFull || disk.pause.holds(at: now.monotonic)
        let isMissing = !waits && now.monotonic < links[index].missesUntil
        guard !links[index].isBusy else { return }
        guard configuration.node < links[index].node || isMissing, background.hasTrees else {
            return
        }
        let node = links[index].node
        let here = sharedSum(with: node)
        if !waits, links[index].exchange.isGaining(here: here) { hastenExchange(index) }
        guard links[index].exchangeAt <= now.monotonic else { return }
        links[index].exchange.begin(here: here)
        let pause = isMissing ? 0 : waits ? Node.exchangePauseMax : links[index].exchangePause
        links[index].exchangeAt = now.monotonic + .nanoseconds(milliseconds: pause)
        links[index].exchangePause = min(
            max(2 * pause, Node.heartbeatMilliseconds), Node.exchangePauseMax)
        counters.exchanges += 1
        for n in replicationFactors {
            var roots: [ExchangeMessage.RangeRoot] = []
            for range in KeyRange.all where sharesRange(range, n, with: node) {
                roots.append(.init(range: range.rawValue, root: tree(n, range).root))
            }
            if !roots.isEmpty { sendExchange(.roots(roots), n, to: node, &effects) }
        }
    }

    /// Every n above 1 that a keyspace has, ascending.
    var replicationFactors: [Int] {
        var all: [Int] = []
        for keyspace in catalog.active where keyspace.n > 1 && !all.contains(keyspace.n) {
            all.append(keyspace.n)
        }
        all.sort()
        return all
    }

    /// What this node holds of all that it shares with another, as one sum.
    private func sharedSum(with node: NodeID) -> UInt64 {
        var sum: UInt64 = 0
        for n in replicationFactors {
            for range in KeyRange.all where sharesRange(range, n, with: node) {
                sum &+= tree(n, range).root
            }
        }
        return sum
    }

    /// The next exchange comes at the next heartbeat.
    mutating func hastenExchange(_ index: Int) {
        links[index].exchangePause = 0
        links[index].exchangeAt = 0
    }

    /// A link returned, or something that was sent over it did not arrive: whoever notices compares
    /// at once, and again until what was under way then is either here or missing.
    mutating func noteMissing(_ index: Int) {
        links[index].missesUntil =
            now.monotonic + .nanoseconds(milliseconds: Node.missingMilliseconds)
        hastenExchange(index)
    }

    private mutating func sendExchange(
        _ message: ExchangeMessage, _ n: Int, to node: NodeID, _ effects: inout Effects
    ) {
        var roots: (moment: Stamp, sum: UInt64)?
        if case .roots = message {
            roots = (clock.latest, linkIndex(of: node).map { freshness[$0].sent } ?? 0)
        }
        let frame = effects.bytes.appendMessage(
            kind: Message.exchangeKind, flag: UInt8(n), number: roots?.moment.rawValue ?? 0
        ) { buffer in
            message.encode(into: &buffer)
            if let roots { buffer.append(integer: roots.sum) }
        }
        spend(frame, on: node, &effects)
    }

    mutating func spend(_ frame: Range<Int>, on node: NodeID, _ effects: inout Effects) {
        if let index = linkIndex(of: node) { links[index].exchangeBudget -= frame.count }
        counters.exchangeBytes += frame.count
        send(frame, to: node, &effects)
    }

    func budget(_ node: NodeID) -> Int {
        linkIndex(of: node).map { links[$0].isBusy ? 0 : links[$0].exchangeBudget } ?? 0
    }

    /// Whether sums and lists may be sent now; what may not comes up again. Half of what comes in
    /// between two heartbeats is kept for records: lists alone move nothing.
    private mutating func mayCompare(with node: NodeID) -> Bool {
        let kept = configuration.exchangeBytesPerSecond / 2_000 * Int(Node.heartbeatMilliseconds)
        return hasBudget(above: kept, node)
    }

    private mutating func hasBudget(above kept: Int, _ node: NodeID) -> Bool {
        let isEnough = budget(node) > kept
        if !isEnough { counters.exchangesDeferred += 1 }
        return isEnough
    }
}

// What differs.
extension Node {
    struct LeafPlace {
        let n: Int
        let range: KeyRange
        let leaf: UInt16
    }

    mutating func exchange(
        _ message: ExchangeMessage, _ n: Int, from node: NodeID, _ effects: inout Effects
    ) {
        switch message {
        case .held(let sum): linkIndex(of: node).map { links[$0].exchange.there = sum }
        case .roots(let roots):
            guard background.hasTrees else { return }
            compareRoots(roots, n, node, &effects)
        case .branches(let number, let sums):
            guard mayCompare(with: node), exchanges(KeyRange(number), n, with: node) else {
                return
            }
            compareBranches(sums, KeyRange(number), n, node, &effects)
        case .leaves(let number, let branch, let sums):
            guard exchanges(KeyRange(number), n, with: node) else { return }
            let first = LeafPlace(
                n: n, range: KeyRange(number), leaf: UInt16(branch) * UInt16(HashTree.fanOut))
            compareLeaves(sums, from: first, node, &effects)
        case .keys(let number, let leaf, let keys):
            guard hasBudget(above: 0, node), exchanges(KeyRange(number), n, with: node) else {
                return
            }
            let place = LeafPlace(n: n, range: KeyRange(number), leaf: leaf)
            compareKeys(keys, place, node, &effects)
        case .wanted(let number, let leaf, let hashes):
            guard sharesRange(KeyRange(number), n, with: node) else { return }
            let place = LeafPlace(n: n, range: KeyRange(number), leaf: leaf)
            sendRecords(hashes, place, to: node, &effects)
        }
    }

    private mutating func compareRoots(
        _ roots: [ExchangeMessage.RangeRoot], _ n: Int, _ node: NodeID, _ effects: inout Effects
    ) {
        let differing = roots.map { (KeyRange($0.range), $0.root) }.filter { range, root in
            exchanges(range, n, with: node) && tree(n, range).root != root
        }
        guard !differing.isEmpty, mayCompare(with: node) else { return }
        sendExchange(.held(sharedSum(with: node)), n, to: node, &effects)
        // Another beginning each time, so that the limit starves none.
        let first = random.below(differing.count)
        let limit = min(Node.rangesMax, max(1, budget(node) / Node.descentBytes))
        for step in 0..<min(differing.count, limit) {
            let range = differing[(first + step) % differing.count].0
            let branches = Array(tree(n, range).branches)
            sendExchange(.branches(range.rawValue, branches), n, to: node, &effects)
        }
    }

    private mutating func compareBranches(
        _ theirs: [UInt64], _ range: KeyRange, _ n: Int, _ node: NodeID, _ effects: inout Effects
    ) {
        let own = tree(n, range)
        let mine = Array(own.branches)
        let first = random.below(HashTree.fanOut)
        for step in 0..<HashTree.fanOut {
            let branch = (first + step) % HashTree.fanOut
            guard theirs[branch] != mine[branch] else { continue }
            guard mayCompare(with: node) else { return }
            let leaves = Array(own.leaves(of: branch))
            sendExchange(
                .leaves(range.rawValue, branch: UInt8(branch), leaves), n, to: node, &effects)
        }
    }

    private mutating func compareLeaves(
        _ theirs: [UInt64], from first: LeafPlace, _ node: NodeID, _ effects: inout Effects
    ) {
        if waitsForRoom() { return }
        let (n, range) = (first.n, first.range)
        let mine = tree(n, range).leaves(of: Int(first.leaf) / HashTree.fanOut)
        for (leaf, sums) in zip(first.leaf..., zip(theirs, mine)) where sums.0 != sums.1 {
            guard mayCompare(with: node) else { return }
            let keys = states(LeafPlace(n: n, range: range, leaf: leaf))
            sendExchange(.keys(range.rawValue, leaf: leaf, keys), n, to: node, &effects)
        }
    }

    private mutating func compareKeys(
        _ theirs: [KeyState], _ place: LeafPlace, _ node: NodeID, _ effects: inout Effects
    ) {
        let reach = clock.reach
        let isMissing = linkIndex(of: node).map { now.monotonic < links[$0].missesUntil } ?? false
        let age = isMissing ? Node.missedWriteMilliseconds : Node.writeMilliseconds
        let onTheirWay = Stamp(milliseconds: reach - min(reach, age))
        let latest = Stamp(milliseconds: reach + configuration.clockDriftMax)
        let comparison = LeafComparison(
            here: states(place), there: theirs,
            fresh: onTheirWay.rawValue...latest.rawValue)
        // What this node has, others sent it, or its deltas have told them.
        if waitsForRoom() { return }
        if let index = linkIndex(of: node) {
            links[index].exchange.hasSent =
                !comparison.lackedThere.isEmpty
                || links[index].exchange.hasSent
            links[index].exchange.hasAsked =
                !comparison.lackedHere.isEmpty
                || links[index].exchange.hasAsked
        }
        sendRecords(comparison.lackedThere, place, to: node, &effects)
        guard !comparison.lackedHere.isEmpty,
            configuration.plantedBug != .exchangeAsksNothing
        else { return }
        let wanted = ExchangeMessage.wanted(
            place.range.rawValue, leaf: place.leaf, comparison.lackedHere)
        sendExchange(wanted, place.n, to: node, &effects)
    }

    /// What this node holds in a leaf, ascending by hash.
    mutating func states(_ place: LeafPlace) -> [KeyState] {
        var states: [KeyState] = []
        store.visit(place.range, HashTree.hashes(of: Int(place.leaf))) { hash, record in
            let keyspace = catalog.index(of: record.key)
            let digest = treeDigest(record, keyspace)
            guard digest != 0, catalog.active[keyspace].n == place.n else { return }
            if configuration.plantedBug == .exchangeSkipsTombstones, record.isTombstone { return }
            let merges =
                record.isSiblingSet || record.isLayered
                || catalog.active[keyspace].settings.conflict != .lww
            states.append(
                KeyState(
                    hash: hash, digest: digest, stamp: record.dot.stamp.rawValue, merges: merges))
        }
        turn.spend(exchanged: states.count)
        states.sort { $0.hash < $1.hash }
        // Of keys that share a hash, which takes intent, one is compared.
        for index in states.indices.dropFirst().reversed()
        where states[index].hash == states[index - 1].hash { states.remove(at: index) }
        return states
    }

    /// Stamps anew what would be refused as far ahead.
    mutating func settleDoubts(
        _ hashes: [UInt64], _ place: LeafPlace, _ effects: inout Effects
    ) {
        guard correction != nil else { return }
        var doubted: [[UInt8]] = []
        store.visit(place.range, HashTree.hashes(of: Int(place.leaf))) { hash, record in
            guard isDoubted(record.dot), hashes.holds(hash) else { return }
            doubted.append(Array(record.key))
        }
        restampDoubted(doubted, &effects)
    }

    private mutating func sendRecords(
        _ hashes: [UInt64], _ place: LeafPlace, to node: NodeID, _ effects: inout Effects
    ) {
        guard !hashes.isEmpty, budget(node) > 0 else { return }
        settleDoubts(hashes, place, &effects)
        var frames: [Range<Int>] = []
        var left = budget(node)
        store.visit(place.range, HashTree.hashes(of: Int(place.leaf))) { hash, record in
            guard left > 0, hashes.holds(hash) else { return }
            let frame = effects.bytes.appendMessage(kind: 1, number: 0) {
                appendWhole(record, into: &$0)
            }
            frames.append(frame)
            left -= frame.count
        }
        for frame in frames { spend(frame, on: node, &effects) }
        turn.spend(exchanged: frames.count)
        turn.spend(bytesTaken: frames.reduce(0) { $0 + $1.count })
        counters.exchangedKeys += frames.count
    }
}

extension [UInt64] {
    /// Whether an ascending list holds a number.
    func holds(_ number: UInt64) -> Bool {
        let index = partitionPoint { $0 < number }
        return index < count && self[index] == number
    }
}
