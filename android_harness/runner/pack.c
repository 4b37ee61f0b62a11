#include "pack.h"

static const struct {
    uint32_t dtype;
    uint32_t bytes;
    const char *name;
} types[] = {
    {1, 4, "float32"},  {2, 4, "int32"},    {3, 1, "uint8"},   {4, 8, "int64"},
    {6, 1, "bool"},     {7, 2, "int16"},    {9, 1, "int8"},    {10, 2, "float16"},
    {11, 8, "float64"}, {13, 8, "uint64"},  {16, 4, "uint32"}, {17, 2, "uint16"},
};

size_t pack_element_bytes(uint32_t dtype) {
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (types[i].dtype == dtype) return types[i].bytes;
    return 0;
}

const char *pack_dtype_name(uint32_t dtype) {
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (types[i].dtype == dtype) return types[i].name;
    return "an unsupported type";
}

bool pack_tensor_bytes(uint32_t dtype, const uint64_t *dims, uint32_t rank, uint64_t *bytes) {
    uint64_t total = pack_element_bytes(dtype);
    if (total == 0) return false;
    /* An axis of length 0 makes a tensor empty but not its other axes reasonable. */
    bool empty = false;
    for (uint32_t axis = 0; axis < rank; axis++) {
        if (dims[axis] == 0) {
            empty = true;
            continue;
        }
        /* Both factors fit 32 bits. Multiplied and not divided: 64-bit division is a function of
         * the compiler's own library on 32-bit ARM, which is not linked. */
        if (dims[axis] > PACK_MAX_PAYLOAD_BYTES) return false;
        total *= dims[axis];
        if (total > PACK_MAX_PAYLOAD_BYTES) return false;
    }
    *bytes = empty ? 0 : total;
    return true;
}
