/* The functions of libLiteRt.so that the runner uses, with prototypes of its own. */
#ifndef DEVDIFF_LITERT_API_H
#define DEVDIFF_LITERT_API_H

#include "backend.h"

#define LRT_HARDWARE_CPU 1 /* kLiteRtHwAcceleratorCpu */
#define LRT_HARDWARE_GPU 2 /* kLiteRtHwAcceleratorGpu */

typedef struct lrt_environment *lrt_environment;
typedef struct lrt_model *lrt_model;
typedef struct lrt_options *lrt_options;
typedef struct lrt_opaque *lrt_opaque;
typedef struct lrt_compiled *lrt_compiled;
typedef struct lrt_signature *lrt_signature;
typedef struct lrt_subgraph *lrt_subgraph;
typedef struct lrt_tensor *lrt_tensor;
typedef struct lrt_buffer *lrt_buffer;
typedef struct lrt_accelerator *lrt_accelerator;
typedef struct lrt_cpu_options *lrt_cpu_options;

struct lrt_layout {
    uint32_t rank; /* the low seven bits; the eighth tells whether there are strides */
    int32_t dims[PACK_MAX_RANK];
    uint32_t strides[PACK_MAX_RANK];
};

struct lrt_tensor_type {
    int32_t element;
    struct lrt_layout layout;
    uint32_t reserve[16]; /* room for a later, larger layout */
};

extern struct lrt_api {
    /* Required. */
    int (*environment_create)(int count, const void *options, lrt_environment *environment);
    int (*model_from_file)(void); /* two prototypes, see backend_litert.c */
    int (*options_create)(lrt_options *options);
    int (*options_set_hardware)(lrt_options options, int accelerators);
    int (*options_add_opaque)(lrt_options options, lrt_opaque opaque);
    int (*opaque_create)(const char *identifier, void *payload, void (*release)(void *),
                         lrt_opaque *opaque);
    int (*compile)(lrt_environment environment, lrt_model model, lrt_options options,
                   lrt_compiled *compiled);
    int (*run)(lrt_compiled compiled, size_t signature, size_t inputs, lrt_buffer *input_buffers,
               size_t outputs, lrt_buffer *output_buffers);
    int (*output_layouts)(lrt_compiled compiled, size_t signature, size_t count,
                          struct lrt_layout *layouts, bool update);
    int (*resize_input)(lrt_compiled compiled, size_t signature, size_t input, const int *dims,
                        size_t rank);
    int (*buffer_create)(const void *type, void *memory, size_t size, void (*release)(void *),
                         lrt_buffer *buffer);
    void (*buffer_destroy)(lrt_buffer buffer);
    int (*signature_count)(lrt_model model, size_t *count);
    int (*signature_at)(lrt_model model, size_t index, lrt_signature *signature);
    int (*signature_subgraph)(lrt_signature signature, lrt_subgraph *subgraph);
    int (*input_count)(lrt_signature signature, size_t *count);
    int (*output_count)(lrt_signature signature, size_t *count);
    int (*input_name)(lrt_signature signature, size_t index, const char **name);
    int (*output_name)(lrt_signature signature, size_t index, const char **name);
    int (*input_tensor)(lrt_signature signature, const char *name, lrt_tensor *tensor);
    int (*output_tensor)(lrt_signature signature, const char *name, lrt_tensor *tensor);
    int (*tensor_name)(lrt_tensor tensor, const char **name);
    int (*tensor_type)(lrt_tensor tensor, struct lrt_tensor_type *type);
    /* Optional. */
    void *model_from_fd; /* came with the environment argument of model_from_file */
    int (*main_subgraph)(lrt_model model, size_t *index);
    int (*subgraph_at)(lrt_model model, size_t index, lrt_subgraph *subgraph);
    int (*cpu_options_create)(lrt_opaque *opaque);
    int (*cpu_options_find)(lrt_opaque opaque, lrt_cpu_options *options);
    int (*cpu_options_set_threads)(lrt_cpu_options options, int threads);
    int (*accelerator_count)(lrt_environment environment, size_t *count);
    int (*accelerator_at)(lrt_environment environment, size_t index, lrt_accelerator *accelerator);
    int (*accelerator_hardware)(lrt_accelerator accelerator, int *supported);
    int (*accelerator_create)(lrt_accelerator *accelerator);
    int (*accelerator_register)(lrt_environment environment, lrt_accelerator accelerator,
                                void *data, void (*release)(void *));
    int (*set_name)(lrt_accelerator accelerator, int (*get)(lrt_accelerator, const char **));
    int (*set_version)(lrt_accelerator accelerator, int (*get)(lrt_accelerator, int *));
    int (*set_hardware)(lrt_accelerator accelerator, int (*get)(lrt_accelerator, int *));
    int (*set_delegate)(lrt_accelerator accelerator, void *create, void *destroy);
    void *wrap_delegate; /* two prototypes, see litert_probe.c */
    void *destroy_wrapper; /* came with the second of them */
} lrt;

/* A status as words. */
const char *lrt_status_text(int status);

#endif
