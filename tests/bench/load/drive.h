/* The client: connections that do what the mode says, from one thread, until the time is over. */
#ifndef DRIVE_H
#define DRIVE_H

#include "channel.h"
#include "histogram.h"
#include "options.h"

/* What happened. A connection counts once: as an operation or as a failure. What was still under way at the end is
 * neither, unless it had stalled. */
struct outcome {
    double seconds;                          /* of the measured part */
    uint64_t operations, bytes;              /* in the measured part; bytes of streams, as the receiver counts */
    uint64_t resumed;                        /* of these operations: those on a resumed session */
    uint64_t total_operations, total_bytes;  /* with opening, warm-up and the end */
    uint64_t failures[FAILURES];             /* with opening and warm-up */
    struct histogram latency;                /* of the measured part's operations */
};

void drive(const struct options *o, struct outcome *outcome);

#endif
