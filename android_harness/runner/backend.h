/* One loaded model under one runtime API. The two implementations are backend_tflite.c and
 * backend_litert.c; everything above them sees tensors by name, type and shape only. */
#ifndef DEVDIFF_BACKEND_H
#define DEVDIFF_BACKEND_H

#include "failure.h"
#include "pack.h"

enum delegate { DELEGATE_NONE, DELEGATE_XNNPACK, DELEGATE_GPU, DELEGATE_NNAPI };

struct request {
    const char *library; /* absolute path of the runtime library */
    const char *model;
    enum delegate delegate;
    const char *delegate_library; /* absolute path, or NULL: look for the delegate */
    int threads;
};

struct backend {
    const char *api;
    const char *version; /* NULL when the library does not tell */
    long nodes_total;    /* -1 when the runtime could not be observed */
    long nodes_delegated;
    const char *delegate_library; /* path; NULL when it is the runtime library itself */
    uint32_t input_count, output_count;
    struct pack_tensor inputs[PACK_MAX_TENSORS], outputs[PACK_MAX_TENSORS];
    /* For each tensor the axes (bit k for axis k) whose length the model leaves open. */
    uint8_t free_input_axes[PACK_MAX_TENSORS], free_output_axes[PACK_MAX_TENSORS];

    /* Gives an input another shape, which differs on free axes only. */
    bool (*resize_input)(struct backend *backend, uint32_t input, const uint64_t *dims,
                         struct failure *failure);
    /* Makes resized inputs take effect; every input must be set afterwards. */
    bool (*allocate)(struct backend *backend, struct failure *failure);
    /* `bytes` must be what the input's type and shape ask for. */
    bool (*set_input)(struct backend *backend, uint32_t input, const void *data, size_t bytes,
                      struct failure *failure);
    bool (*invoke)(struct backend *backend, struct failure *failure);
    /* The shape and size of an output after the last invocation. */
    bool (*output_shape)(struct backend *backend, uint32_t output, uint32_t *rank, uint64_t *dims,
                         uint64_t *bytes, struct failure *failure);
    bool (*read_output)(struct backend *backend, uint32_t output, void *to, size_t bytes,
                        struct failure *failure);
};

/* Whether the loaded library speaks the API. */
bool tflite_present(void *library);
bool litert_present(void *library);

/* Load and prepare the model; on success the backend is complete. Nothing is ever unloaded: the
 * process ends with the run. */
bool tflite_open(struct backend *backend, void *library, const struct request *request,
                 struct failure *failure);
bool litert_open(struct backend *backend, void *library, const struct request *request,
                 struct failure *failure);

/* Helpers shared by the implementations. */
struct observer;

/* As the user writes it, and as a sentence has it. */
const char *delegate_option(enum delegate delegate);
const char *delegate_name(enum delegate delegate);

/* Whether every model has to have something for it: what was asked for by name of a piece of
 * hardware, and did not run there, is an error and not a slower run. */
static inline bool delegate_must_apply(enum delegate delegate) {
    return delegate == DELEGATE_GPU || delegate == DELEGATE_NNAPI;
}

/* Takes over the counts; fails when they contradict the request. */
bool backend_observed(struct backend *backend, const struct observer *observer,
                      enum delegate delegate, struct failure *failure);

/* Fills in one tensor; fails when a pack cannot carry it. An unknown length is negative and is
 * entered as 1, which is what runtimes begin with. */
bool backend_describe(struct pack_tensor *tensor, const char *what, const char *name, int dtype,
                      const int32_t *dims, int rank, struct failure *failure);

/* Looks a function up into `*slot`; leaves NULL there when the library lacks it. */
void backend_symbol(void *library, const char *name, void *slot);

#endif
