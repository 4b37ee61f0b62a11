/* The TensorFlow Lite C API (c_api.h, promised to be stable), as libtensorflowlite_c.so, the JNI
 * library and some larger libraries export it. */
#include "backend.h"
#include "delegate.h"
#include "observer.h"

typedef struct tfl_model tfl_model;
typedef struct tfl_options tfl_options;
typedef struct tfl_interpreter tfl_interpreter;
typedef struct tfl_tensor tfl_tensor;
typedef struct tfl_signature tfl_signature;
typedef void (*tfl_report)(void *user, const char *format, va_list arguments);

struct int_array {
    int size;
    int data[];
};

static struct {
    /* Required. */
    const char *(*version)(void);
    tfl_model *(*model_from_file)(const char *path);
    tfl_options *(*options_create)(void);
    void (*options_set_threads)(tfl_options *options, int32_t threads);
    void (*options_add_delegate)(tfl_options *options, void *delegate);
    void (*options_set_reporter)(tfl_options *options, tfl_report report, void *user);
    tfl_interpreter *(*interpreter_create)(const tfl_model *model, const tfl_options *options);
    int (*allocate)(tfl_interpreter *interpreter);
    int (*invoke)(tfl_interpreter *interpreter);
    int (*resize_input)(tfl_interpreter *interpreter, int32_t index, const int *dims, int32_t rank);
    int32_t (*input_count)(const tfl_interpreter *interpreter);
    int32_t (*output_count)(const tfl_interpreter *interpreter);
    tfl_tensor *(*input)(const tfl_interpreter *interpreter, int32_t index);
    const tfl_tensor *(*output)(const tfl_interpreter *interpreter, int32_t index);
    int (*tensor_type)(const tfl_tensor *tensor);
    int32_t (*tensor_rank)(const tfl_tensor *tensor);
    int32_t (*tensor_dim)(const tfl_tensor *tensor, int32_t axis);
    size_t (*tensor_bytes)(const tfl_tensor *tensor);
    const char *(*tensor_name)(const tfl_tensor *tensor);
    int (*copy_from)(tfl_tensor *tensor, const void *data, size_t bytes);
    int (*copy_to)(const tfl_tensor *tensor, void *data, size_t bytes);
    /* Optional: absent from older or trimmed libraries. */
    tfl_model *(*model_from_file_reporting)(const char *path, tfl_report report, void *user);
    int (*modify_graph)(tfl_interpreter *interpreter, void *delegate);
    const struct int_array *(*dims_signature)(const tfl_tensor *tensor);
    int32_t (*signature_count)(const tfl_interpreter *interpreter);
    const char *(*signature_key)(const tfl_interpreter *interpreter, int32_t index);
    tfl_signature *(*signature_runner)(const tfl_interpreter *interpreter, const char *key);
    size_t (*signature_input_count)(const tfl_signature *signature);
    size_t (*signature_output_count)(const tfl_signature *signature);
    const char *(*signature_input_name)(const tfl_signature *signature, int32_t index);
    const char *(*signature_output_name)(const tfl_signature *signature, int32_t index);
    tfl_tensor *(*signature_input)(const tfl_signature *signature, const char *name);
    const tfl_tensor *(*signature_output)(const tfl_signature *signature, const char *name);
} api;

