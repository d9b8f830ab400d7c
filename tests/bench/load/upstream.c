#include "upstream.h"

#include "http.h"
#include "wire.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 256, MAX_DESCRIPTORS = 20000, ACCEPTS_PER_TURN = 64, RECORD_HEADER = 5, BACKLOG = 4096,
       SHORT_BYTES = 8192, SENDS_PER_TURN = 4 };

enum state { START, SKIP_RECORD, FRAME, BODY, STREAM, SINK, REQUEST, CONTENT };

struct peer {
    enum state state;
    uint8_t header[FRAME_BYTES];
    size_t have;      /* of the header */
    size_t left;      /* of the record or body that comes */
    size_t owed, at;  /* bytes of the pattern yet to send, and where in it */
    size_t sunk;
    uint8_t *stash;   /* an echoed body while it is not sent: MAX_ECHO_BYTES */
    size_t stashed, unsent;
    bool listens, writes;
    struct message *request; /* of HTTP */
    bool last;        /* what is owed is the last; then say FIN */
};

static struct peer peers[MAX_DESCRIPTORS];
static uint8_t pattern[CHUNK_BYTES], into[CHUNK_BYTES];
static int epoll;

static _Noreturn void die(const char *what) { perror(what); exit(1); }

static void watch(int fd, int action, uint32_t events) {
    struct epoll_event event = {.events = events, .data.fd = fd};
    if (epoll_ctl(epoll, action, fd, &event)) die("lockload: epoll");
}

static void listen_on(uint16_t port) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) || /* accepted sockets inherit it */
        bind(fd, (struct sockaddr *)&at, sizeof at) || listen(fd, BACKLOG))
        die("lockload: listen");
    peers[fd].listens = true;
    watch(fd, EPOLL_CTL_ADD, EPOLLIN);
}

static void drop(int fd) {
    free(peers[fd].stash);
    free(peers[fd].request);
    peers[fd] = (struct peer){0};
    close(fd);
}

static void welcome(int listener) {
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) return;
        if (fd >= MAX_DESCRIPTORS) close(fd);
        else watch(fd, EPOLL_CTL_ADD, EPOLLIN);
    }
}

static bool command(struct peer *p) {
    p->have = 0;
    p->at = 0;
    switch (p->header[0]) {
    case OP_LAST: p->last = true; /* fall through */
    case OP_REPLY: p->owed = frame_length(p->header); break;
    case OP_ECHO: p->left = frame_length(p->header); p->state = BODY; break;
    case OP_STREAM: p->owed = SIZE_MAX; p->state = STREAM; break;
    case OP_SINK: p->state = SINK; break;
    default: return false;
    }
    return true;
}

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* Part of a header of so many bytes; true when it is whole. */
static bool gather(struct peer *p, size_t whole, const uint8_t **at, size_t *left) {
    size_t taken = least(whole - p->have, *left);
    memcpy(p->header + p->have, *at, taken);
    p->have += taken;
    *at += taken;
    *left -= taken;
    return p->have == whole;
}

static bool echo(struct peer *p, const uint8_t *from, size_t length) {
    if (!p->stash && !(p->stash = malloc(MAX_ECHO_BYTES))) return false;
    if (p->stashed + length > MAX_ECHO_BYTES) return false;
    memcpy(p->stash + p->stashed, from, length);
    p->stashed += length;
    p->unsent += length;
    return true;
}

/* Answer a request of HTTP whose content has all come. */
static bool reply(struct peer *p) {
    size_t wanted = message_wanted(p->request);
    char head[128];
    int length = snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nServer: lockload\r\nContent-Length: %zu\r\n\r\n", wanted);
    if (!echo(p, (const uint8_t *)head, (size_t)length)) return false;
    if (wanted <= SHORT_BYTES) {
        if (!echo(p, pattern, wanted)) return false;
    } else {
        p->owed = wanted, p->at = 0;
    }
    p->last = message_is_last(p->request);
    p->state = REQUEST;
    p->request->have = 0, p->request->has_head = false;
    return true;
}

