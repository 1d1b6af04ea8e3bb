import Base
import Coding
import Membership
import Secrets

// The handshake of a link (`Handshake`), and what it tells this node about itself.
extension Node {
    /// Begins a handshake with the node that was called.
    ///
    /// - Parameter nonce: never used before.
    public func greet(
        _ node: NodeID, nonce: Nonce, into output: inout ByteBuffer
    ) -> Handshake {
        var handshake = Handshake(calling: node, nonce)
        sayHello(to: node, &handshake, &output)
        return handshake
    }

    private func sayHello(
        to node: NodeID, _ handshake: inout Handshake, _ output: inout ByteBuffer
    ) {
        let hello = hello(to: node, nonce: handshake.nonce)
        hello.encode(into: &output)
        var payload = ByteBuffer(capacity: 96)
        hello.encodePayload(into: &payload)
        handshake.ownHello = Array(payload.bytes)
    }

    /// Takes what came next on a link that is not open.
    ///
    /// - Parameter output: what this side says is appended.
    public func advance(
        _ handshake: inout Handshake, _ bytes: UnsafeRawBufferPointer,
        into output: inout ByteBuffer
    ) -> HandshakeStep {
        do throws(DecodeError) {
            switch handshake.stage {
            case .hello: return try takeHello(&handshake, bytes, &output)
            case .proof: return try takeProof(&handshake, bytes, &output)
            case .verdict: return try takeVerdict(handshake, bytes)
            }
        } catch {
            return .malformed(error)
        }
    }

    private func takeHello(
        _ handshake: inout Handshake, _ bytes: UnsafeRawBufferPointer,
        _ output: inout ByteBuffer
    ) throws(DecodeError) -> HandshakeStep {
        guard let (hello, consumed) = try Hello.next(in: bytes) else { return .waits }
        let isCalled = handshake.dialled == nil
        handshake.theirs = hello
        let payload = bytes[(4 + Frame.headerBytes)..<consumed]
        handshake.theirHello = Array(payload)
        handshake.stage = .proof
        // The caller finds out by this side's greeting what is different.
        if isCalled { sayHello(to: hello.identity.node, &handshake, &output) }
        guard hello.protocolVersion == Hello.protocolVersion else {
            return .refused(.protocolVersion(theirs: hello.protocolVersion), isProven: false)
        }
        guard hello.clusterID == configuration.clusterID else {
            return .refused(otherCluster(hello), isProven: false)
        }
        if isCalled { prove(handshake, &output) }
        return .goesOn(consumed: consumed)
    }

    private func takeProof(
        _ handshake: inout Handshake, _ bytes: UnsafeRawBufferPointer,
        _ output: inout ByteBuffer
    ) throws(DecodeError) -> HandshakeStep {
        guard let hello = handshake.theirs else { throw .invalid("a proof before a greeting") }
        guard let frame = try Frame.next(in: bytes, payloadMax: Handshake.frameBytesMax) else {
            return .waits
        }
        let key = handshake.dialled == nil ? keys.links.caller : keys.links.called
        let isProven =
            frame.payload.count == Handshake.codeBytes
            && key.code(of: handshake.transcript).isProven(by: frame.payload)
        let isCalled = handshake.dialled == nil
        if !isCalled { prove(handshake, &output) }
        guard isProven else {
            if isCalled { judge(handshake, unproven(hello), &output) }
            return .refused(unproven(hello), isProven: false)
        }
        guard !isCalled else { return .proven(hello.identity, consumed: frame.consumed) }
        if let refusal = objection(to: hello, dialled: handshake.dialled) {
            return .refused(refusal, isProven: true)
        }
        handshake.stage = .verdict
        return .goesOn(consumed: frame.consumed)
    }

    private func unproven(_ hello: Hello) -> LinkRefusal {
        .unproven(hello.identity.node, own: keys.fingerprint)
    }

    private func prove(_ handshake: Handshake, _ output: inout ByteBuffer) {
        let key = handshake.dialled == nil ? keys.links.called : keys.links.caller
        let start = Frame.begin(&output)
        output.append(key.code(of: handshake.transcript).bytes)
        Frame.finish(&output, from: start)
    }

