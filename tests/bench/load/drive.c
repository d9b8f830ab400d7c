#include "drive.h"

#include "clock.h"
#include "http.h"
#include "plan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
    EVENTS = 256,
    RAMP = 128,              /* so many connections at once may wait for their first answer, so no backlog overflows */
    READS_PER_TURN = 8,      /* of a stream, before the others have theirs */
    MAX_FAILURES = 1000,     /* more of them, and there is nothing to measure */
};
static const double OPENING_SECONDS = 30, STALL_SECONDS = 1;

enum state { UNUSED, HANDSHAKE, TALK, FINISHING, LOST };

struct slot {
    struct channel channel;
    enum state state;
    bool settled;            /* it has had its first answer */
    bool reading;            /* down: the request is out, and epoll told to wait for bytes alone */
    const uint8_t *out;
    size_t out_left, answer_left;
    double began;            /* the operation that is under way */
    struct message message;  /* the answer in HTTP, as it comes */
    SSL_SESSION *session;    /* the newest that the server gave; used once, as tickets may be good for once */
};

enum phase { OPENING, WARMUP, MEASURING, OVER };

static struct {
    const struct options *o;
    struct plan plan;
    struct outcome *outcome;
    SSL_CTX *context;
    struct slot *slots;
    int epoll, opened, settled;
    enum phase phase;
    double phase_ends, measuring_began;
    uint64_t failures;
    uint8_t into[CHUNK_BYTES];
} run;

static bool once(void) { return run.o->mode == MODE_CONNECT || run.o->mode == MODE_ONCE; }
static bool streams(void) { return !run.plan.answer_length; }

static void open_slot(struct slot *s);

/* ---- one connection's life */

static void lose(struct slot *s, enum failure why) {
    run.outcome->failures[why]++;
    run.failures++;
    if (s->channel.fd >= 0) channel_close(&s->channel, true);
    if (!s->settled) s->settled = true, run.settled++; /* nobody waits for it any more */
    s->state = LOST;
    if (once() && run.phase != OVER && run.failures < MAX_FAILURES) open_slot(s);
}

static void begin_operation(struct slot *s, const uint8_t *message, size_t length) {
    s->out = message;
    s->out_left = length;
    s->answer_left = run.plan.answer_length;
    s->message.have = 0, s->message.has_head = false;
}

static void count(struct slot *s, double now) {
    run.outcome->total_operations++;
    if (speaks_http(run.o->mode)) run.outcome->total_bytes += run.o->bytes;
    if (!s->settled) s->settled = true, run.settled++;
    if (run.phase != MEASURING) return;
    run.outcome->operations++;
    if (speaks_http(run.o->mode)) run.outcome->bytes += run.o->bytes;
    run.outcome->resumed += s->channel.ssl && SSL_session_reused(s->channel.ssl);
    histogram_add(&run.outcome->latency, now - s->began);
}

static void count_bytes(struct slot *s, uint64_t bytes) {
    run.outcome->total_bytes += bytes;
    s->began = now_seconds();
    if (!s->settled) s->settled = true, run.settled++;
    if (run.phase == MEASURING) run.outcome->bytes += bytes;
}

static void reopen(struct slot *s, bool reset) {
    channel_close(&s->channel, reset);
    s->state = UNUSED;
    if (run.phase != OVER) open_slot(s);
}

static void step_finishing(struct slot *s) {
    int over = channel_finished(&s->channel);
    if (over == CHANNEL_FAILED) return lose(s, FAIL_RESET);
    if (!over) return;
    channel_finish(&s->channel);
    reopen(s, false);
}

static void operation_done(struct slot *s) {
    double now = now_seconds();
    count(s, now);
    if (run.o->mode == MODE_ECHO || run.o->mode == MODE_GET || run.o->mode == MODE_PUT) {
        s->began = now;
        begin_operation(s, run.plan.next, run.plan.next_length);
    } else if (once()) {
        s->state = FINISHING; /* the upstream ends the connection, and we after it */
        if (run.o->reset) reopen(s, true);
        else step_finishing(s);
    }
}

