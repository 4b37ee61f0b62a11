/* The LiteRT C API (libLiteRt.so). It promises no stable ABI, so what changed between releases is
 * told apart by which symbols the library has, never by a version number it does not tell. */
#include "litert_api.h"
#include "litert_probe.h"

#define BUFFER_ALIGNMENT 64
#define BUFFER_SLACK 128 /* vector kernels may read past the last element */
#define UNWRITTEN 0xA5
#define UNWRITTEN_MIN_BYTES 4 /* in fewer bytes the pattern could be a result */

struct memory {
    void *block; /* as malloc gave it */
    unsigned char *bytes;
    size_t size;
    struct lrt_tensor_type type;
    lrt_buffer buffer;
    bool may_stay_unwritten;
};

static lrt_environment environment;
static lrt_compiled compiled;
static size_t signature_index;
static struct memory inputs[PACK_MAX_TENSORS], outputs[PACK_MAX_TENSORS];
static struct lrt_layout layouts[PACK_MAX_TENSORS + 1];

static bool failed(struct failure *failure, enum stage stage, const char *what, int status) {
    return fail(failure, stage, "%s: LiteRT says '%s' (status %d)", what, lrt_status_text(status),
                status);
}

static void keep(void *payload) { (void)payload; }

/* Whether the library has an accelerator for this hardware; `unknown` when it does not tell. */
static bool has_accelerator(int hardware, bool unknown) {
    if (lrt.accelerator_count == NULL || lrt.accelerator_at == NULL ||
        lrt.accelerator_hardware == NULL)
        return unknown;
    size_t count = 0;
    if (lrt.accelerator_count(environment, &count) != 0) return unknown;
    for (size_t i = 0; i < count; i++) {
        lrt_accelerator accelerator;
        int supported = 0;
        if (lrt.accelerator_at(environment, i, &accelerator) == 0 &&
            lrt.accelerator_hardware(accelerator, &supported) == 0 && (supported & hardware))
            return true;
    }
    return false;
}

/* Which hardware the delegate means; 0 with the failure filled in when it is not there. */
static int choose_hardware(enum delegate delegate, struct failure *failure) {
    switch (delegate) {
    case DELEGATE_NONE: return LRT_HARDWARE_CPU;
    case DELEGATE_XNNPACK: /* is LiteRT's accelerator for the CPU */
        if (has_accelerator(LRT_HARDWARE_CPU, true)) return LRT_HARDWARE_CPU;
        fail(failure, STAGE_RUNTIME,
             "XNNPACK was asked for, but the runtime library was built without it; choose another "
             "library or --delegate none");
        return 0;
    case DELEGATE_GPU:
        if (has_accelerator(LRT_HARDWARE_GPU, false)) return LRT_HARDWARE_GPU;
        fail(failure, STAGE_RUNTIME,
             "the GPU delegate was asked for, but LiteRT finds no GPU accelerator in or beside the "
             "runtime library; choose another library or --delegate xnnpack");
        return 0;
    case DELEGATE_NNAPI: break;
    }
    fail(failure, STAGE_RUNTIME,
         "%s was asked for, which LiteRT does not have; choose a library with the TensorFlow Lite "
         "API or --delegate xnnpack",
         delegate_name(delegate));
    return 0;
}

/* --- Buffers ---------------------------------------------------------------------------------- */

/* The library's word, and more than a layout has room for until it is checked. */
static uint32_t layout_rank(const struct lrt_layout *layout) { return layout->rank & 127; }

static bool bind(struct memory *memory, const char *name, struct failure *failure) {
    struct lrt_layout *layout = &memory->type.layout;
    uint32_t rank = layout_rank(layout);
    uint64_t dims[PACK_MAX_RANK], bytes;
    if (rank > PACK_MAX_RANK)
        return fail(failure, STAGE_MODEL,
                    "the runtime gives tensor '%s' %u axes, at most %d are supported", name,
                    (unsigned)rank, PACK_MAX_RANK);
    for (uint32_t axis = 0; axis < rank; axis++)
        dims[axis] = layout->dims[axis] < 0 ? 1 : (uint64_t)layout->dims[axis];
    for (uint32_t axis = 0; axis < rank; axis++)
        layout->dims[axis] = (int32_t)dims[axis];
    if (!pack_tensor_bytes((uint32_t)memory->type.element, dims, rank, &bytes))
        return fail(failure, STAGE_MODEL, "tensor '%s' is too large", name);
    if (memory->buffer != NULL) lrt.buffer_destroy(memory->buffer);
    free(memory->block);
    memory->buffer = NULL;
    memory->size = (size_t)bytes;
    memory->block = calloc(1, memory->size + BUFFER_ALIGNMENT + BUFFER_SLACK);
    if (memory->block == NULL)
        return fail(failure, STAGE_MODEL, "no memory for tensor '%s' of %zu bytes", name,
                    memory->size);
    uintptr_t address = (uintptr_t)memory->block;
    memory->bytes = (unsigned char *)memory->block + (-address & (BUFFER_ALIGNMENT - 1));
    int status = lrt.buffer_create(&memory->type, memory->bytes, memory->size, keep,
                                   &memory->buffer);
    if (status == 0) return true;
    return failed(failure, STAGE_MODEL, "a tensor buffer cannot be created", status);
}