static const struct {
    const char *name;
    void *slot;
    bool required;
} symbols[] = {
    {"TfLiteVersion", &api.version, true},
    {"TfLiteModelCreateFromFile", &api.model_from_file, true},
    {"TfLiteInterpreterOptionsCreate", &api.options_create, true},
    {"TfLiteInterpreterOptionsSetNumThreads", &api.options_set_threads, true},
    {"TfLiteInterpreterOptionsAddDelegate", &api.options_add_delegate, true},
    {"TfLiteInterpreterOptionsSetErrorReporter", &api.options_set_reporter, true},
    {"TfLiteInterpreterCreate", &api.interpreter_create, true},
    {"TfLiteInterpreterAllocateTensors", &api.allocate, true},
    {"TfLiteInterpreterInvoke", &api.invoke, true},
    {"TfLiteInterpreterResizeInputTensor", &api.resize_input, true},
    {"TfLiteInterpreterGetInputTensorCount", &api.input_count, true},
    {"TfLiteInterpreterGetOutputTensorCount", &api.output_count, true},
    {"TfLiteInterpreterGetInputTensor", &api.input, true},
    {"TfLiteInterpreterGetOutputTensor", &api.output, true},
    {"TfLiteTensorType", &api.tensor_type, true},
    {"TfLiteTensorNumDims", &api.tensor_rank, true},
    {"TfLiteTensorDim", &api.tensor_dim, true},
    {"TfLiteTensorByteSize", &api.tensor_bytes, true},
    {"TfLiteTensorName", &api.tensor_name, true},
    {"TfLiteTensorCopyFromBuffer", &api.copy_from, true},
    {"TfLiteTensorCopyToBuffer", &api.copy_to, true},
    {"TfLiteModelCreateFromFileWithErrorReporter", &api.model_from_file_reporting, false},
    {"TfLiteInterpreterModifyGraphWithDelegate", &api.modify_graph, false},
    {"TfLiteTensorGetDimsSignature", &api.dims_signature, false},
    {"TfLiteInterpreterGetSignatureCount", &api.signature_count, false},
    {"TfLiteInterpreterGetSignatureKey", &api.signature_key, false},
    {"TfLiteInterpreterGetSignatureRunner", &api.signature_runner, false},
    {"TfLiteSignatureRunnerGetInputCount", &api.signature_input_count, false},
    {"TfLiteSignatureRunnerGetOutputCount", &api.signature_output_count, false},
    {"TfLiteSignatureRunnerGetInputName", &api.signature_input_name, false},
    {"TfLiteSignatureRunnerGetOutputName", &api.signature_output_name, false},
    {"TfLiteSignatureRunnerGetInputTensor", &api.signature_input, false},
    {"TfLiteSignatureRunnerGetOutputTensor", &api.signature_output, false},
};

static tfl_interpreter *interpreter;
static struct observer observer;
static char reported[400]; /* the runtime's last message */

static void report(void *user, const char *format, va_list arguments) {
    (void)user;
    vsnprintf(reported, sizeof reported, format, arguments);
    size_t size = strlen(reported);
    while (size > 0 && (unsigned char)reported[size - 1] <= ' ') reported[--size] = '\0';
}

/* The runtime's own words behind ours, when it said something. */
static const char *because(void) {
    static char text[sizeof reported + 2];
    if (reported[0] == '\0') return "";
    snprintf(text, sizeof text, ": %s", reported);
    reported[0] = '\0';
    return text;
}

bool tflite_present(void *library) {
    bool complete = true;
    for (size_t i = 0; i < sizeof symbols / sizeof symbols[0]; i++) {
        backend_symbol(library, symbols[i].name, symbols[i].slot);
        void *found;
        memcpy(&found, symbols[i].slot, sizeof found);
        if (found == NULL && symbols[i].required) complete = false;
    }
    return complete;
}

static bool resize_input(struct backend *backend, uint32_t input, const uint64_t *dims,
                         struct failure *failure) {
    const struct pack_tensor *tensor = &backend->inputs[input];
    int wanted[PACK_MAX_RANK];
    for (uint32_t axis = 0; axis < tensor->rank; axis++)
        wanted[axis] = (int)dims[axis];
    if (api.resize_input(interpreter, (int32_t)input, wanted, (int32_t)tensor->rank) == 0)
        return true;
    return fail(failure, STAGE_INPUTS, "input '%s' cannot take this shape%s", tensor->name.bytes,
                because());
}

static bool allocate(struct backend *backend, struct failure *failure) {
    (void)backend;
    if (api.allocate(interpreter) == 0) return true;
    return fail(failure, STAGE_MODEL, "the model's tensors cannot be allocated%s", because());
}

