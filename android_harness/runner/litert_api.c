#include "litert_api.h"

struct lrt_api lrt;

static const struct {
    const char *name;
    void *slot;
    bool required;
} symbols[] = {
    {"LiteRtCreateEnvironment", &lrt.environment_create, true},
    {"LiteRtCreateModelFromFile", &lrt.model_from_file, true},
    {"LiteRtCreateOptions", &lrt.options_create, true},
    {"LiteRtSetOptionsHardwareAccelerators", &lrt.options_set_hardware, true},
    {"LiteRtAddOpaqueOptions", &lrt.options_add_opaque, true},
    {"LiteRtCreateOpaqueOptions", &lrt.opaque_create, true},
    {"LiteRtCreateCompiledModel", &lrt.compile, true},
    {"LiteRtRunCompiledModel", &lrt.run, true},
    {"LiteRtGetCompiledModelOutputTensorLayouts", &lrt.output_layouts, true},
    {"LiteRtCompiledModelResizeInputTensor", &lrt.resize_input, true},
    {"LiteRtCreateTensorBufferFromHostMemory", &lrt.buffer_create, true},
    {"LiteRtDestroyTensorBuffer", &lrt.buffer_destroy, true},
    {"LiteRtGetNumModelSignatures", &lrt.signature_count, true},
    {"LiteRtGetModelSignature", &lrt.signature_at, true},
    {"LiteRtGetSignatureSubgraph", &lrt.signature_subgraph, true},
    {"LiteRtGetNumSignatureInputs", &lrt.input_count, true},
    {"LiteRtGetNumSignatureOutputs", &lrt.output_count, true},
    {"LiteRtGetSignatureInputName", &lrt.input_name, true},
    {"LiteRtGetSignatureOutputName", &lrt.output_name, true},
    {"LiteRtGetSignatureInputTensor", &lrt.input_tensor, true},
    {"LiteRtGetSignatureOutputTensor", &lrt.output_tensor, true},
    {"LiteRtGetTensorName", &lrt.tensor_name, true},
    {"LiteRtGetRankedTensorType", &lrt.tensor_type, true},
    {"LiteRtCreateModelFromFd", &lrt.model_from_fd, false},
    {"LiteRtGetMainModelSubgraphIndex", &lrt.main_subgraph, false},
    {"LiteRtGetModelSubgraph", &lrt.subgraph_at, false},
    {"LiteRtCreateCpuOptions", &lrt.cpu_options_create, false},
    {"LiteRtFindCpuOptions", &lrt.cpu_options_find, false},
    {"LiteRtSetCpuOptionsNumThread", &lrt.cpu_options_set_threads, false},
    {"LiteRtGetNumAccelerators", &lrt.accelerator_count, false},
    {"LiteRtGetAccelerator", &lrt.accelerator_at, false},
    {"LiteRtGetAcceleratorHardwareSupport", &lrt.accelerator_hardware, false},
    {"LiteRtCreateAccelerator", &lrt.accelerator_create, false},
    {"LiteRtRegisterAccelerator", &lrt.accelerator_register, false},
    {"LiteRtSetAcceleratorGetName", &lrt.set_name, false},
    {"LiteRtSetAcceleratorGetVersion", &lrt.set_version, false},
    {"LiteRtSetAcceleratorGetHardwareSupport", &lrt.set_hardware, false},
    {"LiteRtSetDelegateFunction", &lrt.set_delegate, false},
    {"LiteRtWrapDelegate", &lrt.wrap_delegate, false},
    {"LiteRtDestroyDelegateWrapper", &lrt.destroy_wrapper, false},
};

bool litert_present(void *library) {
    bool complete = true;
    for (size_t i = 0; i < sizeof symbols / sizeof symbols[0]; i++) {
        backend_symbol(library, symbols[i].name, symbols[i].slot);
        void *found;
        memcpy(&found, symbols[i].slot, sizeof found);
        if (found == NULL && symbols[i].required) complete = false;
    }
    return complete;
}

const char *lrt_status_text(int status) {
    switch (status) {
    case 1: return "invalid argument";
    case 2: return "memory allocation failure";
    case 3: return "runtime failure";
    case 4: return "missing input tensor";
    case 5: return "unsupported";
    case 6: return "not found";
    case 8: return "wrong version";
    case 500: return "file cannot be read";
    case 501: return "invalid flatbuffer";
    case 502: return "dynamic loading failed";
    case 504: return "compilation failed";
    default: return "error";
    }
}