static bool resize_input(struct backend *backend, uint32_t input, const uint64_t *dims,
                         struct failure *failure) {
    int wanted[PACK_MAX_RANK];
    uint32_t rank = backend->inputs[input].rank;
    for (uint32_t axis = 0; axis < rank; axis++) {
        wanted[axis] = (int)dims[axis];
        inputs[input].type.layout.dims[axis] = wanted[axis];
    }
    int status = lrt.resize_input(compiled, signature_index, input, wanted, rank);
    if (status != 0) return failed(failure, STAGE_INPUTS, "an input cannot be resized", status);
    return bind(&inputs[input], backend->inputs[input].name.bytes, failure);
}

static bool allocate(struct backend *backend, struct failure *failure) {
    int status = lrt.output_layouts(compiled, signature_index, backend->output_count, layouts,
                                    true);
    if (status != 0)
        return failed(failure, STAGE_MODEL, "the model's tensors cannot be allocated", status);
    for (uint32_t i = 0; i < backend->output_count; i++) {
        outputs[i].type.layout = layouts[i];
        if (!bind(&outputs[i], backend->outputs[i].name.bytes, failure)) return false;
        outputs[i].may_stay_unwritten = backend->free_output_axes[i] != 0;
        if (outputs[i].may_stay_unwritten) memset(outputs[i].bytes, UNWRITTEN, outputs[i].size);
    }
    return true;
}

static bool set_input(struct backend *backend, uint32_t input, const void *data, size_t bytes,
                      struct failure *failure) {
    if (bytes != inputs[input].size)
        return fail(failure, STAGE_INPUTS, "input '%s' takes %zu bytes, not %zu",
                    backend->inputs[input].name.bytes, inputs[input].size, bytes);
    memcpy(inputs[input].bytes, data, bytes);
    return true;
}

static bool invoke(struct backend *backend, struct failure *failure) {
    lrt_buffer in[PACK_MAX_TENSORS], out[PACK_MAX_TENSORS];
    for (uint32_t i = 0; i < backend->input_count; i++) in[i] = inputs[i].buffer;
    for (uint32_t i = 0; i < backend->output_count; i++) out[i] = outputs[i].buffer;
    int status = lrt.run(compiled, signature_index, backend->input_count, in,
                         backend->output_count, out);
    if (status == 0) return true;
    bool fixed_inputs = true;
    for (uint32_t i = 0; i < backend->input_count; i++)
        if (backend->free_input_axes[i] != 0) fixed_inputs = false;
    for (uint32_t i = 0; fixed_inputs && i < backend->output_count; i++)
        if (backend->free_output_axes[i] != 0)
            return fail(failure, STAGE_MODEL,
                        "the invocation failed (status %d): the shape of output '%s' depends on "
                        "the data, which the LiteRT API cannot return; a library with the "
                        "TensorFlow Lite API can", status, backend->outputs[i].name.bytes);
    return failed(failure, STAGE_MODEL, "the invocation failed", status);
}

/* Releases differ in what they do with an output whose shape depends on the data: some refuse to
 * run, some run and leave the buffer as it was. The latter must not pass for a result. */
static bool was_written(uint32_t output) {
    const struct memory *memory = &outputs[output];
    const struct lrt_layout *bound = &memory->type.layout, *now = &layouts[output];
    uint32_t rank = layout_rank(bound);
    if (layout_rank(now) != rank || memcmp(bound->dims, now->dims, sizeof(int32_t) * rank) != 0)
        return false;
    if (memory->size < UNWRITTEN_MIN_BYTES) return true;
    for (size_t i = 0; i < memory->size; i++)
        if (memory->bytes[i] != UNWRITTEN) return true;
    return false;
}

