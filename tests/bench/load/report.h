/* What happened, as one JSON object on standard output. */
#ifndef REPORT_H
#define REPORT_H

#include "drive.h"

void report(const struct options *o, const struct outcome *outcome);

#endif
