#include "pack_read.h"

#include "crc32.h"
#include "text.h"

#define FIRST_CHUNK ((size_t)1 << 20)

ptrdiff_t pack_pull_descriptor(void *source, void *to, size_t size) {
    /* Linux moves at most 0x7ffff000 bytes a call; staying below keeps ssize_t safe on 32 bits. */
    if (size > (size_t)1 << 30) size = (size_t)1 << 30;
    ssize_t got;
    do
        got = read(*(const int *)source, to, size);
    while (got < 0 && errno == EINTR);
    return got;
}

static bool damaged(struct failure *failure, const char *what) {
    return fail(failure, STAGE_INPUTS, "the input pack is damaged: %s", what);
}

static bool read_exactly(struct pack_reader *reader, void *to, size_t size, const char *what,
                         struct failure *failure) {
    unsigned char *at = to;
    while (size > 0) {
        ptrdiff_t got = reader->pull(reader->source, at, size);
        if (got < 0)
            return fail(failure, STAGE_INPUTS, "cannot read the input pack: %s", strerror(errno));
        if (got == 0)
            return fail(failure, STAGE_INPUTS, "the input pack ends in the middle of its %s", what);
        at += got;
        size -= (size_t)got;
    }
    return true;
}

static bool read_into(struct pack_reader *reader, struct pack_buffer *buffer, size_t size,
                      const char *what, struct failure *failure) {
    size_t have = 0;
    while (have < size) {
        if (buffer->capacity <= have) {
            size_t capacity = have < FIRST_CHUNK ? FIRST_CHUNK : have * 2;
            if (capacity > size) capacity = size;
            unsigned char *bytes = realloc(buffer->bytes, capacity);
            if (bytes == NULL)
                return fail(failure, STAGE_INPUTS, "no memory for an input %s of %zu bytes", what,
                            size);
            buffer->bytes = bytes;
            buffer->capacity = capacity;
        }
        size_t part = (buffer->capacity < size ? buffer->capacity : size) - have;
        if (!read_exactly(reader, buffer->bytes + have, part, what, failure)) return false;
        have += part;
    }
    return true;
}

static uint32_t u32_at(const unsigned char *bytes) {
    uint32_t value;
    memcpy(&value, bytes, sizeof value);
    return value;
}

static uint64_t u64_at(const unsigned char *bytes) {
    uint64_t value;
    memcpy(&value, bytes, sizeof value);
    return value;
}

static bool parse_text(const unsigned char *table, size_t size, size_t *offset, size_t length,
                       struct pack_text *text) {
    if (*offset > size || length > size - *offset) return false;
    text->bytes = (const char *)table + *offset;
    text->size = length;
    *offset += length + pack_padding(length);
    return text_is_utf8(text->bytes, length);
}

static bool parse_table(struct pack_reader *reader, size_t size, struct failure *failure) {
    const unsigned char *table = reader->table.bytes;
    if (size < 8) return damaged(failure, "its tensor table is cut short");
    uint32_t count = u32_at(table);
    if (count > PACK_MAX_TENSORS) return damaged(failure, "it lists too many tensors");
    size_t offset = 8;
    for (uint32_t i = 0; i < count; i++) {
        struct pack_tensor *tensor = &reader->tensors[i];
        if (offset > size || size - offset < 16)
            return damaged(failure, "its tensor table is cut short");
        tensor->dtype = u32_at(table + offset);
        tensor->rank = u32_at(table + offset + 4);
        size_t name_bytes = u32_at(table + offset + 8);
        size_t signature_bytes = u32_at(table + offset + 12);
        offset += 16;
        if (tensor->rank > PACK_MAX_RANK || pack_element_bytes(tensor->dtype) == 0)
            return damaged(failure, "it lists a tensor of an unknown type or too many axes");
        if (size - offset < 8 * (size_t)tensor->rank)
            return damaged(failure, "its tensor table is cut short");
        for (uint32_t axis = 0; axis < tensor->rank; axis++, offset += 8)
            tensor->dims[axis] = u64_at(table + offset);
        if (!parse_text(table, size, &offset, name_bytes, &tensor->name) ||
            !parse_text(table, size, &offset, signature_bytes, &tensor->signature_name))
            return damaged(failure, "a tensor's name is cut short or not UTF-8");
    }
    reader->tensor_count = count;
    return true;
}

static bool read_section(struct pack_reader *reader, uint64_t limit, const char *what,
                         uint64_t *size, uint32_t *crc, struct failure *failure) {
    unsigned char head[8];
    if (!read_exactly(reader, head, sizeof head, what, failure)) return false;
    *size = u64_at(head);
    if (*size > limit)
        return fail(failure, STAGE_INPUTS, "the input pack is damaged: its %s claims %llu bytes",
                    what, (unsigned long long)*size);
    size_t padded = (size_t)*size + pack_padding(*size);
    if (!read_into(reader, &reader->table, padded, what, failure)) return false;
    *crc = crc32_add(crc32_add(*crc, head, sizeof head), reader->table.bytes, padded);
    return true;
}

