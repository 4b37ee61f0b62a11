/* Learns what LiteRT's compiled model delegates, which its API does not tell. */
#ifndef DEVDIFF_LITERT_PROBE_H
#define DEVDIFF_LITERT_PROBE_H

#include "litert_api.h"
#include "observer.h"

/* Compiles the model once more in a child process, with an observing accelerator registered behind
 * the real ones, and fills in what it saw. The registration interface is LiteRT's internal one and
 * has changed between releases; should a release not be known here, the child dies of it and
 * `seen` stays false, while the run itself is untouched. */
void litert_probe(lrt_environment environment, lrt_model model, lrt_options options,
                  struct observer *observer);

#endif
