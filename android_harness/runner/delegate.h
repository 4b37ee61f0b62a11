/* The delegates of the TensorFlow Lite C API: where they are, and how they are made. */
#ifndef DEVDIFF_DELEGATE_H
#define DEVDIFF_DELEGATE_H

#include "backend.h"

/* The options of every delegate: structures of different members, larger with each release, which
 * a function of the library fills in. It returns them by value through memory of the caller, which
 * therefore must only be large enough; that holds for structures that do not fit registers. */
struct delegate_options {
    int32_t words[256];
};

/* Where a delegate comes from; `path` is NULL when it is the runtime library itself. */
struct delegate_maker {
    struct delegate_options (*defaults)(void);
    void *(*create)(const struct delegate_options *options);
    const char *path;
};

/* Finds the delegate asked for: in the library named with --delegate-library, else in the runtime
 * library, else in one of the usual names beside it. `version` is the runtime's own. */
bool delegate_find(struct delegate_maker *maker, void *runtime, const struct request *request,
                   const char *version, struct failure *failure);

/* The delegate with its default options, or NULL. Never deleted: the process ends with the run. */
void *delegate_make(const struct delegate_maker *maker, const struct request *request);

#endif