    /// Ends the handshake of a caller that has proved who it is, on the side that was called.
    ///
    /// - Parameter isTaken: there is a link to that node, or this side is to call it.
    public func conclude(
        _ handshake: Handshake, isTaken: Bool, into output: inout ByteBuffer
    ) -> HandshakeStep {
        guard let hello = handshake.theirs else {
            return .malformed(.invalid("a verdict before a greeting"))
        }
        var refusal = objection(to: hello, dialled: nil)
        if refusal == nil, isTaken {
            refusal = .duplicate(hello.identity, linked: hello.standing.highest)
        }
        judge(handshake, refusal, &output)
        if let refusal { return .refused(refusal, isProven: true) }
        return .linked(hello.identity, consumed: 0)
    }

    private func judge(
        _ handshake: Handshake, _ refusal: LinkRefusal?, _ output: inout ByteBuffer
    ) {
        let verdict = refusal?.number ?? 0
        let start = Frame.begin(&output)
        output.append(verdict)
        output.append(keys.links.verdict.code(of: [verdict] + handshake.transcript).bytes)
        Frame.finish(&output, from: start)
    }

    private func takeVerdict(
        _ handshake: Handshake, _ bytes: UnsafeRawBufferPointer
    ) throws(DecodeError) -> HandshakeStep {
        guard let hello = handshake.theirs else { throw .invalid("a verdict before a greeting") }
        guard let frame = try Frame.next(in: bytes, payloadMax: Handshake.frameBytesMax) else {
            return .waits
        }
        guard let verdict = frame.payload.first, frame.payload.count == 1 + Handshake.codeBytes
        else { throw .invalid("verdict has another length") }
        let code = UnsafeRawBufferPointer(rebasing: frame.payload[1...])
        guard keys.links.verdict.code(of: [verdict] + handshake.transcript).isProven(by: code)
        else { return .refused(unproven(hello), isProven: false) }
        guard verdict == 0 else {
            return .refused(
                .refusedThere(hello.identity.node, reason: verdict), isProven: true)
        }
        return .linked(hello.identity, consumed: frame.consumed)
    }
}

// Who is let in.
extension Node {
    /// This node's greeting.
    public func hello(to node: NodeID, nonce: Nonce = Nonce()) -> Hello {
        Hello(
            clusterID: configuration.clusterID, identity: identity, recipient: node,
            ringDigest: ring.digest,
            Hello.Sides(sender: ownStanding, recipient: standing(of: node), nonce: nonce))
    }

    /// How this node stands as it knows itself.
    private var ownStanding: Standing {
        let record = membership.ownRecord
        return Standing(
            highest: identity, admission: record.admission, isRemoved: record.state == .removed)
    }

    /// What this node knows of another one.
    private func standing(of node: NodeID) -> Standing {
        guard let index = linkIndex(of: node) else { return Standing() }
        let record = membership.member(node)?.record
        return Standing(
            highest: highestLife(of: index), admission: record?.admission ?? 0,
            isRemoved: record?.state == .removed, presence: presence(of: index))
    }

    /// What this node knows of whether the highest life of a member runs.
    private func presence(of index: Int) -> Standing.Presence {
        let highest = highestLife(of: index)
        if links[index].identity == highest { return .linked }
        let record = membership.member(links[index].node)?.record
        guard let record, record.identity == highest, record.state.isReachable else {
            return .absent
        }
        return .reachable
    }

    /// The highest life of a member that this node has admitted or heard of.
    private func highestLife(of index: Int) -> ReplicaIdentity {
        let known = membership.member(links[index].node)?.record.identity
        return max(links[index].highest, known ?? links[index].highest)
    }

    /// Decides about a greeting that was proved to be a member's.
    ///
    /// - Parameter dialled: the node that this one meant to reach, when it opened the link.
    /// - Throws: `LinkRefusal` when the other side is not the one it should be, or one of the two
    ///   takes no part.
    public func admit(_ hello: Hello, dialled: NodeID?) throws(LinkRefusal) {
        if let refusal = objection(to: hello, dialled: dialled) { throw refusal }
    }