static bool output_shape(struct backend *backend, uint32_t output, uint32_t *rank, uint64_t *dims,
                         uint64_t *bytes, struct failure *failure) {
    const struct lrt_layout *layout = &outputs[output].type.layout;
    if (outputs[output].may_stay_unwritten) {
        int status = lrt.output_layouts(compiled, signature_index, backend->output_count, layouts,
                                        false);
        if (status != 0) return failed(failure, STAGE_MODEL, "outputs have no shape", status);
        if (!was_written(output))
            return fail(failure, STAGE_MODEL,
                        "the shape of output '%s' depends on the data, which the LiteRT API "
                        "cannot return; a library with the TensorFlow Lite API can",
                        backend->outputs[output].name.bytes);
    }
    *rank = layout_rank(layout);
    for (uint32_t axis = 0; axis < *rank; axis++)
        dims[axis] = (uint64_t)layout->dims[axis];
    *bytes = outputs[output].size;
    return true;
}

static bool read_output(struct backend *backend, uint32_t output, void *to, size_t bytes,
                        struct failure *failure) {
    (void)backend;
    (void)failure;
    memcpy(to, outputs[output].bytes, bytes);
    if (outputs[output].may_stay_unwritten) memset(outputs[output].bytes, UNWRITTEN, bytes);
    return true;
}

/* --- Opening ---------------------------------------------------------------------------------- */

static bool load_model(const char *path, lrt_model *model, struct failure *failure) {
    int status;
    if (lrt.model_from_fd != NULL) {
        int (*load)(lrt_environment, const char *, lrt_model *);
        memcpy(&load, &lrt.model_from_file, sizeof load);
        status = load(environment, path, model);
    } else {
        int (*load)(const char *, lrt_model *);
        memcpy(&load, &lrt.model_from_file, sizeof load);
        status = load(path, model);
    }
    if (status == 0) return true;
    return fail(failure, STAGE_MODEL,
                "%s is not a TensorFlow Lite model this runtime can load: LiteRT says '%s' "
                "(status %d)", path, lrt_status_text(status), status);
}

/* Threads and kernels travel as options for the accelerator called "xnnpack": as TOML since the
 * functions to set them left the library, through those functions before. */
static bool cpu_options(lrt_options options, const struct request *request,
                        struct failure *failure) {
    static char toml[96];
    lrt_opaque opaque;
    int status;
    if (lrt.cpu_options_create != NULL && lrt.cpu_options_find != NULL &&
        lrt.cpu_options_set_threads != NULL) {
        lrt_cpu_options cpu;
        if (request->delegate == DELEGATE_NONE)
            return fail(failure, STAGE_RUNTIME,
                        "this LiteRT library is older than the switch for XNNPACK and always "
                        "applies it; choose a newer library or --delegate xnnpack");
        status = lrt.cpu_options_create(&opaque);
        if (status == 0) status = lrt.cpu_options_find(opaque, &cpu);
        if (status == 0) status = lrt.cpu_options_set_threads(cpu, request->threads);
    } else {
        snprintf(toml, sizeof toml, "num_threads = %d\n%s", request->threads,
                 request->delegate == DELEGATE_NONE ? "kernel_mode = \"builtin\"\n" : "");
        status = lrt.opaque_create("xnnpack", toml, keep, &opaque);
    }
    if (status == 0) status = lrt.options_add_opaque(options, opaque);
    return status == 0 || failed(failure, STAGE_RUNTIME, "options cannot be set", status);
}

/* The signature of the main graph if it has one, else the first. */
static bool choose_signature(lrt_model model, lrt_signature *signature, struct failure *failure) {
    size_t count = 0, main_index = 0;
    lrt_subgraph main_graph = NULL, graph = NULL;
    int status = lrt.signature_count(model, &count);
    if (status != 0 || count == 0)
        return failed(failure, STAGE_MODEL, "the model has no signature", status);
    if (lrt.main_subgraph != NULL && lrt.subgraph_at != NULL &&
        lrt.main_subgraph(model, &main_index) == 0)
        (void)lrt.subgraph_at(model, main_index, &main_graph);
    signature_index = 0;
    for (size_t i = 0; main_graph != NULL && i < count; i++)
        if (lrt.signature_at(model, i, signature) == 0 &&
            lrt.signature_subgraph(*signature, &graph) == 0 && graph == main_graph) {
            signature_index = i;
            break;
        }
    status = lrt.signature_at(model, signature_index, signature);
    return status == 0 || failed(failure, STAGE_MODEL, "the model's signature is unreadable",
                                 status);
}

