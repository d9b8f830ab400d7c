/* lockload: a load generator for TCP and TLS proxies on loopback, and the upstream behind them.
 *
 * One thread and one epoll loop, in either role. `lockload --help` has the modes, wire.h what goes over the wire.
 */
#include "drive.h"
#include "report.h"
#include "upstream.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

static void raise_descriptors(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit)) return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

int main(int argc, char **argv) {
    static struct outcome outcome;
    struct options options = options_parse(argc, argv);
    signal(SIGPIPE, SIG_IGN);
    raise_descriptors();
    if (options.mode == MODE_UPSTREAM) upstream(&options);
    drive(&options, &outcome);
    report(&options, &outcome);
    return 0;
}
