/* One run: every sample of the input pack through the model, each result written as it comes. */
#ifndef DEVDIFF_RUN_H
#define DEVDIFF_RUN_H

#include "backend.h"

struct run_options {
    const char *inputs; /* a path, or "-" for standard input */
    const char *results; /* a path, or "-" for the answer's descriptor; the answer goes to stderr */
    uint64_t first;      /* samples with a lower index are read and not run */
    struct request request;
    int answer; /* descriptor for the one JSON line */
};

/* Returns false with the failure filled in; nothing has then been written to `answer` unless the
 * model had been prepared. */
bool run_model(const struct run_options *options, struct failure *failure);

/* Reads an input pack to its end and does nothing with it. */
bool run_check(const char *inputs, struct failure *failure);

/* Writes the line and a line feed. */
bool run_answer(int descriptor, const char *line, struct failure *failure);

#endif
