// Sends PING to a loopback port every 5 ms, one at a time, and prints, when it is told to stop by
// SIGTERM, the longest time in milliseconds that one took to be answered, and how many were sent.
//
//     gap PORT
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t stopped;

static void stop(int number) {
    (void)number;
    stopped = 1;
}

static double milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1e3 + now.tv_nsec / 1e6;
}

static int connected(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int one = 1, descriptor = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(descriptor, (struct sockaddr *)&address, sizeof address)) return -1;
    return descriptor;
}

// One request and its answer; 0 when the connection is gone.
static int ping(int descriptor) {
    char answer[7];
    size_t count = 0;
    if (write(descriptor, "PING\r\n", 6) != 6) return 0;
    while (count < sizeof answer) {
        ssize_t more = read(descriptor, answer + count, sizeof answer - count);
        if (more <= 0) return 0;
        count += more;
    }
    return !memcmp(answer, "+PONG\r\n", sizeof answer);
}

int main(int count, char **arguments) {
    struct sigaction action = {.sa_handler = stop, .sa_flags = SA_RESTART};
    struct timespec pause = {.tv_nsec = 5000000};
    double longest = 0;
    long sent = 0;
    int descriptor = count == 2 ? connected(atoi(arguments[1])) : -1;
    if (descriptor < 0) return fprintf(stderr, "gap PORT: nothing listens there\n"), 1;
    sigaction(SIGTERM, &action, NULL);
    while (!stopped) {
        double begun = milliseconds();
        if (!ping(descriptor)) return fprintf(stderr, "gap: the connection broke\n"), 1;
        double took = milliseconds() - begun;
        if (took > longest) longest = took;
        sent++;
        nanosleep(&pause, NULL);
    }
    printf("%.1f %ld\n", longest, sent);
    return 0;
}