    private func objection(to hello: Hello, dialled: NodeID?) -> LinkRefusal? {
        let node = hello.identity.node
        guard hello.protocolVersion == Hello.protocolVersion else {
            return .protocolVersion(theirs: hello.protocolVersion)
        }
        guard hello.clusterID == configuration.clusterID else { return otherCluster(hello) }
        guard node != configuration.node else { return .ownNumber }
        guard hello.recipient == configuration.node else {
            return .otherRecipient(hello.recipient)
        }
        guard hello.ringDigest == ring.digest else { return .otherRing(node) }
        guard let index = linkIndex(of: node) else { return .notAMember(node) }
        if let dialled, dialled != node { return .otherRecipient(node) }
        if let refusal = objection(toOwn: hello.standing, by: node) { return refusal }
        if membership.end != nil { return .ended }
        return objection(to: hello, of: node, index)
    }

    private func otherCluster(_ hello: Hello) -> LinkRefusal {
        .otherCluster(theirs: hello.clusterID, own: configuration.clusterID)
    }

    /// What the other node knows of this one.
    private func objection(toOwn standing: Standing, by node: NodeID) -> LinkRefusal? {
        let own = ownStanding
        if standing.isRemoved, standing.admission >= own.admission {
            return .removedHere(by: node)
        }
        if standing.admission > own.admission, standing.highest >= identity || own.isRemoved {
            return .readmittedHere(by: node)
        }
        return standing.highest > identity ? .outlived(seen: standing.highest, by: node) : nil
    }

    private func objection(
        to hello: Hello, of node: NodeID, _ index: Int
    ) -> LinkRefusal? {
        let known = membership.member(node)?.record
        if hello.sender.isRemoved { return .removed(node) }
        if let known, known.state == .removed, known.admission >= hello.sender.admission {
            return .removed(node)
        }
        let highest = highestLife(of: index)
        guard highest <= hello.identity else {
            return .staleIdentity(hello.identity, seen: highest)
        }
        if let linked = links[index].identity, linked != hello.identity {
            return .duplicate(hello.identity, linked: linked)
        }
        return nil
    }

    /// Another member has said, with proof, how this node stands.
    mutating func told(
        _ standing: Standing, of other: Standing, by node: NodeID, _ effects: inout Effects
    ) {
        if other.isRemoved {
            let record = MemberRecord(other.highest, .removed, admission: other.admission)
            stepMembership(.learned(record), &effects)
        }
        switch objection(toOwn: standing, by: node) {
        case .removedHere where configuration.plantedBug != .forgottenUnaware:
            stepMembership(
                .learned(MemberRecord(identity, .removed, admission: standing.admission)),
                &effects)
        case .readmittedHere:
            membership.beginAgain(admission: standing.admission)
            beginLife(above: max(standing.highest, identity), &effects)
        case .outlived: giveWay(to: standing, &effects)
        default: break
        }
    }

    /// There was, or is, a later life of this node. If it runs, this one is the older of two
    /// processes; whether it does, the members find out within seconds. If it does not, what is on
    /// this disk is not all that this node ever acknowledged. A process without a link so far
    /// has only now found out who it is, and is the younger one.
    private mutating func giveWay(to standing: Standing, _ effects: inout Effects) {
        switch standing.presence {
        case .linked where wasLinked:
            stepMembership(.superseded(by: standing.highest), &effects)
        case .reachable where wasLinked: break
        case .linked, .reachable, .absent: beginAgain(above: standing.highest, &effects)
        }
    }

    /// Begins a life above one that this disk does not hold.
    mutating func beginAgain(above later: ReplicaIdentity, _ effects: inout Effects) {
        ownLives.noteMissing(upTo: later.epoch)
        doubtMemory()
        persistDistrust(&effects)
        membership.beginAgain(admission: membership.ownRecord.admission)
        beginLife(above: later, &effects)
    }

    /// Has the driver begin another life, once the journal knows all that it has to know of this
    /// one.
    mutating func beginLife(above life: ReplicaIdentity, _ effects: inout Effects) {
        keptMembers = memberMemory
        effects.persist { appendMembers(into: &$0) }
        effects.add(.beginLife(above: life.epoch))
    }
}
