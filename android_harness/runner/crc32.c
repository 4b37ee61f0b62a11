#include "crc32.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

/* table[k][b] is the effect of byte b followed by k zero bytes: eight bytes are then eight
 * independent look-ups. One byte at a time would cost more than a small model's inference. */
static uint32_t table[8][256];

void crc32_setup(void) {
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t value = byte;
        for (int bit = 0; bit < 8; bit++)
            value = (value >> 1) ^ ((value & 1) ? 0xEDB88320u : 0);
        table[0][byte] = value;
    }
    for (uint32_t byte = 0; byte < 256; byte++)
        for (int k = 1; k < 8; k++)
            table[k][byte] = (table[k - 1][byte] >> 8) ^ table[0][table[k - 1][byte] & 255];
}

/* Continues a crc in its inverted form. */
static uint32_t add_by_table(uint32_t crc, const unsigned char *bytes, size_t size) {
    for (; size >= 8; size -= 8, bytes += 8) {
        uint32_t low, high;
        memcpy(&low, bytes, 4);
        memcpy(&high, bytes + 4, 4);
        low ^= crc;
        crc = table[7][low & 255] ^ table[6][(low >> 8) & 255] ^ table[5][(low >> 16) & 255] ^
              table[4][low >> 24] ^ table[3][high & 255] ^ table[2][(high >> 8) & 255] ^
              table[1][(high >> 16) & 255] ^ table[0][high >> 24];
    }
    for (; size > 0; size--, bytes++)
        crc = (crc >> 8) ^ table[0][(crc ^ *bytes) & 255];
    return crc;
}

#if defined(__x86_64__)
/* Folding with carry-less multiplication, after Gopal et al., "Fast CRC Computation for Generic
 * Polynomials Using PCLMULQDQ Instruction", Intel 2009: what 64 or 16 bytes contribute is moved
 * over the next 64 or 16 by two multiplications. The 16 bytes that remain have the same remainder
 * as everything before them, and go through the table. */
#define FOLD_MIN_BYTES 64

static bool can_fold(void) {
    static int known; /* 0 not yet, 1 no, 2 yes */
    if (known == 0) {
        unsigned a, b, c = 0, d;
        known = __get_cpuid(1, &a, &b, &c, &d) && (c & bit_PCLMUL) ? 2 : 1;
    }
    return known == 2;
}

__attribute__((target("pclmul"))) static __m128i fold(__m128i value, __m128i over, __m128i next) {
    __m128i low = _mm_clmulepi64_si128(value, over, 0x00);
    __m128i high = _mm_clmulepi64_si128(value, over, 0x11);
    return _mm_xor_si128(_mm_xor_si128(low, high), next);
}

static __m128i load(const unsigned char *bytes) {
    return _mm_loadu_si128((const __m128i *)(const void *)bytes);
}

/* `size` is a multiple of 16 and at least FOLD_MIN_BYTES. */
__attribute__((target("pclmul"))) static uint32_t add_by_folding(uint32_t crc,
                                                                 const unsigned char *bytes,
                                                                 size_t size) {
    const __m128i over_64 = _mm_set_epi64x(0x1C6E41596, 0x154442BD4);
    const __m128i over_16 = _mm_set_epi64x(0x0CCAA009E, 0x1751997D0);
    __m128i lane[4];
    for (int i = 0; i < 4; i++) lane[i] = load(bytes + 16 * i);
    lane[0] = _mm_xor_si128(lane[0], _mm_cvtsi32_si128((int)crc));
    for (bytes += 64, size -= 64; size >= 64; bytes += 64, size -= 64)
        for (int i = 0; i < 4; i++) lane[i] = fold(lane[i], over_64, load(bytes + 16 * i));
    for (int i = 1; i < 4; i++) lane[i] = fold(lane[i - 1], over_16, lane[i]);
    for (; size >= 16; bytes += 16, size -= 16) lane[3] = fold(lane[3], over_16, load(bytes));
    unsigned char rest[16];
    _mm_storeu_si128((__m128i *)(void *)rest, lane[3]);
    return add_by_table(0, rest, sizeof rest);
}
#endif

uint32_t crc32_add(uint32_t crc, const void *data, size_t size) {
    const unsigned char *bytes = data;
    crc = ~crc;
#if defined(__x86_64__)
    if (size >= FOLD_MIN_BYTES && can_fold()) {
        size_t folded = size & ~(size_t)15;
        crc = add_by_folding(crc, bytes, folded);
        bytes += folded;
        size -= folded;
    }
#endif
    return ~add_by_table(crc, bytes, size);
}