/* False when there is nothing more to do until epoll calls again. */
static bool flush(struct slot *s) {
    while (s->out_left) {
        ssize_t wrote = channel_write(&s->channel, s->out, s->out_left);
        if (wrote == CHANNEL_AGAIN) return run.o->mode == MODE_UP; /* which reads acknowledgements meanwhile */
        if (wrote <= 0) return lose(s, channel_why(&s->channel)), false;
        s->out += wrote;
        s->out_left -= (size_t)wrote;
    }
    return true;
}

/* Compare what came with what is due; true if the answer is whole. */
static bool consume(struct slot *s, size_t got) {
    size_t at = run.plan.answer_length - s->answer_left;
    if (got > s->answer_left || memcmp(run.into, run.plan.pattern + at, got)) return lose(s, FAIL_WRONG_BYTES), false;
    s->answer_left -= got;
    return !s->answer_left;
}

/* The same for HTTP, where what a proxy adds to the head is its own affair, and large content is only counted. */
static bool consume_http(struct slot *s, size_t got) {
    struct message *m = &s->message;
    const uint8_t *at = run.into;
    if (!m->has_head) {
        long taken = message_take_head(m, at, got);
        bool good = taken >= 0 && (!m->has_head || (message_is_good(m) && m->length == s->answer_left));
        if (!good) return lose(s, FAIL_WRONG_BYTES), false;
        if (!m->has_head) return false;
        at += taken;
        got -= (size_t)taken;
    }
    bool compared = run.plan.answer_length <= CHUNK_BYTES;
    size_t done = run.plan.answer_length - s->answer_left;
    if (got > s->answer_left || (compared && memcmp(at, run.plan.pattern + done, got)))
        return lose(s, FAIL_WRONG_BYTES), false;
    s->answer_left -= got;
    return !s->answer_left;
}

/* Bytes to read, or 0 if there are none now or the connection is lost. */
static size_t receive(struct slot *s) {
    ssize_t got = channel_read(&s->channel, run.into, sizeof run.into);
    if (got > 0) return (size_t)got;
    if (got == CHANNEL_ENDED) lose(s, FAIL_ENDED_EARLY);
    else if (got == CHANNEL_FAILED) lose(s, channel_why(&s->channel));
    return 0;
}

static void talk_in_turns(struct slot *s) {
    size_t got;
    while (s->state == TALK && flush(s) && (got = receive(s)))
        if (speaks_http(run.o->mode) ? consume_http(s, got) : consume(s, got)) operation_done(s);
}

static void only_read(struct slot *s) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = s};
    if (!s->reading) epoll_ctl(run.epoll, EPOLL_CTL_MOD, s->channel.fd, &event);
    s->reading = true;
}

static void talk_in_stream(struct slot *s) {
    size_t got;
    bool up = run.o->mode == MODE_UP;
    if (!flush(s)) return;
    if (!up) only_read(s);
    for (int turn = 0; turn < READS_PER_TURN || channel_holds_bytes(&s->channel); turn++) {
        if (!(got = receive(s))) break;
        count_bytes(s, up ? got * ACK_BYTES : got);
    }
    if (up && s->state == TALK && !s->out_left) begin_operation(s, run.plan.pattern, CHUNK_BYTES);
}

static void step_handshake(struct slot *s) {
    int done = channel_handshake(&s->channel);
    if (done == CHANNEL_AGAIN) return;
    if (done != 1) return lose(s, channel_why(&s->channel));
    s->state = TALK;
}

static void step(struct slot *s) {
    if (s->state == HANDSHAKE) step_handshake(s);
    if (s->state == TALK) streams() ? talk_in_stream(s) : talk_in_turns(s);
    else if (s->state == FINISHING) step_finishing(s);
}

/* ---- opening */

/* Streams are level-triggered, so that none of them has to be emptied before the others have their turn. */
static uint32_t interest(void) { return EPOLLIN | EPOLLOUT | (streams() ? 0 : EPOLLET); }

static bool secure(struct slot *s) {
    SSL_SESSION *session = s->session;
    s->session = NULL;
    bool good = channel_begin_tls(&s->channel, run.context, run.o->server_name, session);
    SSL_SESSION_free(session);
    if (good) SSL_set_app_data(s->channel.ssl, s);
    return good;
}

