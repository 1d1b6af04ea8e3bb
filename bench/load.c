// A closed-loop load generator for one thread and many connections: what redis-benchmark cannot send.
//
//     load MODE CONNECTIONS REQUESTS VALUE_BYTES ACKS_FILE PORT…
//
// set      SET key value, one request under way on each connection.
// setwait  SET key value and WAIT 1 1000 in one write; done when a replica has acknowledged.
// verify   GET of each key that ACKS_FILE names, compared with the value that was written.
//
// Connection i talks to port i modulo the number of ports on 127.0.0.1. Request number k writes key
// load:k, so that each key is written once. ACKS_FILE ("-" for none) gets one line with k for each
// acknowledged write. A connection that breaks is not opened again; the others go on.
//
// With LOAD_RATE in the environment so many requests are due each second, whoever has answered, and a
// latency runs from when the request was due: a server that stalls is not spared what came meanwhile.
//
// Prints: acknowledged, refused, broken connections, seconds, p50 and p99 in microseconds, the
// generator's own CPU seconds, and p99.9. Exits 1 when verify finds a key missing or different.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { reply_bytes_max = 1 << 17, value_bytes_max = 65536 };
enum mode { SET, SETWAIT, VERIFY };

struct connection {
    int fd;
    long key;
    uint64_t begun;
    size_t got;
    char *reply;
};

static enum mode mode;
static long requests, value_bytes, issued, finished, acknowledged, refused, broken, wrong;
static long *keys;  // verify: which keys to read, in order
static uint32_t *latencies;
static FILE *acks;
static double rate;  // requests a second; 0 for as many as are answered
static uint64_t started;
static struct connection **idle;
static int idle_count;

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void die(const char *what) {
    perror(what);
    exit(2);
}

// Every key has a value of its own, so that a mixed-up read is seen.
static void fill(char *value, long key) {
    char digits[32];
    int count = snprintf(digits, sizeof digits, "%ld.", key);
    for (long i = 0; i < value_bytes; i++) value[i] = digits[i % count];
}

static void hang_up(struct connection *c) {
    close(c->fd);
    c->fd = -1;
    broken++;
}

// When the next request is to be sent.
static uint64_t due(void) { return rate > 0 ? started + (uint64_t)((double)issued * 1e9 / rate) : now(); }

static void issue(struct connection *c) {
    static char out[value_bytes_max + 256], value[value_bytes_max];
    if (issued == requests) return;
    uint64_t begun = due();
    if (begun > now()) {
        idle[idle_count++] = c;
        return;
    }
    c->key = mode == VERIFY ? keys[issued] : issued;
    issued++;
    char key[32];
    int key_bytes = snprintf(key, sizeof key, "load:%ld", c->key), n;
    if (mode == VERIFY) {
        n = sprintf(out, "*2\r\n$3\r\nGET\r\n$%d\r\n%s\r\n", key_bytes, key);
    } else {
        fill(value, c->key);
        n = sprintf(out, "*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%ld\r\n", key_bytes, key, value_bytes);
        memcpy(out + n, value, (size_t)value_bytes);
        n += (int)value_bytes;
        n += sprintf(out + n, "\r\n");
        if (mode == SETWAIT) n += sprintf(out + n, "*3\r\n$4\r\nWAIT\r\n$1\r\n1\r\n$4\r\n1000\r\n");
    }
    c->got = 0;
    c->begun = begun;
    if (send(c->fd, out, (size_t)n, MSG_NOSIGNAL) != n) hang_up(c);
}

// How many bytes the first reply takes, 0 while it is incomplete.
static size_t reply_length(const char *reply, size_t got) {
    const char *end = memmem(reply, got, "\r\n", 2);
    if (!end) return 0;
    size_t head = (size_t)(end - reply) + 2;
    long body = reply[0] == '$' ? atol(reply + 1) : -1;
    if (body < 0) return head;
    return got >= head + (size_t)body + 2 ? head + (size_t)body + 2 : 0;
}

static void check_value(struct connection *c) {
    static char value[value_bytes_max];
    fill(value, c->key);
    const char *body = memmem(c->reply, c->got, "\r\n", 2);
    int same = c->reply[0] == '$' && atol(c->reply + 1) == value_bytes && body
        && memcmp(body + 2, value, (size_t)value_bytes) == 0;
    if (same) {
        acknowledged++;
    } else if (++wrong <= 5) {
        fprintf(stderr, "load:%ld is wrong: %.*s\n", c->key, (int)(c->got > 60 ? 60 : c->got), c->reply);
    }
}

