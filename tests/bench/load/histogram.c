#include "histogram.h"

/* Nanoseconds below SUB_BUCKETS have a bucket each; above, each power of two has SUB_BUCKETS / 2 of them. */
static unsigned bucket_of(uint64_t ns) {
    if (ns < SUB_BUCKETS) return (unsigned)ns;
    unsigned power = 63 - (unsigned)__builtin_clzll(ns) - (SUB_BITS - 1);
    unsigned bucket = power * (SUB_BUCKETS / 2) + (unsigned)(ns >> power);
    unsigned last = POWERS * SUB_BUCKETS - 1;
    return bucket < last ? bucket : last;
}

static double middle_ns(unsigned bucket) {
    if (bucket < SUB_BUCKETS) return bucket;
    unsigned power = bucket / (SUB_BUCKETS / 2) - 1;
    uint64_t low = (uint64_t)(bucket - power * (SUB_BUCKETS / 2)) << power;
    return (double)low + (double)(1ull << power) / 2;
}

void histogram_add(struct histogram *h, double seconds) {
    h->buckets[bucket_of(seconds > 0 ? (uint64_t)(seconds * 1e9) : 0)]++;
    h->count++;
}

double histogram_quantile_us(const struct histogram *h, double share) {
    uint64_t wanted = (uint64_t)((double)h->count * share), seen = 0;
    for (unsigned i = 0; i < POWERS * SUB_BUCKETS; i++) {
        seen += h->buckets[i];
        if (h->buckets[i] && seen >= wanted) return middle_ns(i) / 1000;
    }
    return 0;
}
