import CRDT
import Causality
import Coding
import RESP

/// A query that looks at all elements of a value, as that was when it was asked: a scan, or a
/// search in a list. A large value is looked at over several steps.
struct ElementWalk {
    /// Elements that one step looks at.
    static let elementsMax = 16_384

    private enum Query {
        case scan(ElementScan, hashes: Range<UInt64>, cursor: UInt64)
        case search(ListSearch)
    }

    private var elements: Elements
    private var query: Query
    /// What a scan tells.
    private(set) var told = ReplyElements()

    /// - Parameter bytes: of all elements, about.
    init(_ scan: ElementScan, among elements: Elements, bytes: Int) {
        self.elements = elements
        let (hashes, cursor) = scan.step(of: elements.count, bytes: bytes)
        query = .scan(scan, hashes: hashes, cursor: cursor)
        // Nothing is left behind the last cursor.
        if hashes.isEmpty { self.elements = Elements([]) }
    }

    /// - Parameter elements: from the end where the options say so.
    init(
        _ options: ListSearchOptions, of element: Bytes, among elements: Elements
    ) {
        self.elements = elements
        query = .search(ListSearch(options, element, count: elements.count))
    }

    /// Looks at some more elements.
    ///
    /// - Returns: whether everything has been looked at that needs to be.
    mutating func advance() -> Bool {
        var looked = 0
        while looked < ElementWalk.elementsMax, !isDecided, let piece = elements.next() {
            looked += piece.count
            switch piece {
            case .elements(let some): look(at: some)
            case .fields(let some):
                for (field, value) in some where isTold(field) {
                    told.append(.bulk(field))
                    told.append(.bulk(Bytes(value.text)))
                }
            case .scores(let some):
                for (member, score) in some where isTold(member) {
                    var text = ByteBuffer(capacity: 32)
                    text.writeDouble(score, .resp2)
                    told.append(.bulk(member))
                    told.append(.encoded(Array(text.bytes)))
                }
            }
        }
        return isDecided || elements.count == 0
    }

    private var isDecided: Bool {
        if case .search(let search) = query { return search.isDecided }
        return told.isTooLong
    }

    private mutating func look(at some: [Bytes]) {
        if case .search(var search) = query {
            search.look(at: some)
            query = .search(search)
            return
        }
        for element in some where isTold(element) { told.append(.bulk(element)) }
    }

    private func isTold(_ element: Bytes) -> Bool {
        guard case .scan(let scan, let hashes, _) = query else { return false }
        return scan.tells(element, in: hashes)
    }

    /// The reply, or what stands before the elements that are told.
    func head(_ dialect: Dialect) -> [UInt8] {
        var buffer = ByteBuffer(capacity: 64)
        switch query {
        case .search(let search): search.write(into: &buffer, dialect)
        case .scan(_, _, let cursor):
            guard !told.isTooLong else {
                buffer.writeError("ERR the reply would have more than 60 MB; ask for less at once")
                break
            }
            buffer.writeArrayHeader(count: 2)
            buffer.writeBulk(text: "\(cursor)")
            buffer.writeArrayHeader(count: told.elements.count)
        }
        return Array(buffer.bytes)
    }

    func reply(_ dialect: Dialect) -> Reply {
        Reply(head(dialect), told.isTooLong ? ReplyElements() : told, dialect)
    }
}

/// Where elements stand in a list that equal a given one, in the order in which they are found.
struct ListSearch {
    private let options: ListSearchOptions
    private let element: Bytes
    /// Of the list.
    private let count: Int
    private let comparisonsMax: Int
    private var looked = 0
    private var skipped = 0
    private var places: [Int] = []

    init(_ options: ListSearchOptions, _ element: Bytes, count: Int) {
        self.options = options
        self.element = element
        self.count = count
        comparisonsMax = options.comparisonsMax > 0 ? options.comparisonsMax : .max
    }

    private var wanted: Int { options.count == 0 ? .max : options.count ?? 1 }
    var isDecided: Bool { looked >= comparisonsMax || places.count >= wanted }

    mutating func look(at some: [Bytes]) {
        for other in some {
            guard !isDecided else { return }
            defer { looked += 1 }
            guard other == element else { continue }
            guard skipped == options.rank - 1 else {
                skipped += 1
                continue
            }
            places.append(options.isFromEnd ? count - 1 - looked : looked)
        }
    }

    func write(into buffer: inout ByteBuffer, _ dialect: Dialect) {
        guard options.count != nil else {
            guard let first = places.first else { return buffer.writeNull(dialect) }
            return buffer.writeInteger(first)
        }
        buffer.writeArrayHeader(count: places.count)
        for place in places { buffer.writeInteger(place) }
    }
}

// Over several steps
extension Node {
    /// Goes on with a query in later steps.
    mutating func goOnLater(
        _ walk: ElementWalk, _ context: VersionVector, _ target: ReplyTarget,
        _ effects: inout Effects
    ) {
        guard !gathers.isFull, !isCrowded else { return overload(target, &effects) }
        let head = OperationHead(
            target: outlasting(target), client: client, deadline: .max, begunAt: now.monotonic)
        let id = begin(GatherOperation(head: head, walk))
        if client.wantsReceipt { writeReadReceipt(context, .gather(id, 0), &effects) }
        queue(id)
    }

    /// Looks at some more elements for a query.
    mutating func walkOn(_ id: OperationID, _ effects: inout Effects) {
        turn.spend(elements: ElementWalk.elementsMax)
        guard gathers[id]?.walk?.advance() == true else { return queue(id) }
        guard let whole = gathers.remove(id) else { return }
        tell(whole, &effects)
    }
}