static void complete(struct connection *c, const char *second) {
    latencies[finished++] = (uint32_t)((now() - c->begun) / 1000);
    if (mode == VERIFY) {
        check_value(c);
    } else if (memcmp(c->reply, "+OK", 3) == 0 && (!second || (second[0] == ':' && atol(second + 1) >= 1))) {
        acknowledged++;
        if (acks) fprintf(acks, "%ld\n", c->key);
    } else if (++refused <= 5) {
        fprintf(stderr, "refused: %.*s\n", (int)(c->got > 120 ? 120 : c->got), c->reply);
    }
    issue(c);
}

static void readable(struct connection *c) {
    ssize_t n = recv(c->fd, c->reply + c->got, reply_bytes_max - c->got, 0);
    if (n <= 0) {
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
        hang_up(c);
        return;
    }
    c->got += (size_t)n;
    size_t first = reply_length(c->reply, c->got);
    if (!first) return;
    if (mode != SETWAIT) {
        complete(c, NULL);
    } else if (reply_length(c->reply + first, c->got - first)) {
        complete(c, c->reply + first);
    }
}

static int dial(int port) {
    int fd = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0) die("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    return fd;
}

static void read_keys(const char *path) {
    FILE *file = fopen(path, "r");
    if (!file) die(path);
    size_t room = 0;
    long key;
    requests = 0;
    while (fscanf(file, "%ld", &key) == 1) {
        if ((size_t)requests == room) keys = realloc(keys, (room = room * 2 + 1024) * sizeof *keys);
        keys[requests++] = key;
    }
    fclose(file);
}

static int ascending(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void report(double seconds) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    qsort(latencies, (size_t)finished, sizeof *latencies, ascending);
    uint32_t p50 = finished ? latencies[finished / 2] : 0, p99 = finished ? latencies[finished * 99 / 100] : 0;
    uint32_t p999 = finished ? latencies[finished * 999 / 1000] : 0;
    double cpu = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec)
        + (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
    printf("acknowledged %ld refused %ld broken %ld seconds %.3f p50 %u p99 %u cpu %.2f p999 %u\n",
        acknowledged, refused, broken, seconds, p50, p99, cpu, p999);
}

// Waits for the next answer or the next request's turn, and begins what is due.
static void pace(int poller) {
    uint64_t time = now(), next = due();
    if (idle_count && issued < requests && next > time) {
        struct pollfd answers = {.fd = poller, .events = POLLIN};
        struct timespec wait = {(time_t)((next - time) / 1000000000u), (long)((next - time) % 1000000000u)};
        ppoll(&answers, 1, &wait, NULL);
    }
    while (idle_count && issued < requests && due() <= now()) issue(idle[--idle_count]);
}

int main(int count, char **arguments) {
    if (count < 7) {
        fprintf(stderr, "load set|setwait|verify CONNECTIONS REQUESTS VALUE_BYTES ACKS_FILE PORT…\n");
        return 2;
    }
    mode = !strcmp(arguments[1], "verify") ? VERIFY : !strcmp(arguments[1], "setwait") ? SETWAIT : SET;
    int connections = atoi(arguments[2]), ports = count - 6;
    requests = atol(arguments[3]);
    value_bytes = atol(arguments[4]);
    if (connections < 1 || requests < 1 || value_bytes < 1 || value_bytes > value_bytes_max) return 2;
    if (mode == VERIFY) {
        read_keys(arguments[5]);
    } else if (strcmp(arguments[5], "-")) {
        acks = fopen(arguments[5], "w");
        if (!acks) die(arguments[5]);
        setvbuf(acks, NULL, _IOLBF, 1 << 12);
    }
    latencies = calloc((size_t)requests + 1, sizeof *latencies);
    struct connection *all = calloc((size_t)connections, sizeof *all);
    int poll = epoll_create1(0);
    for (int i = 0; i < connections; i++) {
        all[i].fd = dial(atoi(arguments[6 + i % ports]));
        all[i].reply = malloc(reply_bytes_max);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &all[i]};
        if (epoll_ctl(poll, EPOLL_CTL_ADD, all[i].fd, &event) < 0) die("epoll_ctl");
    }
    if (getenv("LOAD_RATE")) rate = atof(getenv("LOAD_RATE"));
    idle = calloc((size_t)connections, sizeof *idle);
    started = now();
    for (int i = 0; i < connections; i++) issue(&all[i]);
    while (finished < requests && broken < connections) {
        struct epoll_event events[256];
        if (rate > 0) pace(poll);
        int ready = epoll_wait(poll, events, 256, idle_count && issued < requests ? 0 : 5000);
        if (ready == 0 && !(idle_count && issued < requests)) break;  // nothing for five seconds: report what there is
        for (int i = 0; i < ready; i++) readable(events[i].data.ptr);
        if (finished + broken >= requests) break;
    }
    report((double)(now() - started) / 1e9);
    return mode == VERIFY && acknowledged < requests;
}
