/* Durations, counted in buckets 0.8 % wide, so that a long run takes no more memory than a short one. */
#ifndef HISTOGRAM_H
#define HISTOGRAM_H

#include <stdint.h>

enum { SUB_BITS = 7, SUB_BUCKETS = 1 << SUB_BITS, POWERS = 40 };

struct histogram {
    uint64_t count;
    uint64_t buckets[POWERS * SUB_BUCKETS];
};

void histogram_add(struct histogram *h, double seconds);

/* The duration in microseconds below which this share (0 to 1) of the counted ones lies; 0 if there is none. */
double histogram_quantile_us(const struct histogram *h, double share);

#endif