static bool hear_request(struct peer *p, const uint8_t **at, size_t *left) {
    if (!p->request && !(p->request = calloc(1, sizeof *p->request))) return false;
    long taken = message_take_head(p->request, *at, *left);
    if (taken < 0) return false;
    *at += taken;
    *left -= (size_t)taken;
    if (!p->request->has_head) return true;
    if (!(p->left = p->request->left)) return reply(p);
    p->state = CONTENT;
    return true;
}

/* One step over what came; false if it makes no sense. */
static bool take(struct peer *p, const uint8_t **at, size_t *left) {
    size_t part = least(p->left, *left);
    switch (p->state) {
    case START:
        if (**at == TLS_HANDSHAKE_RECORD) p->state = SKIP_RECORD;
        else p->state = **at == 'G' || **at == 'P' ? REQUEST : FRAME;
        return true;
    case REQUEST: return hear_request(p, at, left);
    case SKIP_RECORD:
        if (!p->left) {
            if (!gather(p, RECORD_HEADER, at, left)) return true;
            p->left = (size_t)p->header[3] << 8 | p->header[4];
            return p->left > 0;
        }
        p->left -= part;
        if (!p->left) p->state = FRAME, p->have = 0;
        break;
    case FRAME:
        return !gather(p, FRAME_BYTES, at, left) || command(p);
    case BODY:
        if (!echo(p, *at, part)) return false;
        p->left -= part;
        if (!p->left) p->state = FRAME;
        break;
    case CONTENT:
        *at += part;
        *left -= part;
        return (p->left -= part) || reply(p);
    case SINK:
        part = *left;
        p->sunk += part;
        break;
    case STREAM: return false;
    }
    *at += part;
    *left -= part;
    return true;
}

static ssize_t push(int fd, const uint8_t *from, size_t length, bool more) {
    ssize_t sent = send(fd, from, length, MSG_NOSIGNAL | (more ? MSG_MORE : 0));
    return sent < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : sent;
}

/* Sends what is due, once; false if the connection is gone. */
static bool answer(int fd, struct peer *p) {
    ssize_t sent;
    if (p->unsent) {
        if ((sent = push(fd, p->stash + p->stashed - p->unsent, p->unsent, p->owed)) < 0) return false;
        if (!(p->unsent -= (size_t)sent)) p->stashed = 0;
        else return true;
    }
    for (int turn = 0; p->owed && turn < SENDS_PER_TURN; turn++) {
        if (p->at == sizeof pattern) p->at = 0;
        if ((sent = push(fd, pattern + p->at, least(p->owed, sizeof pattern - p->at), false)) < 0) return false;
        if (!sent) break;
        if (p->state == STREAM) return true; /* for ever, and from the start of the pattern each time */
        p->owed -= (size_t)sent;
        p->at += (size_t)sent;
    }
    if (p->last && !p->owed && !p->unsent) p->last = false, shutdown(fd, SHUT_WR);
    while (p->sunk >= ACK_BYTES) {
        if ((sent = push(fd, pattern, 1, false)) < 0) return false;
        if (!sent) break;
        p->sunk -= ACK_BYTES;
    }
    return true;
}

static bool hear(int fd, struct peer *p) {
    ssize_t got = recv(fd, into, sizeof into, 0);
    if (got < 0) return errno == EAGAIN || errno == EINTR;
    if (got == 0) return false;
    const uint8_t *at = into;
    for (size_t left = (size_t)got; left;)
        if (!take(p, &at, &left)) return false;
    return true;
}

static void serve(int fd, uint32_t events) {
    struct peer *p = &peers[fd];
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR) && !hear(fd, p)) || !answer(fd, p)) return drop(fd);
    bool writes = p->unsent || p->owed || p->sunk >= ACK_BYTES;
    if (writes != p->writes) watch(fd, EPOLL_CTL_MOD, EPOLLIN | (writes ? EPOLLOUT : 0));
    p->writes = writes;
}

_Noreturn void upstream(const struct options *o) {
    pattern_fill(pattern, sizeof pattern);
    if ((epoll = epoll_create1(EPOLL_CLOEXEC)) < 0) die("lockload: epoll");
    for (int i = 0; i < o->port_count; i++) listen_on(o->ports[i]);
    puts("{\"ready\": true}");
    fflush(stdout);
    for (;;) {
        struct epoll_event events[EVENTS];
        int count = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (peers[fd].listens) welcome(fd);
            else serve(fd, events[i].events);
        }
    }
}
