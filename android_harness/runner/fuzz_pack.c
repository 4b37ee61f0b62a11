/* libFuzzer's entry to the pack parser; with -DFUZZ_STANDALONE a program that parses standard
 * input. */
#include "crc32.h"
#include "pack_read.h"

struct memory {
    const uint8_t *bytes;
    size_t left;
};

static ptrdiff_t pull(void *source, void *to, size_t size) {
    struct memory *memory = source;
    if (size > memory->left) size = memory->left;
    if (size > 0) memcpy(to, memory->bytes, size);
    memory->bytes += size;
    memory->left -= size;
    return (ptrdiff_t)size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct pack_value values[PACK_MAX_TENSORS];
    static struct pack_reader reader;
    struct memory memory = {data, size};
    struct failure failure;
    uint64_t index;
    crc32_setup();
    memset(&reader, 0, sizeof reader);
    reader.pull = pull;
    reader.source = &memory;
    if (pack_read_header(&reader, &failure))
        while (pack_read_sample(&reader, &index, values, &failure) == PACK_SAMPLE)
            /* Touch every byte the parser vouches for. */
            for (uint32_t i = 0; i < reader.tensor_count; i++)
                (void)crc32_add(0, values[i].data, (size_t)values[i].bytes);
    pack_reader_free(&reader);
    return 0;
}

#ifndef FUZZ_STANDALONE
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t room);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t room, unsigned int seed);

/* Makes the checksum of the bytes between right. False when there is no room for it. */
static bool seal(uint8_t *data, size_t size, size_t start, size_t end) {
    if (size - end < 8) return false;
    uint32_t crc = crc32_add(0, data + start, end - start);
    memcpy(data + end, &crc, sizeof crc);
    return true;
}

/* The size that is stored at `at`, and that as much follows it; false when it does not. */
static bool sized(const uint8_t *data, size_t size, size_t at, size_t *follows) {
    uint64_t stored;
    if (size - at < 8) return false;
    memcpy(&stored, data + at, sizeof stored);
    if (stored > size - at - 8) return false;
    *follows = (size_t)stored + pack_padding(stored);
    return *follows <= size - at - 8;
}

static void seal_all(uint8_t *data, size_t size) {
    size_t at = PACK_MAGIC_BYTES, follows;
    if (size < at) return;
    for (int section = 0; section < 2; section++, at += 8 + follows)
        if (!sized(data, size, at, &follows)) return;
    if (!seal(data, size, PACK_MAGIC_BYTES, at)) return;
    for (at += 8; size - at >= 32; at += 32 + follows + 8)
        if (!sized(data, size, at + 24, &follows) || !seal(data, size, at, at + 32 + follows))
            return;
}

/* Checksums would turn nearly every mutant away before the parser has seen it. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t room, unsigned int seed) {
    size = LLVMFuzzerMutate(data, size, room);
    crc32_setup();
    if (seed % 8 != 0) seal_all(data, size);
    return size;
}
#else
int main(void) {
    static uint8_t data[1 << 22];
    size_t have = 0;
    ssize_t got;
    while (have < sizeof data && (got = read(STDIN_FILENO, data + have, sizeof data - have)) > 0)
        have += (size_t)got;
    return LLVMFuzzerTestOneInput(data, have);
}
#endif