static void open_slot(struct slot *s) {
    struct epoll_event event = {.events = interest(), .data.ptr = s};
    s->channel = (struct channel){.fd = channel_connect(run.o->ports[0])};
    s->began = now_seconds();
    s->state = run.o->tls ? HANDSHAKE : TALK;
    begin_operation(s, run.plan.first, run.plan.first_length);
    if (s->channel.fd < 0) return lose(s, errno == ECONNREFUSED ? FAIL_REFUSED : FAIL_OTHER);
    if ((run.o->tls && !secure(s)) || epoll_ctl(run.epoll, EPOLL_CTL_ADD, s->channel.fd, &event))
        lose(s, FAIL_OTHER);
}

static void open_more(void) {
    while (run.opened < run.o->connections && run.opened - run.settled < RAMP) open_slot(&run.slots[run.opened++]);
}

static int keep_session(SSL *ssl, SSL_SESSION *session) {
    struct slot *s = SSL_get_app_data(ssl);
    SSL_SESSION_free(s->session);
    s->session = session;
    return 1; /* ours now */
}

/* ---- the run */

static void all_slots(void (*visit)(struct slot *s)) {
    for (int i = 0; i < run.opened; i++) visit(&run.slots[i]);
}

static void enter(enum phase phase, double now) {
    run.phase = phase;
    if (phase == WARMUP) run.phase_ends = now + run.o->warmup_seconds;
    if (phase == MEASURING) run.measuring_began = now, run.phase_ends = now + run.o->seconds;
    if (phase == OVER) run.outcome->seconds = run.measuring_began ? now - run.measuring_began : 0;
}

static void advance(void) {
    double now = now_seconds();
    if (run.phase == OPENING && run.settled == run.o->connections) enter(WARMUP, now);
    else if (run.failures >= MAX_FAILURES) enter(OVER, now);
    else if (now >= run.phase_ends) enter(run.phase == WARMUP ? MEASURING : OVER, now);
}

static void wait_and_step(void) {
    struct epoll_event events[EVENTS];
    int count = epoll_wait(run.epoll, events, EVENTS, 20);
    for (int i = 0; i < count; i++) step(events[i].data.ptr);
}

/* Connections stay as they are; one that ends is a failure. */
static void hold_until_told(void) {
    struct slot standard_input = {.state = UNUSED, .channel.fd = STDIN_FILENO};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &standard_input}, events[EVENTS];
    printf("{\"ready\": %llu}\n", (unsigned long long)run.outcome->total_operations);
    fflush(stdout);
    if (epoll_ctl(run.epoll, EPOLL_CTL_ADD, STDIN_FILENO, &event)) perror("lockload: standard input"), exit(1);
    for (;;) {
        int count = epoll_wait(run.epoll, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr == &standard_input) return;
            step(events[i].data.ptr);
        }
    }
}

static void close_slot(struct slot *s) {
    bool waits = s->state == HANDSHAKE || s->state == FINISHING || (s->state == TALK && run.o->mode != MODE_IDLE);
    if (waits && now_seconds() - s->began > STALL_SECONDS) run.outcome->failures[FAIL_STALLED]++;
    if (s->channel.fd >= 0 && s->state != LOST && s->state != UNUSED) channel_close(&s->channel, run.o->reset);
    SSL_SESSION_free(s->session);
    s->session = NULL;
}

static void prepare(const struct options *o, struct outcome *outcome) {
    run.o = o;
    run.outcome = outcome;
    run.plan = plan_make(o);
    run.slots = calloc((size_t)o->connections, sizeof *run.slots);
    run.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!run.slots || run.epoll < 0) perror("lockload"), exit(1);
    if (!o->tls) return;
    run.context = channel_context(o->roots, o->certificate, o->key, o->verify);
    if (!o->resume) return;
    SSL_CTX_set_session_cache_mode(run.context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(run.context, keep_session);
}

void drive(const struct options *o, struct outcome *outcome) {
    prepare(o, outcome);
    run.phase_ends = now_seconds() + OPENING_SECONDS;
    while (run.phase != OVER) {
        open_more();
        wait_and_step();
        advance();
        if (o->mode == MODE_IDLE && run.phase == WARMUP) break;
    }
    if (o->mode == MODE_IDLE && run.phase == WARMUP) hold_until_told();
    run.phase = OVER;
    all_slots(close_slot);
}
