/* SHA-256 (FIPS 180-4), for devices that have no tool to hash a file. */
#ifndef DEVDIFF_SHA256_H
#define DEVDIFF_SHA256_H

#include "platform.h"

#define SHA256_HEX 64 /* characters of a digest as text */

/* Writes the digest of a file's content and a zero. False, with errno set, when it cannot be read. */
bool sha256_file(const char *path, char digest[SHA256_HEX + 1]);

#endif