static bool set_input(struct backend *backend, uint32_t input, const void *data, size_t bytes,
                      struct failure *failure) {
    if (api.copy_from(api.input(interpreter, (int32_t)input), data, bytes) == 0) return true;
    return fail(failure, STAGE_INPUTS, "input '%s' does not take %zu bytes%s",
                backend->inputs[input].name.bytes, bytes, because());
}

static bool invoke(struct backend *backend, struct failure *failure) {
    (void)backend;
    if (api.invoke(interpreter) == 0) return true;
    return fail(failure, STAGE_MODEL, "the invocation failed%s", because());
}

static bool output_shape(struct backend *backend, uint32_t output, uint32_t *rank, uint64_t *dims,
                         uint64_t *bytes, struct failure *failure) {
    const tfl_tensor *tensor = api.output(interpreter, (int32_t)output);
    int32_t count = tensor == NULL ? -1 : api.tensor_rank(tensor);
    if (count < 0 || count > PACK_MAX_RANK)
        return fail(failure, STAGE_MODEL, "output '%s' has no readable shape",
                    backend->outputs[output].name.bytes);
    for (int32_t axis = 0; axis < count; axis++)
        dims[axis] = (uint64_t)api.tensor_dim(tensor, axis);
    *rank = (uint32_t)count;
    *bytes = api.tensor_bytes(tensor);
    return true;
}

static bool read_output(struct backend *backend, uint32_t output, void *to, size_t bytes,
                        struct failure *failure) {
    if (bytes == 0 || api.copy_to(api.output(interpreter, (int32_t)output), to, bytes) == 0)
        return true;
    return fail(failure, STAGE_MODEL, "output '%s' cannot be read%s",
                backend->outputs[output].name.bytes, because());
}

static bool describe(struct pack_tensor *into, uint8_t *free_axes, const char *what,
                     const tfl_tensor *tensor, struct failure *failure) {
    if (tensor == NULL)
        return fail(failure, STAGE_MODEL, "the runtime does not show a model %s", what);
    int32_t dims[PACK_MAX_RANK], rank = api.tensor_rank(tensor);
    for (int32_t axis = 0; axis < rank && axis < PACK_MAX_RANK; axis++)
        dims[axis] = api.tensor_dim(tensor, axis);
    const struct int_array *known =
        api.dims_signature == NULL ? NULL : api.dims_signature(tensor);
    for (int32_t axis = 0; known != NULL && known->size == rank && axis < rank; axis++)
        if (known->data[axis] < 0 && axis < PACK_MAX_RANK) *free_axes |= (uint8_t)(1u << axis);
    return backend_describe(into, what, api.tensor_name(tensor), api.tensor_type(tensor), dims,
                            rank, failure);
}

static bool describe_all(struct backend *backend, struct failure *failure) {
    int32_t inputs = api.input_count(interpreter), outputs = api.output_count(interpreter);
    if (inputs < 1 || outputs < 1 || inputs > PACK_MAX_TENSORS || outputs > PACK_MAX_TENSORS)
        return fail(failure, STAGE_MODEL, "a model with %d inputs and %d outputs cannot be run",
                    (int)inputs, (int)outputs);
    backend->input_count = (uint32_t)inputs;
    backend->output_count = (uint32_t)outputs;
    for (int32_t i = 0; i < inputs; i++)
        if (!describe(&backend->inputs[i], &backend->free_input_axes[i], "input",
                      api.input(interpreter, i), failure))
            return false;
    for (int32_t i = 0; i < outputs; i++)
        if (!describe(&backend->outputs[i], &backend->free_output_axes[i], "output",
                      api.output(interpreter, i), failure))
            return false;
    return true;
}

