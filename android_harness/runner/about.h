/* The JSON lines the runner says about itself and its run. */
#ifndef DEVDIFF_ABOUT_H
#define DEVDIFF_ABOUT_H

#include "backend.h"

#define RUNNER_PROTOCOL 1
#define RUNNER_VERSION "0.1.0"
#define ABOUT_BYTES 8192

/* What this program is, whatever it will run. */
void about_self(char *line, size_t capacity);

/* What runs, once the model is prepared; also the description in the result pack. */
void about_run(char *line, size_t capacity, const struct backend *backend,
               const struct request *request);

void about_failure(char *line, size_t capacity, const struct failure *failure);

#endif
