/* How a run ends when it cannot go on: the stage it failed in, and one sentence. */
#ifndef DEVDIFF_FAILURE_H
#define DEVDIFF_FAILURE_H

#include "platform.h"

/* The values are the exit codes. */
enum stage {
    STAGE_USAGE = 2,
    STAGE_RUNTIME = 3,
    STAGE_MODEL = 4,
    STAGE_INPUTS = 5,
    STAGE_RESULTS = 6,
};

struct failure {
    enum stage stage;
    char text[1024];
};

/* Fills in the failure and returns false, so that callers can `return fail(...)`. */
bool fail(struct failure *failure, enum stage stage, const char *format, ...) PRINTF_LIKE(3, 4);

const char *stage_name(enum stage stage);

#endif
