/* libFuzzer's entry to the check of model files. */
#include "model_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct failure failure;
    (void)model_check_bytes(data, size, "model", &failure);
    return 0;
}
