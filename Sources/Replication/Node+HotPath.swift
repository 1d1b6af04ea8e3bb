import Base
import Causality
import Coding
import RESP
import Ring

// The plain `GET key` and `SET key value` that this node answers alone, without the records,
// intents and levels that the general path hands around: half of its instructions. The outcome is
// that of `Node+Read` and `Node+Write`, to which every request goes that is anything else;
// `HotPathTests` holds the two together.
extension Node {
    /// Answers a plain read from this node's own state.
    ///
    /// - Returns: false, and nothing has happened, when the request has to take the general path.
    @inline(__always)
    mutating func getHere(_ connection: ConnectionID, _ effects: inout Effects) -> Bool {
        guard request.count == 2, client.isPlain else { return false }
        let key = request.tabled(1)
        guard key.count <= Record.keyBytesMax else { return false }
        let keyspace = catalog.index(of: key)
        guard catalog.active[keyspace].answersReadsAlone else { return false }
        let address = store.address(of: key)
        guard isReplica(of: address.range, keyspace), isWhole(address.range, keyspace) else {
            return false
        }
        let start = effects.bytes.count
        if let record = store.find(address, key) {
            guard !record.isSiblingSet else { return false }
            if isLive(record), record.written.stamp > catalog.active[keyspace].truncatedAt {
                effects.bytes.writeBulk(record.body)
            } else {
                effects.bytes.writeNull(client.dialect)
            }
        } else {
            effects.bytes.writeNull(client.dialect)
        }
        counters.commands += 1
        counters.reads += 1
        ledger.answeredNow(keyspace, .read)
        deliverDirectly(connection, from: start, &effects)
        return true
    }

    /// Stores a plain value of a keyspace with one replica, in memory, this node.
    ///
    /// - Returns: false, and nothing has happened, when the request has to take the general path.
    @inline(__always)
    mutating func setHere(_ connection: ConnectionID, _ effects: inout Effects) -> Bool {
        guard request.count == 3, client.isPlain else { return false }
        let key = request.tabled(1)
        let value = request.tabled(2)
        let keyspace = catalog.index(of: key)
        guard catalog.active[keyspace].answersWritesAlone,
            key.count <= catalog.active[keyspace].keyBytesMax,
            value.count <= catalog.active[keyspace].valueBytesMax,
            !isMemoryFull,
            clock.last >= catalog.active[keyspace].truncatedAt, fences.isEmpty
        else { return false }
        let address = store.address(of: key)
        guard isReplica(of: address.range, keyspace) else { return false }
        let place = store.locate(address, key)
        let tally = catalog.active[keyspace].tally
        if let stored = place.record {
            guard place.tally == tally else { return false }
            _ = clock.follow(stored.dot.stamp)
        }
        let dot = Dot(identity: identity, stamp: clock.tick())
        let length = Record.length(keyBytes: key.count, bodyBytes: value.count)
        holdings.replace(
            place.record, tally, by: .plain(length: length, isTombstone: false, expires: false),
            tally, dot.stamp)
        store.release(place.record)
        let target = store.prepare(place, address, key, length: length, tally)
        Record.write(to: target, kind: .value, dot: dot, expiry: 0, key: key, body: value)
        counters.commands += 1
        counters.writes += 1
        ledger.answeredNow(keyspace, .write)
        let start = effects.bytes.count
        effects.bytes.writeOK()
        deliverDirectly(connection, from: start, &effects)
        return true
    }
}
