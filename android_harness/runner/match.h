/* Which tensor of the pack feeds which input of the model. */
#ifndef DEVDIFF_MATCH_H
#define DEVDIFF_MATCH_H

#include "backend.h"

/* Matches by tensor name or else by signature name, never by position: runtimes disagree about the
 * order. Afterwards order[k] is the pack's tensor for model input k. Fails unless every tensor of
 * either side has exactly one partner of the same type and shape. */
bool match_inputs(const struct backend *backend, const struct pack_tensor *tensors, uint32_t count,
                  uint32_t *order, struct failure *failure);

/* Whether a model input can have this shape: equal but on its free axes. */
bool match_shape(const struct backend *backend, uint32_t input, uint32_t rank,
                 const uint64_t *dims);

#endif
