/* Load for the bench: a fixed number of clients, each asking again as soon as it is answered.
 *
 *     load PORT CLIENTS WARM_S MEASURED_S SPREAD_S PIDS PIECES HEAD BODY
 *
 * Clients start evenly within SPREAD_S. PIDS (comma list, or -) are the gateway's processes, whose
 * CPU time is read at both ends of the measured time. PIECES is what a whole streamed answer holds,
 * 0 for an unstreamed one. HEAD and BODY are files. Prints one JSON object. One thread, epoll,
 * loopback only, at most 4096 clients and 60 s.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MOST 4096
#define SAMPLES (1 << 20)
#define END "\r\n0\r\n\r\n" /* of a chunked body; no piece of text holds it */

typedef struct {
    int fd, in_body, status, chunked, pieces, ended, measured;
    int64_t start, sent_at, missing; /* nanoseconds, bytes */
    size_t sent, have;
    char head[8192], tail[sizeof END];
} client;

static client clients[MOST];
static int poller, port, pieces;
static char *request, buffer[1 << 18];
static size_t request_size;
static enum { WARM, MEASURED, LEAVING } phase;
static int64_t firsts[SAMPLES];
static long answers, received, bad, taken;

static int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static double cpu_s(const char *pids) { /* that the scheduler gave to these processes */
    double sum = 0;
    for (const char *p = pids; p && *p && *p != '-'; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL) {
        char path[64];
        long long spent = 0;
        snprintf(path, sizeof path, "/proc/%d/schedstat", atoi(p));
        FILE *file = fopen(path, "r");
        if (file && fscanf(file, "%lld", &spent) == 1) sum += spent / 1e9;
        if (file) fclose(file);
    }
    return sum;
}

static double busy_s(void) { /* of the whole machine */
    long user = 0, nice = 0, system = 0;
    FILE *file = fopen("/proc/stat", "r");
    if (file && fscanf(file, "cpu %ld %ld %ld", &user, &nice, &system) != 3) user = 0;
    if (file) fclose(file);
    return (user + nice + system) / (double)sysconf(_SC_CLK_TCK);
}

static void hang_up(client *c) {
    if (c->fd >= 0) close(c->fd);
    c->fd = -1;
}

static void dial(client *c) {
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(c->fd, (void *)&to, sizeof to)) { perror("load: connect"); exit(1); }
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
    struct epoll_event e = { EPOLLIN | EPOLLOUT | EPOLLET, { .u32 = c - clients } };
    epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &e);
}

