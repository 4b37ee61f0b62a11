/* What the runner uses of the operating system, and nothing else.
 *
 * Every source file includes this header instead of libc's, so that a platform without usable
 * headers needs only its own branch here. No thread-local storage is used, because Android's
 * linker before version 10 refuses programs with it.
 */
#ifndef DEVDIFF_PLATFORM_H
#define DEVDIFF_PLATFORM_H

#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(DEVDIFF_OWN_LIBC_H) /* Android without its NDK, see build.py */
#include "../bionic/libc.h"
#else
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#endif

#if !defined(__BYTE_ORDER__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "packs are little-endian and so must the machine be"
#endif

#define PRINTF_LIKE(text, first) __attribute__((format(printf, text, first)))

#if defined(__x86_64__)
#define PLATFORM_ARCH "x86_64"
#elif defined(__i386__)
#define PLATFORM_ARCH "x86"
#elif defined(__aarch64__)
#define PLATFORM_ARCH "aarch64"
#elif defined(__arm__)
#define PLATFORM_ARCH "arm"
#else
#error "unknown architecture"
#endif

#if defined(__ANDROID__)
#define PLATFORM_OS "android"
#else
#define PLATFORM_OS "linux"
#endif

/* Files of more than 2 GB on 32 bits: Android has the functions for them only under these names,
 * and takes the flag only there. */
#if defined(O_LARGEFILE)
#define PLATFORM_LARGE O_LARGEFILE
#else
#define PLATFORM_LARGE 0
#endif

static inline int file_open(const char *path, int flags) {
    return open(path, flags | O_CLOEXEC | PLATFORM_LARGE, 0666);
}

static inline int64_t file_size(int descriptor) {
#if defined(__ANDROID__)
    return lseek64(descriptor, 0, SEEK_END);
#else
    return lseek(descriptor, 0, SEEK_END);
#endif
}

static inline int file_cut(int descriptor, uint64_t size) {
#if defined(__ANDROID__)
    return ftruncate64(descriptor, (int64_t)size);
#else
    return ftruncate(descriptor, (off_t)size);
#endif
}

#endif
