#include "backend.h"

#include "observer.h"

const char *delegate_option(enum delegate delegate) {
    switch (delegate) {
    case DELEGATE_NONE: return "none";
    case DELEGATE_XNNPACK: return "xnnpack";
    case DELEGATE_GPU: return "gpu";
    case DELEGATE_NNAPI: return "nnapi";
    }
    return "unknown";
}

const char *delegate_name(enum delegate delegate) {
    switch (delegate) {
    case DELEGATE_NONE: return "no delegate";
    case DELEGATE_XNNPACK: return "XNNPACK";
    case DELEGATE_GPU: return "the GPU delegate";
    case DELEGATE_NNAPI: return "the NNAPI delegate";
    }
    return "an unknown delegate";
}

bool backend_observed(struct backend *backend, const struct observer *observer,
                      enum delegate delegate, struct failure *failure) {
    backend->nodes_total = observer->seen ? observer->nodes_total : -1;
    backend->nodes_delegated = observer->seen ? observer->nodes_delegated : -1;
    if (!observer->seen) {
        if (!delegate_must_apply(delegate)) return true;
        return fail(failure, STAGE_RUNTIME,
                    "%s was asked for, but this runtime library does not show whether it runs "
                    "anything; choose another library or --delegate xnnpack",
                    delegate_name(delegate));
    }
    long wanted = delegate == DELEGATE_NONE      ? 0
                  : delegate == DELEGATE_XNNPACK ? observer->xnnpack_nodes
                                                 : observer->delegate_nodes - observer->xnnpack_nodes;
    if (delegate == DELEGATE_NONE && observer->delegate_nodes > 0)
        return fail(failure, STAGE_RUNTIME,
                    "the runtime library applies a delegate of its own (it took %ld of %ld nodes) "
                    "and cannot run without one",
                    observer->nodes_delegated, observer->nodes_total);
    if (delegate_must_apply(delegate) && wanted == 0)
        return fail(failure, STAGE_RUNTIME,
                    "%s was asked for, but took none of the model's %ld nodes; choose --delegate "
                    "xnnpack or none for this model on this device",
                    delegate_name(delegate), observer->nodes_total);
    if (observer->delegate_nodes > wanted)
        return fail(failure, STAGE_RUNTIME,
                    "the runtime library applies another delegate beside %s",
                    delegate_name(delegate));
    return true;
}

bool backend_describe(struct pack_tensor *tensor, const char *what, const char *name, int dtype,
                      const int32_t *dims, int rank, struct failure *failure) {
    if (name == NULL) name = "";
    if (dtype <= 0 || pack_element_bytes((uint32_t)dtype) == 0)
        return fail(failure, STAGE_MODEL, "model %s '%s' has an element type (%d) that is not "
                    "supported", what, name, dtype);
    if (rank < 0 || rank > PACK_MAX_RANK)
        return fail(failure, STAGE_MODEL, "model %s '%s' has %d axes, at most %d are supported",
                    what, name, rank, PACK_MAX_RANK);
    memset(tensor, 0, sizeof *tensor);
    tensor->dtype = (uint32_t)dtype;
    tensor->rank = (uint32_t)rank;
    for (int axis = 0; axis < rank; axis++)
        tensor->dims[axis] = dims[axis] < 0 ? 1 : (uint64_t)dims[axis];
    tensor->name = (struct pack_text){name, strlen(name)};
    tensor->signature_name = (struct pack_text){"", 0};
    return true;
}

void backend_symbol(void *library, const char *name, void *slot) {
    void *symbol = dlsym(library, name);
    memcpy(slot, &symbol, sizeof symbol);
}
