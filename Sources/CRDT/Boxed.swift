/// A large value behind one reference: to hand it on counts one reference instead of one for each
/// of its fields, and it is copied only when a shared one is changed.
///
/// An array of one serves as the box.
@propertyWrapper
struct Boxed<Value> {
    private var box: [Value]

    init(wrappedValue: Value) { box = [wrappedValue] }

    var wrappedValue: Value {
        _read { yield box[0] }
        _modify { yield &box[0] }
    }
}

extension Boxed: Equatable where Value: Equatable {}
extension Boxed: Sendable where Value: Sendable {}