/* A signature names tensors of the graph; two handles to one tensor are the same pointer. */
static void name_by_signature(struct backend *backend, tfl_signature *signature) {
    size_t inputs = api.signature_input_count(signature);
    for (size_t i = 0; i < inputs; i++) {
        const char *name = api.signature_input_name(signature, (int32_t)i);
        const tfl_tensor *tensor = name == NULL ? NULL : api.signature_input(signature, name);
        for (uint32_t k = 0; tensor != NULL && k < backend->input_count; k++)
            if (api.input(interpreter, (int32_t)k) == tensor &&
                backend->inputs[k].signature_name.size == 0)
                backend->inputs[k].signature_name = (struct pack_text){name, strlen(name)};
    }
    size_t outputs = api.signature_output_count(signature);
    for (size_t i = 0; i < outputs; i++) {
        const char *name = api.signature_output_name(signature, (int32_t)i);
        const tfl_tensor *tensor = name == NULL ? NULL : api.signature_output(signature, name);
        for (uint32_t k = 0; tensor != NULL && k < backend->output_count; k++)
            if (api.output(interpreter, (int32_t)k) == tensor &&
                backend->outputs[k].signature_name.size == 0)
                backend->outputs[k].signature_name = (struct pack_text){name, strlen(name)};
    }
}

static void find_signature_names(struct backend *backend) {
    if (api.signature_count == NULL || api.signature_key == NULL || api.signature_runner == NULL ||
        api.signature_input_count == NULL || api.signature_output_count == NULL ||
        api.signature_input_name == NULL || api.signature_output_name == NULL ||
        api.signature_input == NULL || api.signature_output == NULL)
        return;
    int32_t count = api.signature_count(interpreter);
    for (int32_t i = 0; i < count; i++) {
        const char *key = api.signature_key(interpreter, i);
        tfl_signature *signature = key == NULL ? NULL : api.signature_runner(interpreter, key);
        /* Never deleted: the names belong to it in some versions. */
        if (signature != NULL) name_by_signature(backend, signature);
    }
}

/* What keeps the model from being prepared is the delegate's doing where it must apply. */
static bool unprepared(const struct request *request, struct failure *failure) {
    if (delegate_must_apply(request->delegate))
        return fail(failure, STAGE_RUNTIME,
                    "%s was asked for, but %s cannot be prepared with it%s",
                    delegate_name(request->delegate), request->model, because());
    return fail(failure, STAGE_MODEL, "the runtime cannot prepare %s%s", request->model, because());
}

bool tflite_open(struct backend *backend, void *library, const struct request *request,
                 struct failure *failure) {
    backend->api = "tflite";
    backend->version = api.version();
    backend->resize_input = resize_input;
    backend->allocate = allocate;
    backend->set_input = set_input;
    backend->invoke = invoke;
    backend->output_shape = output_shape;
    backend->read_output = read_output;

    struct delegate_maker maker;
    if (!delegate_find(&maker, library, request, backend->version, failure)) return false;
    backend->delegate_library = maker.path;
    tfl_model *model = api.model_from_file_reporting != NULL
                           ? api.model_from_file_reporting(request->model, report, NULL)
                           : api.model_from_file(request->model);
    if (model == NULL)
        return fail(failure, STAGE_MODEL, "%s is not a TensorFlow Lite model this runtime can "
                    "load%s", request->model, because());
    tfl_options *options = api.options_create();
    api.options_set_threads(options, request->threads);
    api.options_set_reporter(options, report, NULL);
    if (request->delegate != DELEGATE_NONE) {
        void *delegate = delegate_make(&maker, request);
        if (delegate == NULL)
            return fail(failure, STAGE_RUNTIME,
                        "%s was asked for, but cannot be created on this device%s",
                        delegate_name(request->delegate), because());
        api.options_add_delegate(options, delegate);
    }
    interpreter = api.interpreter_create(model, options);
    if (interpreter == NULL || api.allocate(interpreter) != 0) return unprepared(request, failure);
    observer_setup(&observer);
    /* Delegates that a library applies by itself arrive with the first allocation, so this is
     * the earliest moment at which all are there. */
    if (api.modify_graph != NULL && api.modify_graph(interpreter, &observer.delegate) != 0)
        observer.seen = false;
    reported[0] = '\0';
    if (!allocate(backend, failure)) return false;
    if (!backend_observed(backend, &observer, request->delegate, failure)) return false;
    if (!describe_all(backend, failure)) return false;
    find_signature_names(backend);
    return true;
}
