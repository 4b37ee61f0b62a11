/* Counts what a delegate really took.
 *
 * The observer is a delegate itself, one that takes nothing: applied after the real ones, it is
 * shown every subgraph as it will run, with the nodes a delegate replaced and those it left. This
 * is the only way that works for a TfLite interpreter and inside LiteRT's compiled model alike;
 * neither API has a getter for it, and log messages differ between builds.
 */
#ifndef DEVDIFF_OBSERVER_H
#define DEVDIFF_OBSERVER_H

#include "platform.h"

/* TfLiteDelegate of TensorFlow Lite's public common.h. */
struct tfl_delegate {
    void *data;
    int (*prepare)(void *context, struct tfl_delegate *delegate);
    void *copy_from_buffer_handle;
    void *copy_to_buffer_handle;
    void *free_buffer_handle;
    int64_t flags;
    void *opaque_delegate_builder;
};

struct observer {
    struct tfl_delegate delegate;
    bool seen;           /* whether the runtime has shown a graph */
    long nodes_total;     /* nodes of the model */
    long nodes_delegated; /* of these, replaced by any delegate */
    long delegate_nodes;  /* nodes that stand for them */
    long xnnpack_nodes;   /* of those, XNNPACK's */
};

/* The observer must outlive the interpreter or compiled model it is applied to. */
void observer_setup(struct observer *observer);

#endif
