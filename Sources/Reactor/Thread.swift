import Glibc

/// Starts a thread that takes no signals.
///
/// - Returns: the thread, to be joined.
public func startThread(_ body: @escaping @Sendable () -> Void) throws(SocketError) -> pthread_t {
    var all = sigset_t()
    var before = sigset_t()
    sigfillset(&all)
    pthread_sigmask(SIG_SETMASK, &all, &before)
    defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
    let main = Unmanaged.passRetained(ThreadMain(body))
    var thread = pthread_t()
    let status = pthread_create(
        &thread, nil,
        { argument in
            guard let argument else { return nil }
            Unmanaged<ThreadMain>.fromOpaque(argument).takeRetainedValue().body()
            return nil
        }, main.toOpaque())
    guard status == 0 else {
        main.release()
        throw SocketError("pthread_create", errno: status)
    }
    return thread
}

private final class ThreadMain {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
}

/// Lets the process open so many descriptors, as far as the system's hard limit goes.
///
/// - Returns: how many it may open now.
public func raiseDescriptorLimit(to wanted: UInt64) -> UInt64 {
    var limit = rlimit()
    let kind = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
    guard getrlimit(kind, &limit) == 0, limit.rlim_cur < wanted else {
        return UInt64(limit.rlim_cur)
    }
    var raised = limit
    raised.rlim_cur = min(rlim_t(wanted), limit.rlim_max)
    return UInt64(setrlimit(kind, &raised) == 0 ? raised.rlim_cur : limit.rlim_cur)
}
