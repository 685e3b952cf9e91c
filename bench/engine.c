/* An engine for the bench: answers in either dialect as fast, or as regularly, as it is asked to.
 *
 *     engine PORT
 *
 * One thread, epoll, loopback only. What to answer stands in the prompt, the one thing that every
 * gateway hands on unchanged:  "bench:COUNT,GAP_US,BATCH"  asks for COUNT pieces of text, one every
 * GAP_US microseconds; with GAP_US 0 as fast as the socket takes them, BATCH in one write. Each
 * piece holds one '~', so that whoever reads the answer can count them. Whether it streams is the
 * request's own "stream".
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

#define MOST 8192       /* connections */
#define ROOM (4 << 20)  /* bytes of a request, and of what a slow reader hasn't taken */
#define TEXT "~ a few words"

typedef struct conn {
    int fd, anthropic, left, gap_us, batch, queued;
    int64_t due; /* nanoseconds */
    char *in, *out;
    size_t have, room, unsent, out_room;
    struct conn *next; /* in one of the two queues */
} conn;

typedef struct { conn *first, *last; } queue;

static conn *all[MOST];
static int poller;
/* Streams with a gap wait in the order of their next piece: one run of the bench has one gap. */
static queue paced, eager;

static int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void append(queue *q, conn *c) {
    c->next = NULL;
    c->queued = 1;
    if (q->last) q->last->next = c; else q->first = c;
    q->last = c;
}

static void prepend(queue *q, conn *c) {
    c->next = q->first;
    c->queued = 1;
    q->first = c;
    if (!q->last) q->last = c;
}

static conn *take(queue *q) {
    conn *c = q->first;
    if (!c) return NULL;
    q->first = c->next;
    if (!q->first) q->last = NULL;
    c->queued = 0;
    return c;
}

static void drop(conn *c) { /* a queued one is freed when its turn comes */
    if (c->fd >= 0) { all[c->fd] = NULL; close(c->fd); c->fd = -1; }
    if (c->queued) return;
    free(c->in); free(c->out); free(c);
}

static void watch(conn *c, int writing) {
    struct epoll_event e = { EPOLLIN | (writing ? EPOLLOUT : 0), { .fd = c->fd } };
    epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &e);
}

static int put(conn *c, const char *data, size_t size) {
    if (!c->unsent) {
        ssize_t sent = send(c->fd, data, size, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN) return -1;
        if (sent > 0) { data += sent; size -= sent; }
        if (!size) return 0;
        watch(c, 1);
    }
    if (c->unsent + size > ROOM) return -1;
    if (c->unsent + size > c->out_room) c->out = realloc(c->out, c->out_room = (c->unsent + size) * 2);
    memcpy(c->out + c->unsent, data, size);
    c->unsent += size;
    return 0;
}

static int flush(conn *c) {
    ssize_t sent = send(c->fd, c->out, c->unsent, MSG_NOSIGNAL);
    if (sent < 0) return errno == EAGAIN ? 0 : -1;
    memmove(c->out, c->out + sent, c->unsent -= sent);
    if (!c->unsent) watch(c, 0);
    return 0;
}

#define CHUNK(event) "\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1764000000,\"model\":\"bench-model\"," event
#define DELTA(delta, reason) "data: {" CHUNK("\"choices\":[{\"index\":0,\"delta\":{" delta "},\"logprobs\":null,\"finish_reason\":" reason "}]}\n\n")
#define NAMED(name, rest) "event: " name "\ndata: {\"type\":\"" name "\"" rest "}\n\n"

/* First, middle and last events; each is sent as an HTTP chunk of its own. */
static const char *const openai[] = {
    DELTA("\"role\":\"assistant\",\"content\":\"\"", "null"),
    DELTA("\"content\":\"" TEXT "\"", "null"),
    DELTA("", "\"stop\""),
    "data: {" CHUNK("\"choices\":[],\"usage\":{\"prompt_tokens\":12,\"completion_tokens\":50,\"total_tokens\":62}}\n\n"),
    "data: [DONE]\n\n",
};
static const char *const anthropic[] = {
    NAMED("message_start", ",\"message\":{\"id\":\"msg_bench\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"bench-model\",\"content\":[],"
          "\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":12,\"output_tokens\":1}}")
    NAMED("content_block_start", ",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}"),
    NAMED("content_block_delta", ",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"" TEXT "\"}"),
    NAMED("content_block_stop", ",\"index\":0"),
    NAMED("message_delta", ",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":50}"),
    NAMED("message_stop", ""),
};

static size_t frame(char *to, const char *event) { return sprintf(to, "%zx\r\n%s\r\n", strlen(event), event); }

