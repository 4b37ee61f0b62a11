/* The pack format: constants and the description of a tensor.
 *
 * The format itself is documented, and its other implementation lives, in device_runner/pack.py.
 */
#ifndef DEVDIFF_PACK_H
#define DEVDIFF_PACK_H

#include "platform.h"

#define PACK_MAGIC "DDPACK01"
#define PACK_MAGIC_BYTES 8
#define PACK_TAG_SAMPLE 0x4C504D53u /* "SMPL" */
#define PACK_TAG_DONE 0x454E4F44u   /* "DONE" */

#define PACK_MAX_ABOUT_BYTES (1u << 20)
#define PACK_MAX_TABLE_BYTES (1u << 20)
#define PACK_MAX_TENSORS 256
#define PACK_MAX_RANK 8
#define PACK_MAX_PAYLOAD_BYTES (1ull << 31)
#define PACK_MAX_MESSAGE_BYTES 4096

#define PACK_STATUS_OK 0
#define PACK_STATUS_FAILED 1

struct pack_text {
    const char *bytes;
    size_t size;
};

struct pack_tensor {
    uint32_t dtype; /* a TfLiteType number */
    uint32_t rank;
    uint64_t dims[PACK_MAX_RANK];
    struct pack_text name;
    struct pack_text signature_name;
};

/* Bytes of one element, or 0 when a pack cannot carry the type. */
size_t pack_element_bytes(uint32_t dtype);

/* "float32" and so on; "type 5" becomes "an unsupported type". */
const char *pack_dtype_name(uint32_t dtype);

/* Bytes of a tensor of this shape; false when the number does not fit a pack. */
bool pack_tensor_bytes(uint32_t dtype, const uint64_t *dims, uint32_t rank, uint64_t *bytes);

/* Bytes to add to reach a multiple of eight. */
static inline size_t pack_padding(uint64_t size) { return (size_t)(-size & 7); }

#endif