static bool describe(struct memory *memory, struct pack_tensor *tensor, uint8_t *free_axes,
                     const char *what, const char *signature_name, lrt_tensor handle,
                     struct failure *failure) {
    const char *name = NULL;
    int status = lrt.tensor_name(handle, &name);
    if (status == 0) status = lrt.tensor_type(handle, &memory->type);
    if (status != 0)
        return fail(failure, STAGE_MODEL, "model %s '%s' has no readable type (status %d)", what,
                    signature_name, status);
    const struct lrt_layout *layout = &memory->type.layout;
    int rank = (int)layout_rank(layout);
    if (!backend_describe(tensor, what, name, memory->type.element, layout->dims, rank, failure))
        return false;
    for (int axis = 0; axis < rank; axis++)
        if (layout->dims[axis] < 0) *free_axes |= (uint8_t)(1u << axis);
    tensor->signature_name = (struct pack_text){signature_name, strlen(signature_name)};
    return true;
}

static bool describe_all(struct backend *backend, lrt_signature signature,
                         struct failure *failure) {
    size_t input_count = 0, output_count = 0;
    if (lrt.input_count(signature, &input_count) != 0 ||
        lrt.output_count(signature, &output_count) != 0 || input_count < 1 || output_count < 1 ||
        input_count > PACK_MAX_TENSORS || output_count > PACK_MAX_TENSORS)
        return fail(failure, STAGE_MODEL, "a model with %zu inputs and %zu outputs cannot be run",
                    input_count, output_count);
    backend->input_count = (uint32_t)input_count;
    backend->output_count = (uint32_t)output_count;
    const char *name = NULL;
    lrt_tensor tensor;
    for (size_t i = 0; i < input_count; i++) {
        if (lrt.input_name(signature, i, &name) != 0 ||
            lrt.input_tensor(signature, name, &tensor) != 0)
            return fail(failure, STAGE_MODEL, "model input %zu is unreadable", i);
        if (!describe(&inputs[i], &backend->inputs[i], &backend->free_input_axes[i], "input",
                      name, tensor, failure))
            return false;
    }
    for (size_t i = 0; i < output_count; i++) {
        if (lrt.output_name(signature, i, &name) != 0 ||
            lrt.output_tensor(signature, name, &tensor) != 0)
            return fail(failure, STAGE_MODEL, "model output %zu is unreadable", i);
        if (!describe(&outputs[i], &backend->outputs[i], &backend->free_output_axes[i], "output",
                      name, tensor, failure))
            return false;
    }
    return true;
}

bool litert_open(struct backend *backend, void *library, const struct request *request,
                 struct failure *failure) {
    (void)library;
    backend->api = "litert";
    backend->version = NULL;
    backend->resize_input = resize_input;
    backend->allocate = allocate;
    backend->set_input = set_input;
    backend->invoke = invoke;
    backend->output_shape = output_shape;
    backend->read_output = read_output;

    int status = lrt.environment_create(0, NULL, &environment);
    if (status != 0) return failed(failure, STAGE_RUNTIME, "LiteRT cannot be set up", status);
    int hardware = choose_hardware(request->delegate, failure);
    if (hardware == 0) return false;
    lrt_model model;
    if (!load_model(request->model, &model, failure)) return false;
    lrt_options options;
    status = lrt.options_create(&options);
    if (status == 0) status = lrt.options_set_hardware(options, hardware);
    if (status != 0) return failed(failure, STAGE_RUNTIME, "options cannot be set", status);
    if (!cpu_options(options, request, failure)) return false;
    static struct observer observer;
    litert_probe(environment, model, options, &observer);
    status = lrt.compile(environment, model, options, &compiled);
    if (status != 0)
        return fail(failure, delegate_must_apply(request->delegate) ? STAGE_RUNTIME : STAGE_MODEL,
                    "the runtime cannot prepare %s with %s: LiteRT says '%s' (status %d)",
                    request->model, delegate_name(request->delegate), lrt_status_text(status),
                    status);
    if (!backend_observed(backend, &observer, request->delegate, failure)) return false;
    lrt_signature signature;
    if (!choose_signature(model, &signature, failure) ||
        !describe_all(backend, signature, failure))
        return false;
    for (uint32_t i = 0; i < backend->input_count; i++)
        if (!bind(&inputs[i], backend->inputs[i].name.bytes, failure)) return false;
    return allocate(backend, failure);
}