static int begin(conn *c, int streamed) {
    static const char whole_openai[] =
        "{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion\",\"created\":1764000000,\"model\":\"bench-model\",\"choices\":[{\"index\":0,\"message\":"
        "{\"role\":\"assistant\",\"content\":\"" TEXT "\"},\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":12,\"completion_tokens\":1,\"total_tokens\":13}}";
    static const char whole_anthropic[] =
        "{\"id\":\"msg_bench\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"bench-model\",\"content\":[{\"type\":\"text\",\"text\":\"" TEXT "\"}],"
        "\"stop_reason\":\"end_turn\",\"stop_sequence\":null,\"usage\":{\"input_tokens\":12,\"output_tokens\":1}}";
    char data[2048];
    if (!streamed) {
        const char *body = c->anthropic ? whole_anthropic : whole_openai;
        c->left = 0;
        return put(c, data, sprintf(data, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n\r\n%s", strlen(body), body));
    }
    size_t size = sprintf(data, "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n");
    size += frame(data + size, (c->anthropic ? anthropic : openai)[0]);
    c->due = now();
    if (c->gap_us) prepend(&paced, c); /* the first piece is due at once, before all that wait */
    else append(&eager, c);
    return put(c, data, size);
}

static int step(conn *c) { /* the next piece, or batch of them; -1: the client is gone */
    static char data[1 << 16];
    const char *const *events = c->anthropic ? anthropic : openai;
    size_t size = 0;
    for (int i = c->gap_us ? 1 : c->batch; i && c->left && size < sizeof data - 4096; i--, c->left--) size += frame(data + size, events[1]);
    if (put(c, data, size)) return -1;
    if (c->left) return 0;
    size = 0;
    for (int i = 2; i < 5; i++) size += frame(data + size, events[i]);
    size += sprintf(data + size, "0\r\n\r\n");
    return put(c, data, size);
}

static int requests(conn *c) { /* answers what has arrived whole */
    for (;;) {
        c->in[c->have] = 0;
        char *end = memmem(c->in, c->have, "\r\n\r\n", 4);
        if (!end || c->left) return 0;
        char *length = strcasestr(c->in, "\r\ncontent-length:");
        size_t body = length && length < end ? strtoul(length + 17, NULL, 10) : 0, size = end + 4 - c->in + body;
        if (size > c->have) return size < ROOM ? 0 : -1;
        char *order = memmem(end, size - (end - c->in), "bench:", 6);
        c->left = 1; c->gap_us = 0; c->batch = 1;
        if (order) sscanf(order, "bench:%d,%d,%d", &c->left, &c->gap_us, &c->batch);
        if (c->batch < 1 || c->batch > 128) c->batch = 1;
        c->anthropic = !!memmem(c->in, end - c->in, "/v1/messages ", 13);
        char *stream = memmem(end, size - (end - c->in), "\"stream\":", 9);
        int streamed = stream && strspn(stream + 9, " ") < 2 && memmem(stream + 9, 5, "true", 4);
        memmove(c->in, c->in + size, c->have -= size);
        if (begin(c, streamed)) return -1;
    }
}

static void accept_all(int listener) {
    for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
        if (fd >= MOST) { close(fd); continue; }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
        conn *c = all[fd] = calloc(1, sizeof *c);
        c->fd = fd;
        c->in = malloc(c->room = 16384);
        struct epoll_event e = { EPOLLIN, { .fd = fd } };
        epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e);
    }
}

static int readable(conn *c) {
    if (c->room - c->have < 8192) {
        if (c->room > ROOM) return -1;
        c->in = realloc(c->in, c->room *= 2);
    }
    ssize_t got = recv(c->fd, c->in + c->have, c->room - c->have - 1, 0);
    if (got <= 0) return got < 0 && errno == EAGAIN ? 0 : -1;
    c->have += got;
    return requests(c);
}

static void serve_queues(void) {
    int64_t time = now();
    while (paced.first && (paced.first->fd < 0 || paced.first->due <= time)) {
        conn *c = take(&paced);
        if (c->fd < 0 || step(c)) { drop(c); continue; }
        if (c->left) { c->due += c->gap_us * 1000LL; append(&paced, c); }
        else if (requests(c)) drop(c);
    }
    conn *last = eager.last;
    for (conn *c = NULL; c != last && (c = take(&eager));) {
        int end = c == last;
        if (c->fd < 0) drop(c);
        else if (c->unsent) ; /* its reader is the slower one: on with it once all is sent */
        else if (step(c)) drop(c);
        else if (c->left) append(&eager, c);
        else if (requests(c)) drop(c);
        if (end) break;
    }
}

int main(int count, char **words) {
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(count > 1 ? atoi(words[1]) : 0) };
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
    if (bind(listener, (void *)&at, sizeof at) || listen(listener, 4096)) { perror("engine"); return 1; }
    signal(SIGPIPE, SIG_IGN);
    poller = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event events[256], e = { EPOLLIN, { .fd = listener } };
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &e);
    for (;;) {
        int64_t wait = eager.first ? 0 : paced.first ? paced.first->due - now() : 1000000000;
        if (wait < 0) wait = 0;
        int ready = epoll_pwait2(poller, events, 256, &(struct timespec){ wait / 1000000000, wait % 1000000000 }, NULL);
        for (int i = 0; i < ready; i++) {
            if (events[i].data.fd == listener) { accept_all(listener); continue; }
            conn *c = all[events[i].data.fd];
            if (c && (events[i].events & EPOLLOUT)) {
                if (flush(c)) { drop(c); continue; }
                if (!c->unsent && c->left && !c->gap_us && !c->queued) append(&eager, c);
            }
            if (c && (events[i].events & ~EPOLLOUT) && readable(c)) drop(c);
        }
        serve_queues();
    }
}
