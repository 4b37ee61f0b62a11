/* Reads an input pack from front to back; never seeks, so the pack may come through a pipe.
 *
 * Everything read is untrusted. A stream that claims much and holds little costs no more memory
 * than it has bytes (rounded up), because buffers grow only as data arrives.
 */
#ifndef DEVDIFF_PACK_READ_H
#define DEVDIFF_PACK_READ_H

#include "failure.h"
#include "pack.h"

/* Returns up to `size` bytes, 0 at the end, -1 on an error (with errno set). */
typedef ptrdiff_t (*pack_pull)(void *source, void *to, size_t size);

struct pack_buffer {
    unsigned char *bytes;
    size_t capacity;
};

struct pack_reader {
    pack_pull pull;
    void *source;
    uint32_t tensor_count;
    struct pack_tensor tensors[PACK_MAX_TENSORS];
    uint64_t samples; /* samples read so far */
    uint64_t last_index;
    struct pack_buffer table;
    struct pack_buffer payload;
};

/* One tensor of one sample; `data` points into the reader until the next sample is read. */
struct pack_value {
    uint64_t dims[PACK_MAX_RANK];
    const unsigned char *data;
    uint64_t bytes;
};

enum pack_next { PACK_SAMPLE, PACK_END, PACK_DAMAGED };

/* A pack_pull over a file descriptor; `source` points to the int. */
ptrdiff_t pack_pull_descriptor(void *source, void *to, size_t size);

/* `reader` must be zero but for `pull` and `source`. */
bool pack_read_header(struct pack_reader *reader, struct failure *failure);

/* Reads the next sample into `values`, which has room for every tensor of the table. */
enum pack_next pack_read_sample(struct pack_reader *reader, uint64_t *index,
                                struct pack_value *values, struct failure *failure);

void pack_reader_free(struct pack_reader *reader);

#endif
