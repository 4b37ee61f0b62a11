/* A fuzzing entry for the pack parser: libFuzzer's, and with -DFUZZ_STANDALONE a program that
 * parses standard input. */
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

#ifdef FUZZ_STANDALONE
int main(void) {
    static uint8_t data[1 << 22];
    size_t have = 0;
    ssize_t got;
    while (have < sizeof data && (got = read(STDIN_FILENO, data + have, sizeof data - have)) > 0)
        have += (size_t)got;
    return LLVMFuzzerTestOneInput(data, have);
}
#endif
