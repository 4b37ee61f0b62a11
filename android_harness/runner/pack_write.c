#include "pack_write.h"

#include "crc32.h"

#define RECORD_HEAD_BYTES 32

static void put_u32(unsigned char *to, uint32_t value) { memcpy(to, &value, sizeof value); }

static void put_u64(unsigned char *to, uint64_t value) { memcpy(to, &value, sizeof value); }

void pack_writer_attach(struct pack_writer *writer, int descriptor) {
    memset(writer, 0, sizeof *writer);
    writer->path = "standard output";
    writer->descriptor = descriptor;
}

bool pack_writer_open(struct pack_writer *writer, const char *path, struct failure *failure) {
    memset(writer, 0, sizeof *writer);
    writer->path = path;
    writer->descriptor = file_open(path, O_WRONLY | O_CREAT | O_TRUNC);
    if (writer->descriptor >= 0) return true;
    return fail(failure, STAGE_RESULTS, "cannot write results to %s: %s", path, strerror(errno));
}

static void *room(struct pack_writer *writer, size_t size) {
    if (size > SIZE_MAX / 2 - writer->used) return NULL;
    size_t needed = writer->used + size;
    if (needed > writer->capacity) {
        size_t capacity = needed > 4096 ? needed + needed / 2 : 8192;
        unsigned char *bytes = realloc(writer->bytes, capacity);
        if (bytes == NULL) return NULL;
        writer->bytes = bytes;
        writer->capacity = capacity;
    }
    unsigned char *at = writer->bytes + writer->used;
    writer->used = needed;
    return at;
}

static bool append(struct pack_writer *writer, const void *data, size_t size) {
    unsigned char *at = room(writer, size + pack_padding(size));
    if (at == NULL) return false;
    if (size > 0) memcpy(at, data, size);
    memset(at + size, 0, pack_padding(size));
    return true;
}

static bool append_u64(struct pack_writer *writer, uint64_t value) {
    return append(writer, &value, sizeof value);
}

static bool out_of_memory(struct failure *failure) {
    return fail(failure, STAGE_RESULTS, "no memory to build a result record");
}

static bool flush(struct pack_writer *writer, struct failure *failure) {
    size_t done = 0;
    while (done < writer->used) {
        ssize_t put = write(writer->descriptor, writer->bytes + done, writer->used - done);
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) {
            int reason = put == 0 ? ENOSPC : errno;
            /* Half a record is of no use to the reader; only a regular file can be cut back. */
            int cut = file_cut(writer->descriptor, writer->whole);
            (void)cut;
            return fail(failure, STAGE_RESULTS, "cannot write results to %s: %s", writer->path,
                        strerror(reason));
        }
        done += (size_t)put;
    }
    writer->whole += writer->used;
    writer->used = 0;
    return true;
}

static bool append_tensor(struct pack_writer *writer, const struct pack_tensor *tensor) {
    unsigned char head[16];
    put_u32(head, tensor->dtype);
    put_u32(head + 4, tensor->rank);
    put_u32(head + 8, (uint32_t)tensor->name.size);
    put_u32(head + 12, (uint32_t)tensor->signature_name.size);
    return append(writer, head, sizeof head) &&
           append(writer, tensor->dims, 8 * (size_t)tensor->rank) &&
           append(writer, tensor->name.bytes, tensor->name.size) &&
           append(writer, tensor->signature_name.bytes, tensor->signature_name.size);
}

bool pack_write_header(struct pack_writer *writer, const char *about,
                       const struct pack_tensor *tensors, uint32_t count, struct failure *failure) {
    size_t about_bytes = strlen(about);
    writer->used = 0;
    if (!append(writer, PACK_MAGIC, PACK_MAGIC_BYTES) || !append_u64(writer, about_bytes) ||
        !append(writer, about, about_bytes) || !append_u64(writer, 0))
        return out_of_memory(failure);
    size_t table = writer->used;
    bool fits = append_u64(writer, count);
    for (uint32_t i = 0; fits && i < count; i++)
        fits = append_tensor(writer, &tensors[i]);
    if (!fits) return out_of_memory(failure);
    size_t table_bytes = writer->used - table;
    if (about_bytes > PACK_MAX_ABOUT_BYTES || table_bytes > PACK_MAX_TABLE_BYTES)
        return fail(failure, STAGE_MODEL, "the model's tensor names do not fit a pack's header");
    put_u64(writer->bytes + table - 8, table_bytes);
    uint32_t crc = crc32_add(0, writer->bytes + PACK_MAGIC_BYTES, writer->used - PACK_MAGIC_BYTES);
    if (!append_u64(writer, crc)) return out_of_memory(failure);
    return flush(writer, failure);
}

static bool begin(struct pack_writer *writer, uint32_t tag, uint32_t status, uint64_t index) {
    writer->used = 0;
    unsigned char *head = room(writer, RECORD_HEAD_BYTES);
    if (head == NULL) return false;
    put_u32(head, tag);
    put_u32(head + 4, status);
    put_u64(head + 8, index);
    put_u64(head + 16, 0);
    return true;
}

static bool seal(struct pack_writer *writer, uint64_t nanoseconds, struct failure *failure) {
    put_u64(writer->bytes + 16, nanoseconds);
    put_u64(writer->bytes + 24, writer->used - RECORD_HEAD_BYTES);
    if (!append_u64(writer, crc32_add(0, writer->bytes, writer->used)))
        return out_of_memory(failure);
    return flush(writer, failure);
}

void pack_record_begin(struct pack_writer *writer, uint64_t index) {
    /* The header was written through the same buffer, so there is room for a record's head. */
    (void)begin(writer, PACK_TAG_SAMPLE, PACK_STATUS_OK, index);
}

bool pack_record_dims(struct pack_writer *writer, const uint64_t *dims, uint32_t rank) {
    return append(writer, dims, 8 * (size_t)rank);
}

void *pack_record_room(struct pack_writer *writer, uint64_t size) {
    size_t padding = pack_padding(size);
    if (size > PACK_MAX_PAYLOAD_BYTES - padding) return NULL;
    if (writer->used - RECORD_HEAD_BYTES > PACK_MAX_PAYLOAD_BYTES - padding - size) return NULL;
    unsigned char *at = room(writer, (size_t)size + padding);
    if (at != NULL) memset(at + size, 0, padding);
    return at;
}

bool pack_record_commit(struct pack_writer *writer, uint64_t nanoseconds, struct failure *failure) {
    return seal(writer, nanoseconds, failure);
}

bool pack_write_failed(struct pack_writer *writer, uint64_t index, const char *message,
                       struct failure *failure) {
    size_t size = strlen(message);
    if (size > PACK_MAX_MESSAGE_BYTES) size = PACK_MAX_MESSAGE_BYTES;
    if (!begin(writer, PACK_TAG_SAMPLE, PACK_STATUS_FAILED, index) ||
        !append(writer, message, size))
        return out_of_memory(failure);
    return seal(writer, 0, failure);
}

bool pack_write_done(struct pack_writer *writer, uint64_t samples, struct failure *failure) {
    if (!begin(writer, PACK_TAG_DONE, PACK_STATUS_OK, samples)) return out_of_memory(failure);
    return seal(writer, 0, failure);
}
