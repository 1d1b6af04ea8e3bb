/// What README says typed values are, by definition over everything that ever happened: slow,
/// without states, deltas, dots or compaction, and written from README's sentences alone before the
/// code was read. `PairTests` holds the commands to it.
///
/// An event is one command that changed something. It knows its place in time and which events its
/// node had seen. Whatever is there is there because of an event, and is gone once some event
/// removed or replaced it that had seen it: "what one side removes it has seen, nothing else".
struct EventHistory {
    /// Where a part of a value stands: a field, a member, an element, the string itself.
    struct Place: Hashable {
        let type: String
        var name = ""
    }

    /// What an event does.
    enum Effect {
        /// Puts a value there, in the place of what it has seen there.
        case put(Place, String)
        /// Adds to what is there, whatever that is.
        case add(Place, Double)
        /// Removes what it has seen there.
        case remove(Place)
        /// Removes all that it has seen of the key, but not of this type.
        case clear(except: String?)
        /// Removes an element of a list for good, whether or not this event has seen the newest
        /// value that somebody has given it: "what one side removes is gone".
        case drop(element: String)
        /// Gives a time to all that it has seen; 0 for never.
        case give(Int)
        /// What this event itself puts or adds ends at a time that another one gave.
        case inherit(order: Int, time: Int)
        /// Removes what was over: what these events did at these places.
        case end([Place: EventSet])
    }

    struct Event {
        let node: Int
        let seen: EventSet
        let effects: [Effect]
    }

    private(set) var events: [Event] = []
    /// By every clock.
    var now = 0

    /// A side of a cut: what it has seen, and in which order it sees the elements of the list.
    struct Side {
        var node = 0
        var seen: EventSet = []
        var order: [String] = []
    }

    /// What is there of one place.
    struct Content: Equatable {
        /// The puts that nothing has replaced, oldest first.
        var puts: [(event: Int, value: String)] = []
        var adds: [(event: Int, amount: Double)] = []

        var isEmpty: Bool { puts.isEmpty && adds.isEmpty }
        var newest: Int { max(puts.last?.event ?? -1, adds.map(\.event).max() ?? -1) }

        /// "The newest value, plus the increments that it has not seen." A value that is no number
        /// keeps none.
        var value: String {
            guard !adds.isEmpty else { return puts.last?.value ?? "" }
            guard let put = puts.last else { return text(adds.reduce(0) { $0 + $1.amount }) }
            guard let number = Double(put.value) else { return put.value }
            return text(adds.reduce(number) { $0 + $1.amount })
        }

        static func == (a: Content, b: Content) -> Bool { a.value == b.value }
    }

    /// Everything that is there after these events, by place.
    ///
    /// - Parameter all: what is over is there too.
    func contents(_ seen: EventSet, all: Bool = false) -> [Place: Content] {
        var contents: [Place: Content] = [:]
        for id in seen {
            for effect in events[id].effects {
                switch effect {
                case .put(let place, let value):
                    guard !isRemoved(place, by: seen, of: id) else { continue }
                    contents[place, default: Content()].puts.append((id, value))
                case .add(let place, let amount):
                    guard !isRemoved(place, by: seen, of: id) else { continue }
                    contents[place, default: Content()].adds.append((id, amount))
                case .remove, .clear, .drop, .give, .inherit, .end:
                    break
                }
            }
        }
        return all ? contents : left(of: contents, seen)
    }

    /// What of it is not over.
    func left(of all: [Place: Content], _ seen: EventSet) -> [Place: Content] {
        var contents = all
        for (place, content) in all {
            let over = over(content.adds, at: place, seen)
            contents[place]?.adds.removeAll { over.contains($0.event) }
            contents[place]?.puts.removeAll { isOver($0.event, at: place, seen) }
        }
        return contents.filter { !$0.value.isEmpty }
    }

    /// Whether one of `seen` took away what event `id` did at a place.
    private func isRemoved(_ place: Place, by seen: EventSet, of id: Int) -> Bool {
        seen.contains { other in
            events[other].effects.contains { effect in
                switch effect {
                case .put(let target, _), .remove(let target):
                    target == place && events[other].seen.contains(id)
                case .clear(let type):
                    // An element's new value went with the element, seen or not.
                    place.type != type
                        && (events[other].seen.contains(id) || hasSeenElement(other, place))
                case .drop(let element):
                    place == Place(type: "list", name: element)
                case .end(let gone):
                    gone[place]?.contains(id) == true
                        || place.type == "list" && hasEnded(gone, place)
                case .add, .give, .inherit:
                    false
                }
            }
        }
    }

    /// Whether an event has seen the push or insert that made an element.
    private func hasSeenElement(_ event: Int, _ place: Place) -> Bool {
        guard place.type == "list" else { return false }
        return Int(place.name.prefix { $0 != "." }).map(events[event].seen.contains) ?? false
    }

    /// An element that is over is gone, with whatever value it was given.
    private func hasEnded(_ gone: [Place: EventSet], _ place: Place) -> Bool {
        gone[place].map { !$0.isEmpty } ?? false
    }

    /// The type that is seen: "the one written last", and empty when nothing is there.
    func type(_ seen: EventSet) -> String { visible(seen).type }

    /// The type that is seen, and the contents of its parts by their names.
    func visible(_ seen: EventSet) -> (type: String, parts: [String: Content]) {
        let contents = contents(seen)
        let type = contents.max { $0.value.newest < $1.value.newest }?.key.type ?? ""
        var parts: [String: Content] = [:]
        for (place, content) in contents where place.type == type {
            parts[place.name] = content
        }
        return (type, parts)
    }

    /// Runs an event on a side.
    mutating func record(_ effects: [Effect], on side: inout Side) {
        events.append(Event(node: side.node, seen: side.seen, effects: effects))
        side.seen.insert(events.count - 1)
    }

    /// The names of the parts of a type that a side sees, and their contents.
    func parts(_ type: String, _ seen: EventSet) -> [String: Content] {
        let visible = visible(seen)
        return visible.type == type ? visible.parts : [:]
    }
}

/// A number as Redis writes it.
func text(_ number: Double) -> String {
    if number.isNaN { return "0" }
    if number.isInfinite { return number < 0 ? "-inf" : "inf" }
    return number == number.rounded() ? String(Int64(number)) : String(number)
}
