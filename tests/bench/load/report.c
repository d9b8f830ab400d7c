#include "report.h"

#include <stdio.h>
#include <sys/resource.h>

static double cpu_seconds(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1e-6;
}

static void print_failures(const struct outcome *x) {
    const char *separator = "";
    printf("\"failures\": {");
    for (int i = 0; i < FAILURES; i++) {
        if (!x->failures[i]) continue;
        printf("%s\"%s\": %llu", separator, failure_names[i], (unsigned long long)x->failures[i]);
        separator = ", ";
    }
    printf("}");
}

void report(const struct options *o, const struct outcome *x) {
    double seconds = x->seconds > 0 ? x->seconds : 1e-9;
    printf("{\"mode\": \"%s\", \"tls\": %s, \"connections\": %d, \"seconds\": %.4f, ", o->mode_name,
           o->tls ? "true" : "false", o->connections, x->seconds);
    printf("\"operations\": %llu, \"bytes\": %llu, \"resumed\": %llu, ", (unsigned long long)x->operations,
           (unsigned long long)x->bytes, (unsigned long long)x->resumed);
    printf("\"total_operations\": %llu, \"total_bytes\": %llu, ", (unsigned long long)x->total_operations,
           (unsigned long long)x->total_bytes);
    printf("\"per_second\": %.1f, \"gbit_per_second\": %.4f, ", (double)x->operations / seconds,
           (double)x->bytes * 8 / seconds / 1e9);
    printf("\"p50_us\": %.2f, \"p99_us\": %.2f, \"cpu_seconds\": %.4f, ", histogram_quantile_us(&x->latency, 0.5),
           histogram_quantile_us(&x->latency, 0.99), cpu_seconds());
    print_failures(x);
    printf("}\n");
}
