/* The command line of a run. */
#ifndef DEVDIFF_OPTIONS_H
#define DEVDIFF_OPTIONS_H

#include "run.h"

/* Fills in all of `options` but its `answer`, and `*check`: the pack of --check-inputs, or NULL for
 * a run. `words` are main's, the program's name first. */
bool options_parse(int count, char **words, struct run_options *options, const char **check,
                   struct failure *failure);

#endif
