/* The far end behind a proxy: one process that listens on some ports of 127.0.0.1 and does as wire.h says. */
#ifndef UPSTREAM_H
#define UPSTREAM_H

#include "options.h"

/* Prints {"ready": true} once it listens; returns never. */
_Noreturn void upstream(const struct options *o);

#endif