static void write_request(client *c) {
    while (c->sent < request_size) {
        ssize_t size = send(c->fd, request + c->sent, request_size - c->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (size < 0) return;
        c->sent += size;
    }
}

static void ask(client *c) {
    c->in_body = c->status = c->chunked = c->pieces = c->ended = 0;
    c->have = c->sent = c->missing = 0;
    memset(c->tail, ' ', sizeof c->tail);
    c->measured = phase == MEASURED;
    c->sent_at = now();
    if (c->fd < 0) dial(c);
    write_request(c);
}

static void done(client *c, int whole) {
    if (c->measured && whole && c->status == 200 && (!pieces || c->pieces == pieces)) answers++;
    else if (c->measured) bad++;
    if (!whole) hang_up(c);
    c->ended = 1;
    if (phase != LEAVING) ask(c);
}

/* Counts the pieces in a part of a body; whether that was its end. */
static int body(client *c, const char *data, size_t size, int64_t time) {
    for (const char *p = data; (p = memchr(p, '~', data + size - p)); p++) {
        if (!c->pieces++ && c->measured && taken < SAMPLES) firsts[taken++] = time - c->sent_at;
        received += phase == MEASURED;
    }
    if (!c->chunked) return (c->missing -= size) <= 0;
    size_t end = strlen(END), kept = size < end ? end - size : 0;
    memmove(c->tail, c->tail + end - kept, kept);
    memcpy(c->tail + kept, data + size - (end - kept), end - kept);
    return !memcmp(c->tail, END, end);
}

static void readable(client *c) {
    for (ssize_t got = sizeof buffer; got == sizeof buffer;) {
        got = recv(c->fd, buffer, sizeof buffer, MSG_DONTWAIT);
        if (got < 0 && errno == EAGAIN) return;
        int64_t time = now();
        ssize_t size = got < 0 ? 0 : got;
        char *data = buffer;
        if (!size || c->ended) { done(c, 0); return; }
        if (!c->in_body) {
            size_t room = sizeof c->head - 1 - c->have, part = (size_t)size < room ? (size_t)size : room, before = c->have;
            memcpy(c->head + c->have, data, part);
            c->head[c->have += part] = 0;
            char *end = strstr(c->head, "\r\n\r\n");
            if (!end) continue;
            char *length = strcasestr(c->head, "\r\ncontent-length:");
            c->in_body = 1;
            c->status = atoi(c->head + 9);
            c->chunked = !(length && length < end);
            c->missing = c->chunked ? 0 : atoll(length + 17);
            data += end + 4 - c->head - before;
            size -= end + 4 - c->head - before;
        }
        if (size && body(c, data, size, time)) { done(c, 1); return; }
    }
}

static int rising(const void *a, const void *b) { return (*(int64_t *)a > *(int64_t *)b) - (*(int64_t *)a < *(int64_t *)b); }
static double quantile_ms(double q) { return taken ? firsts[(long)(q * (taken - 1))] / 1e6 : -1; }

static void load_file(const char *name) {
    FILE *file = fopen(name, "r");
    if (!file) { perror(name); exit(2); }
    request = realloc(request, request_size + (8 << 20));
    request_size += fread(request + request_size, 1, 8 << 20, file);
    fclose(file);
}

int main(int count, char **words) {
    if (count != 10) { fputs("usage: load PORT CLIENTS WARM_S MEASURED_S SPREAD_S PIDS PIECES HEAD BODY\n", stderr); return 2; }
    int many = atoi(words[2]), started = 0;
    double warm = atof(words[3]), measured = atof(words[4]), spread = atof(words[5]), cpu = 0, busy = 0;
    if (many < 1 || many > MOST || warm + measured > 60) { fputs("load: at most 4096 clients and 60 s\n", stderr); return 2; }
    port = atoi(words[1]);
    pieces = atoi(words[7]);
    load_file(words[8]);
    load_file(words[9]);
    signal(SIGPIPE, SIG_IGN);
    poller = epoll_create1(EPOLL_CLOEXEC);
    int64_t begin = now(), from = begin + warm * 1e9, to = from + measured * 1e9;
    for (int i = 0; i < many; i++) { clients[i].fd = -1; clients[i].ended = 1; clients[i].start = begin + spread * 1e9 * i / many; }
    for (int64_t time; (time = now()) < to + 3000000000LL;) {
        while (started < many && clients[started].start <= time && phase != LEAVING) ask(&clients[started++]);
        if (phase == WARM && time >= from) { phase = MEASURED; cpu = cpu_s(words[6]); busy = busy_s(); from = time; }
        if (phase == MEASURED && time >= to) { phase = LEAVING; cpu = cpu_s(words[6]) - cpu; busy = busy_s() - busy; to = time; }
        int open = 0;
        if (phase == LEAVING) for (int i = 0; i < started; i++) open += !clients[i].ended;
        if (phase == LEAVING && !open) break;
        int64_t wait = started < many ? clients[started].start - time : 2000000;
        if (wait > 2000000) wait = 2000000;
        struct epoll_event events[512];
        int ready = epoll_pwait2(poller, events, 512, &(struct timespec){ 0, wait > 0 ? wait : 0 }, NULL);
        for (int i = 0; i < ready; i++) {
            client *c = &clients[events[i].data.u32];
            if ((events[i].events & EPOLLOUT) && !c->ended) write_request(c);
            if (events[i].events & ~EPOLLOUT) readable(c);
        }
    }
    for (int i = 0; i < started; i++) bad += clients[i].measured && !clients[i].ended;
    qsort(firsts, taken, sizeof *firsts, rising);
    double wall = (to - from) / 1e9;
    printf("{\"wall_s\":%.4f,\"answers\":%ld,\"pieces\":%ld,\"bad\":%ld,\"cpu_s\":%.6f,\"busy_s\":%.2f,\"first_p50_ms\":%.4f,\"first_p99_ms\":%.4f}\n",
           wall, answers, received, bad, cpu, busy, quantile_ms(.5), quantile_ms(.99));
    return 0;
}
