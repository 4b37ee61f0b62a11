/* Writes a result pack so that a kill at any moment leaves whole records but perhaps the last. */
#ifndef DEVDIFF_PACK_WRITE_H
#define DEVDIFF_PACK_WRITE_H

#include "failure.h"
#include "pack.h"

struct pack_writer {
    int descriptor;
    const char *path; /* for messages */
    uint64_t whole;   /* bytes of the records that are completely in the file */
    unsigned char *bytes;
    size_t capacity, used;
};

/* Writes to a descriptor that is open already. */
void pack_writer_attach(struct pack_writer *writer, int descriptor);

/* Creates or empties the file at `path`. */
bool pack_writer_open(struct pack_writer *writer, const char *path, struct failure *failure);

bool pack_write_header(struct pack_writer *writer, const char *about,
                       const struct pack_tensor *tensors, uint32_t count, struct failure *failure);

/* A sample record is built in memory: begin, then for each tensor its shape and room for its
 * elements, then commit, which is one write. pack_record_room returns NULL without memory or when
 * the record would exceed the format's limit. */
void pack_record_begin(struct pack_writer *writer, uint64_t index);
bool pack_record_dims(struct pack_writer *writer, const uint64_t *dims, uint32_t rank);
void *pack_record_room(struct pack_writer *writer, uint64_t size);
bool pack_record_commit(struct pack_writer *writer, uint64_t nanoseconds, struct failure *failure);

/* A record of its own that says why the sample has no outputs. */
bool pack_write_failed(struct pack_writer *writer, uint64_t index, const char *message,
                       struct failure *failure);

bool pack_write_done(struct pack_writer *writer, uint64_t samples, struct failure *failure);

#endif
