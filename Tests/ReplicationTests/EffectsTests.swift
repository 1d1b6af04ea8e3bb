import Coding
import Testing

@testable import Replication

@Suite("An effect that follows a persist waits for it, within its scope and behind it")
struct EffectsTests {
    /// Writes `p` for a persist, `r` for a reply, `(` and `)` for a scope; returns the replies in
    /// order, `!` for each that waits.
    private func walk(_ script: String) -> String {
        var effects = Effects()
        var scopes: [Effects.Scope] = []
        effects.beginStep()
        for letter in script {
            switch letter {
            case "p": effects.persist { $0.append(UInt8(1)) }
            case "(": scopes.append(effects.beginScope())
            case ")": if let scope = scopes.popLast() { effects.endScope(scope) }
            default: effects.add(.notify(1))
            }
        }
        return effects.entries.reduce(into: "") { text, entry in
            if case .notify = entry.effect { text += entry.gated ? "!" : "." }
        }
    }

    @Test("one persist gates everything behind it in its step")
    func step() {
        #expect(walk("rprr") == ".!!")
        #expect(walk("(r)(pr)") == ".!")
    }

    @Test("a scope is not gated by what stands outside of it, nor by its neighbours")
    func inside() {
        #expect(walk("p(r)") == ".")
        #expect(walk("(pr)(r)") == "!.")
        #expect(walk("(pr(r)r)") == "!.!")
    }

    @Test("the end of a scope takes no gate away: not the one that was there, nor its own")
    func behind() {
        #expect(walk("p(r)r") == ".!")
        #expect(walk("(p)r") == "!")
        #expect(walk("((p)r)r") == "!!")
        #expect(walk("(r)r") == "..")
    }

    @Test("a step begins with no gate")
    func nextStep() {
        var effects = Effects()
        effects.beginStep()
        effects.persist { $0.append(UInt8(1)) }
        effects.beginStep()
        effects.add(.notify(1))
        #expect(effects.entries.last?.gated == false)
    }
}
