/* Refuses model files that are cut short, point outside themselves, hold numbers where they cannot
 * be read in place, or strings without an end.
 *
 * Some runtimes verify a model before they use it, others crash on a file that was not copied to
 * its end. A sentence is better than a signal.
 */
#ifndef DEVDIFF_MODEL_CHECK_H
#define DEVDIFF_MODEL_CHECK_H

#include "failure.h"

bool model_check(const char *path, struct failure *failure);

/* The same of a file's content; `path` is only for the message. */
bool model_check_bytes(const void *bytes, size_t size, const char *path, struct failure *failure);

#endif
