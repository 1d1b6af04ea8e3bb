// What Swift's Glibc module leaves out of Linux, as static inline C: nothing to install, nothing to link.
#ifndef QUORATE_LINUX_H
#define QUORATE_LINUX_H

#include <errno.h>
#include <malloc.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <time.h>

#if defined(__x86_64__)
// CPUID.1:ECX bit 20 says SSE4.2, which carries the CRC32C instruction.
static inline int quorate_has_hardware_crc32c(void) {
    unsigned a = 1, b, c = 0, d;
    __asm__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    return (c & (1u << 20)) != 0;
}

__attribute__((target("sse4.2")))
static inline uint32_t quorate_hardware_crc32c(uint32_t crc, const uint8_t *bytes, size_t count) {
    uint64_t state = crc;
    while (count >= 8) {
        uint64_t word;
        __builtin_memcpy(&word, bytes, 8);
        state = __builtin_ia32_crc32di(state, word);
        bytes += 8;
        count -= 8;
    }
    uint32_t narrow = (uint32_t)state;
    while (count--) narrow = __builtin_ia32_crc32qi(narrow, *bytes++);
    return narrow;
}
#else
static inline int quorate_has_hardware_crc32c(void) { return 0; }
static inline uint32_t quorate_hardware_crc32c(uint32_t crc, const uint8_t *bytes, size_t count) {
    (void)bytes; (void)count;
    return crc;
}
#endif

// epoll_wait(2) to the nanosecond, where the C library (2.35) and the kernel (5.11) know how; else rounded up to
// milliseconds. A negative timeout waits for ever. Returns the number of events or -errno.
static inline int quorate_epoll_wait(int poller, struct epoll_event *events, int max, int64_t nanoseconds) {
    int milliseconds = -1, count;
    if (nanoseconds >= 0) {
#if defined(__GLIBC_PREREQ)
#if __GLIBC_PREREQ(2, 35)
        struct timespec timeout = { nanoseconds / 1000000000, nanoseconds % 1000000000 };
        count = epoll_pwait2(poller, events, max, &timeout, NULL);
        if (count >= 0) return count;
        if (errno != ENOSYS && errno != EPERM) return -errno;
#endif
#endif
        int64_t rounded = (nanoseconds + 999999) / 1000000;
        milliseconds = rounded > 3600000 ? 3600000 : (int)rounded;
    }
    count = epoll_wait(poller, events, max, milliseconds);
    return count >= 0 ? count : -errno;
}

// prctl(2) is variadic, which Swift does not import. This thread's timers end on time, not up to 50 µs late.
static inline int quorate_sharpen_timers(void) { return prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0); }

// mallinfo2(3) came with glibc 2.33: bytes of the heap that are in use, of all threads; 0 where it is not known.
static inline uint64_t quorate_heap_in_use(void) {
#if defined(__GLIBC_PREREQ)
#if __GLIBC_PREREQ(2, 33)
    return mallinfo2().uordblks;
#endif
#endif
    return 0;
}

// mallopt(3) is glibc's: a block of 4 MiB gets pages of its own, so that it grows without being copied, and what is
// freed at the heap's end stays until it is much. By itself glibc raises the first to 32 MiB when one has been freed.
static inline void quorate_grow_large_blocks_in_place(void) {
#if defined(__GLIBC__)
    mallopt(M_MMAP_THRESHOLD, 4 << 20);
    mallopt(M_TRIM_THRESHOLD, 64 << 20);
#endif
}

// malloc_trim(3) is glibc's: gives all free pages of the heap back to the kernel. Others do so by themselves, or not.
static inline void quorate_give_back_heap(void) {
#if defined(__GLIBC__)
    malloc_trim(0);
#endif
}

// accept4(2) stands behind _GNU_SOURCE, which Swift's Glibc module is not built with.
extern int quorate_accept4(int listener, void *address, void *length, int flags) __asm__("accept4");

#endif