bool pack_read_header(struct pack_reader *reader, struct failure *failure) {
    unsigned char magic[PACK_MAGIC_BYTES], tail[8];
    if (!read_exactly(reader, magic, sizeof magic, "first eight bytes", failure)) return false;
    if (memcmp(magic, PACK_MAGIC, sizeof magic) != 0)
        return fail(failure, STAGE_INPUTS, "this is not an input pack of version %s", PACK_MAGIC);
    uint32_t crc = 0;
    uint64_t size;
    /* What the pack says of itself matters to whoever wrote it, and is only checked here. */
    if (!read_section(reader, PACK_MAX_ABOUT_BYTES, "description", &size, &crc, failure))
        return false;
    if (!read_section(reader, PACK_MAX_TABLE_BYTES, "tensor table", &size, &crc, failure))
        return false;
    if (!read_exactly(reader, tail, sizeof tail, "header", failure)) return false;
    if (u32_at(tail) != crc) return damaged(failure, "the checksum of its header does not match");
    return parse_table(reader, (size_t)size, failure);
}

static bool parse_payload(struct pack_reader *reader, size_t size, struct pack_value *values,
                          struct failure *failure) {
    size_t offset = 0;
    for (uint32_t i = 0; i < reader->tensor_count; i++) {
        const struct pack_tensor *tensor = &reader->tensors[i];
        if (size - offset < 8 * (size_t)tensor->rank)
            return damaged(failure, "a sample is too short for its tensors");
        for (uint32_t axis = 0; axis < tensor->rank; axis++, offset += 8)
            values[i].dims[axis] = u64_at(reader->payload.bytes + offset);
        uint64_t bytes;
        if (!pack_tensor_bytes(tensor->dtype, values[i].dims, tensor->rank, &bytes) ||
            bytes > size - offset)
            return damaged(failure, "a sample is too short for its tensors");
        values[i].data = reader->payload.bytes + offset;
        values[i].bytes = bytes;
        /* The payload is whole words, so the padding is inside it too. */
        offset += (size_t)bytes + pack_padding(bytes);
    }
    if (offset != size) return damaged(failure, "a sample is longer than its tensors");
    return true;
}

enum pack_next pack_read_sample(struct pack_reader *reader, uint64_t *index,
                                struct pack_value *values, struct failure *failure) {
    unsigned char head[32], tail[8];
    if (!read_exactly(reader, head, sizeof head, "sample list", failure)) return PACK_DAMAGED;
    uint32_t tag = u32_at(head), status = u32_at(head + 4);
    *index = u64_at(head + 8);
    uint64_t size = u64_at(head + 24);
    if ((tag != PACK_TAG_SAMPLE && tag != PACK_TAG_DONE) || size > PACK_MAX_PAYLOAD_BYTES ||
        size % 8 != 0) {
        damaged(failure, "a sample begins with something else");
        return PACK_DAMAGED;
    }
    if (size > SIZE_MAX / 2) {
        fail(failure, STAGE_INPUTS, "a sample of %llu bytes is too large for this machine",
             (unsigned long long)size);
        return PACK_DAMAGED;
    }
    if (!read_into(reader, &reader->payload, (size_t)size, "sample", failure) ||
        !read_exactly(reader, tail, sizeof tail, "sample", failure))
        return PACK_DAMAGED;
    uint32_t crc = crc32_add(0, head, sizeof head);
    if (u32_at(tail) != crc32_add(crc, reader->payload.bytes, (size_t)size)) {
        damaged(failure, "the checksum of a sample does not match");
        return PACK_DAMAGED;
    }
    if (tag == PACK_TAG_DONE) {
        if (*index == reader->samples) return PACK_END;
        fail(failure, STAGE_INPUTS, "the input pack says it has %llu samples but holds %llu",
             (unsigned long long)*index, (unsigned long long)reader->samples);
        return PACK_DAMAGED;
    }
    if (status != PACK_STATUS_OK) {
        damaged(failure, "it holds a sample that is marked as failed");
        return PACK_DAMAGED;
    }
    if (reader->samples > 0 && *index <= reader->last_index) {
        damaged(failure, "its samples are not in rising order");
        return PACK_DAMAGED;
    }
    if (!parse_payload(reader, (size_t)size, values, failure)) return PACK_DAMAGED;
    reader->samples++;
    reader->last_index = *index;
    return PACK_SAMPLE;
}

void pack_reader_free(struct pack_reader *reader) {
    free(reader->table.bytes);
    free(reader->payload.bytes);
}
