/* What the runner uses of the operating system, and nothing else.
 *
 * Every source file includes this header instead of libc's, so that a platform without usable
 * headers needs only its own branch here. Sizes and offsets stay within read/write/open/lseek,
 * and no thread-local storage is used, because not every platform's start code can set it up.
 */
#ifndef DEVDIFF_PLATFORM_H
#define DEVDIFF_PLATFORM_H

#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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

#endif
