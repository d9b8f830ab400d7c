/* As much of HTTP/1.1 as two friends need: requests of `lockload`, answers of its upstream. Never chunked. */
#ifndef HTTP_H
#define HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An upload is answered with so many bytes. */
enum { HTTP_HEAD_BYTES = 4096, HTTP_SHORT_ANSWER = 2 };

/* A request for `length` bytes, or with a body of so many, of which only the head is written. `last`: the
 * connection ends with its answer. Returns the head's length; `at` has room for HTTP_HEAD_BYTES. */
size_t http_request(uint8_t *at, const char *host, bool up, bool last, size_t length);

/* A message that comes in pieces: first its head, then `left` bytes. */
struct message {
    char head[HTTP_HEAD_BYTES + 1];
    size_t have;     /* of the head */
    bool has_head;
    size_t length, left; /* of the body: all of it, and what is still to come */
};

/* Take bytes of the head; how many they were, or -1 for no HTTP. What follows is the body's. */
long message_take_head(struct message *m, const uint8_t *from, size_t length);

/* Whether an answer is 200; what a request asks for by its path (/1024). */
bool message_is_good(const struct message *m);
size_t message_wanted(const struct message *m);
bool message_is_last(const struct message *m);

#endif
