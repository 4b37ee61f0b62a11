/* The CRC-32 of zlib, gzip and PNG (reflected polynomial 0xEDB88320). */
#ifndef DEVDIFF_CRC32_H
#define DEVDIFF_CRC32_H

#include "platform.h"

/* Must be called once before crc32_add. */
void crc32_setup(void);

/* Continues `crc` (0 to begin) over `size` bytes. */
uint32_t crc32_add(uint32_t crc, const void *data, size_t size);

#endif
