#include "plan.h"

#include "hello.h"
#include "http.h"

#include <stdio.h>
#include <stdlib.h>

static void *room(size_t length) {
    void *found = malloc(length);
    if (!found) perror("lockload"), exit(1);
    return found;
}

static enum operation operation_of(const struct options *o) {
    switch (o->mode) {
    case MODE_CONNECT: return o->reset ? OP_REPLY : OP_LAST;
    case MODE_DOWN: return OP_STREAM;
    case MODE_UP: return OP_SINK;
    default: return OP_ECHO;
    }
}

/* Requests of HTTP/1.1; answers have `answer_length` bytes of content. */
static struct plan plan_http(const struct options *o) {
    bool up = o->mode == MODE_PUT;
    struct plan p = {.first = room(HTTP_HEAD_BYTES + (up ? o->bytes : 0)), .pattern = room(CHUNK_BYTES)};
    pattern_fill(p.pattern, CHUNK_BYTES);
    size_t head = http_request(p.first, o->host, up, o->mode == MODE_ONCE, o->bytes);
    if (up) pattern_fill(p.first + head, o->bytes);
    p.next = p.first;
    p.first_length = p.next_length = head + (up ? o->bytes : 0);
    p.answer_length = up ? HTTP_SHORT_ANSWER : o->bytes;
    return p;
}

struct plan plan_make(const struct options *o) {
    if (speaks_http(o->mode)) return plan_http(o);
    enum operation operation = operation_of(o);
    size_t body = operation == OP_ECHO ? o->bytes : 0;
    struct plan p = {.first = room(HELLO_MAX_BYTES + FRAME_BYTES + body), .pattern = room(CHUNK_BYTES)};
    pattern_fill(p.pattern, CHUNK_BYTES);
    size_t hello = o->hello ? hello_write(p.first, o->server_name) : 0;
    frame_write(p.first + hello, operation, o->bytes);
    memcpy(p.first + hello + FRAME_BYTES, p.pattern, body);
    p.next = p.first + hello;
    p.next_length = FRAME_BYTES + body;
    p.first_length = hello + p.next_length;
    p.answer_length = operation == OP_STREAM || operation == OP_SINK ? 0 : o->bytes;
    return p;
}
