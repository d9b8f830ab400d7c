/* What each connection of a mode says and expects, as constant bytes: nothing is made per connection. */
#ifndef PLAN_H
#define PLAN_H

#include "options.h"
#include "wire.h"

#include <stddef.h>

struct plan {
    uint8_t *first;       /* what a connection sends at its start: the hello, if any, and `next` */
    size_t first_length;
    const uint8_t *next;  /* what it sends for each further round trip; the tail of `first` */
    size_t next_length;
    size_t answer_length; /* how many bytes of the pattern are the answer; 0: a stream without an end */
    uint8_t *pattern;     /* CHUNK_BYTES of it, to compare with and to stream from */
};

struct plan plan_make(const struct options *o);

#endif
