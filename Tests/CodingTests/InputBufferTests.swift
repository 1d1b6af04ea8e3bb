import Testing

@testable import Coding

@Suite("What a connection has sent")
struct InputBufferTests {
    private func append(_ text: String, _ input: InputBuffer) {
        Array(text.utf8).withUnsafeBytes { input.buffer.append($0) }
    }

    @Test("bytes that somebody keeps stay as they are, and what follows goes on elsewhere")
    func kept() {
        var unread = InputBuffer()
        append("request, rest", unread)
        let kept: InputBuffer? = unread
        InputBuffer.removeFirst(9, of: &unread)
        append(" and more", unread)
        #expect(unread.bytes.elementsEqual("rest and more".utf8))
        #expect(kept?.bytes.elementsEqual("request, rest".utf8) == true)
    }

    @Test("bytes that nobody keeps make room for those that follow")
    func dropped() {
        var unread = InputBuffer()
        append("request, rest", unread)
        let before = ObjectIdentifier(unread)
        InputBuffer.removeFirst(9, of: &unread)
        #expect(unread.bytes.elementsEqual("rest".utf8))
        #expect(ObjectIdentifier(unread) == before)
    }
}
