#include "sha256.h"

#define BLOCK 64

static const uint32_t round_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t turned(uint32_t value, int bits) { return value >> bits | value << (32 - bits); }

static void add_block(uint32_t state[8], const unsigned char *block) {
    uint32_t words[64];
    for (int i = 0; i < 16; i++, block += 4)
        words[i] = (uint32_t)block[0] << 24 | (uint32_t)block[1] << 16 | (uint32_t)block[2] << 8 |
                   block[3];
    for (int i = 16; i < 64; i++) {
        uint32_t near = words[i - 2], far = words[i - 15];
        words[i] = words[i - 16] + words[i - 7] + (turned(far, 7) ^ turned(far, 18) ^ far >> 3) +
                   (turned(near, 17) ^ turned(near, 19) ^ near >> 10);
    }
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
    for (int i = 0; i < 64; i++) {
        uint32_t first = h + (turned(e, 6) ^ turned(e, 11) ^ turned(e, 25)) +
                         ((e & f) ^ (~e & g)) + round_constants[i] + words[i];
        uint32_t second = (turned(a, 2) ^ turned(a, 13) ^ turned(a, 22)) +
                          ((a & b) ^ (a & c) ^ (b & c));
        h = g, g = f, f = e, e = d + first;
        d = c, c = b, b = a, a = first + second;
    }
    state[0] += a, state[1] += b, state[2] += c, state[3] += d;
    state[4] += e, state[5] += f, state[6] += g, state[7] += h;
}

/* Fills the buffer but at the end of the file; -1 with errno set when reading fails. */
static ptrdiff_t fill(int descriptor, unsigned char *buffer, size_t size) {
    size_t have = 0;
    while (have < size) {
        ssize_t got = read(descriptor, buffer + have, size - have);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return -1;
        if (got == 0) break;
        have += (size_t)got;
    }
    return (ptrdiff_t)have;
}

bool sha256_file(const char *path, char digest[SHA256_HEX + 1]) {
    static unsigned char buffer[BLOCK * 1024 + 2 * BLOCK];
    uint32_t state[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                         0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    uint64_t total = 0;
    int descriptor = file_open(path, O_RDONLY);
    if (descriptor < 0) return false;
    for (;;) {
        ptrdiff_t got = fill(descriptor, buffer, BLOCK * 1024);
        if (got < 0) {
            int reason = errno;
            close(descriptor);
            errno = reason;
            return false;
        }
        size_t size = (size_t)got;
        total += size;
        bool last = size < BLOCK * 1024;
        if (last) {
            /* A one bit, zeros up to the end of a block, and in its last eight bytes the length. */
            size_t end = (size + 8) / BLOCK * BLOCK + BLOCK;
            memset(buffer + size, 0, end - size);
            buffer[size] = 0x80;
            for (int i = 0; i < 8; i++)
                buffer[end - 1 - (size_t)i] = (unsigned char)(total * 8 >> (8 * i));
            size = end;
        }
        for (size_t at = 0; at < size; at += BLOCK) add_block(state, buffer + at);
        if (last) break;
    }
    close(descriptor);
    for (int i = 0; i < 8; i++) snprintf(digest + 8 * i, 9, "%08x", state[i]);
    return true;
}
