import Coding

/// What somebody who asks for metrics is told.
enum ScrapeAnswer {
    case metrics
    case notFound
    case methodNotAllowed
    case malformed
    case tooLarge

    init(_ request: ScrapeRequest?) {
        guard let request else {
            self = .malformed
            return
        }
        guard ["GET", "HEAD"].contains(request.method) else {
            self = .methodNotAllowed
            return
        }
        self = request.path == "/metrics" ? .metrics : .notFound
    }

    private var status: String {
        switch self {
        case .metrics: "200 OK"
        case .notFound: "404 Not Found"
        case .methodNotAllowed: "405 Method Not Allowed"
        case .malformed: "400 Bad Request"
        case .tooLarge: "431 Request Header Fields Too Large"
        }
    }

    /// The body of an answer that carries no metrics.
    var explanation: String {
        switch self {
        case .metrics: ""
        case .notFound: "Metrics in Prometheus text format are at /metrics.\n"
        case .methodNotAllowed: "GET and HEAD are served.\n"
        case .malformed: "This is no HTTP/1.1 request with one Host header.\n"
        case .tooLarge: "The head of a request has at most \(ScrapeRequest.headBytesMax) bytes.\n"
        }
    }

    /// The head before a body of so many bytes; the connection ends behind it.
    func head(bodyBytes: Int) -> String {
        // The format's own version, as a scraper expects it: Prometheus, exposition formats.
        let type = self == .metrics ? "text/plain; version=0.0.4" : "text/plain"
        let allowed = self == .methodNotAllowed ? "Allow: GET, HEAD\r\n" : ""
        return "HTTP/1.1 \(status)\r\nContent-Type: \(type); charset=utf-8\r\n"
            + "Content-Length: \(bodyBytes)\r\n\(allowed)Connection: close\r\n\r\n"
    }
}
