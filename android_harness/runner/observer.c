#include "observer.h"

#define ALLOW_DYNAMIC_TENSORS 1 /* kTfLiteDelegateFlagsAllowDynamicTensors */
#define BUILTIN_DELEGATE 51     /* kTfLiteBuiltinDelegate */

struct int_array {
    int size;
    int data[];
};

/* The first members of TfLiteRegistration. */
struct registration {
    void *init, *free, *prepare, *invoke, *profiling_string;
    int32_t builtin_code;
    const char *custom_name;
};

/* The first members of TfLiteContext, unchanged since the first delegates. */
struct context {
    size_t tensors_size;
    int (*get_execution_plan)(struct context *context, struct int_array **plan);
    void *tensors, *impl, *resize_tensor, *report_error, *add_tensors;
    int (*get_node_and_registration)(struct context *context, int index, void **node,
                                     struct registration **registration);
};

static int prepare(void *opaque_context, struct tfl_delegate *delegate) {
    struct observer *observer = delegate->data;
    struct context *context = opaque_context;
    struct int_array *plan;
    if (context->get_execution_plan(context, &plan) != 0) return 0;
    /* Nodes keep their numbers when a delegate replaces them, and the replacements are numbered
     * behind them; so the largest number in the plan bounds all nodes there are. */
    int last = -1, remaining = 0;
    for (int i = 0; i < plan->size; i++)
        if (plan->data[i] > last) last = plan->data[i];
    void *node;
    struct registration *registration;
    for (int i = 0; i < plan->size; i++) {
        if (context->get_node_and_registration(context, plan->data[i], &node, &registration) != 0)
            return 0;
        if (registration->builtin_code != BUILTIN_DELEGATE) {
            remaining++;
            continue;
        }
        observer->delegate_nodes++;
        if (registration->custom_name != NULL &&
            strstr(registration->custom_name, "XNNPack") != NULL)
            observer->xnnpack_nodes++;
    }
    int total = 0;
    for (int i = 0; i <= last; i++) {
        if (context->get_node_and_registration(context, i, &node, &registration) != 0) return 0;
        if (registration->builtin_code != BUILTIN_DELEGATE) total++;
    }
    observer->nodes_total += total;
    observer->nodes_delegated += total - remaining;
    observer->seen = true;
    return 0;
}

void observer_setup(struct observer *observer) {
    memset(observer, 0, sizeof *observer);
    observer->delegate.data = observer;
    observer->delegate.prepare = prepare;
    /* Without this flag the runtime would make the graph immutable on the observer's account. */
    observer->delegate.flags = ALLOW_DYNAMIC_TENSORS;
}
