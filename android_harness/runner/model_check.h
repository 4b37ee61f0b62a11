/* Refuses model files that are cut short or point outside themselves.
 *
 * Some runtimes verify a model before they use it, others crash on a file that was not copied to
 * its end. A sentence is better than a signal.
 */
#ifndef DEVDIFF_MODEL_CHECK_H
#define DEVDIFF_MODEL_CHECK_H

#include "failure.h"

bool model_check(const char *path, struct failure *failure);

#endif
