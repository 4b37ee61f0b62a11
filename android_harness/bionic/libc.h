/* What the runner needs of Android's C library, in prototypes of its own.
 *
 * No Android headers are installed where the runner is built, and another C library's would be
 * wrong where it matters: on 32-bit Android off_t has 32 bits, RTLD_NOW is 0, and errno is reached
 * through __errno(). Numbers are the kernel's, which are the same on arm, arm64 and x86-64, but
 * for O_LARGEFILE. Every function here is listed in android_harness/stubs.py.
 */
#ifndef DEVDIFF_BIONIC_LIBC_H
#define DEVDIFF_BIONIC_LIBC_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

typedef long ssize_t;
typedef int pid_t;
typedef long off_t;
typedef int64_t off64_t;
typedef int clockid_t;

struct timespec {
    long tv_sec;
    long tv_nsec;
};

/* errno.h */
int *__errno(void);
#define errno (*__errno())
#define EINTR 4
#define ENOSPC 28

/* fcntl.h, unistd.h */
#define O_RDONLY 0
#define O_WRONLY 1
#define O_CREAT 0100
#define O_TRUNC 01000
#define O_CLOEXEC 02000000
#if defined(__arm__) || defined(__aarch64__)
#define O_LARGEFILE 0400000
#else
#define O_LARGEFILE 0100000
#endif
#define F_DUPFD_CLOEXEC 1030
#define STDIN_FILENO 0
#define STDOUT_FILENO 1
#define STDERR_FILENO 2
#define SEEK_END 2
#define R_OK 4
int open(const char *path, int flags, ...);
int fcntl(int descriptor, int command, ...);
ssize_t read(int descriptor, void *to, size_t size);
ssize_t write(int descriptor, const void *from, size_t size);
off64_t lseek64(int descriptor, off64_t offset, int whence);
int ftruncate64(int descriptor, off64_t size);
int close(int descriptor);
int access(const char *path, int mode);
int dup2(int old, int wanted);
int pipe(int ends[2]);
pid_t fork(void);
pid_t getppid(void);
unsigned alarm(unsigned seconds);
__attribute__((noreturn)) void _exit(int code);

/* sys/mman.h, sys/prctl.h, sys/wait.h, signal.h, time.h */
#define PROT_READ 1
#define MAP_PRIVATE 2
#define MAP_FAILED ((void *)-1)
#define PR_SET_PDEATHSIG 1
#define SIGILL 4
#define SIGTRAP 5
#define SIGABRT 6
#define SIGBUS 7
#define SIGFPE 8
#define SIGKILL 9
#define SIGSEGV 11
#define SIG_DFL ((void (*)(int))0)
#define CLOCK_MONOTONIC 1
void *mmap(void *address, size_t size, int protection, int flags, int descriptor, off_t offset);
int munmap(void *address, size_t size);
int prctl(int option, ...);
pid_t waitpid(pid_t child, int *status, int options);
void (*signal(int number, void (*handler)(int)))(int);
int clock_gettime(clockid_t clock, struct timespec *time);

/* stdio.h, stdlib.h, string.h */
int snprintf(char *to, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
int vsnprintf(char *to, size_t size, const char *format, va_list arguments)
    __attribute__((format(printf, 3, 0)));
void *calloc(size_t count, size_t size);
void *realloc(void *block, size_t size);
void free(void *block);
long strtol(const char *text, char **end, int base);
unsigned long long strtoull(const char *text, char **end, int base);
int memcmp(const void *left, const void *right, size_t size);
void *memcpy(void *restrict to, const void *restrict from, size_t size);
void *memmove(void *to, const void *from, size_t size);
void *memset(void *to, int byte, size_t size);
char *strchr(const char *text, int wanted);
int strcmp(const char *left, const char *right);
char *strerror(int number);
size_t strlen(const char *text);
int strncmp(const char *left, const char *right, size_t size);
char *strrchr(const char *text, int wanted);
char *strstr(const char *text, const char *wanted);

/* Compiled without a C library of its own, the compiler takes these for any functions; said this
 * way, it still reads a word with one instruction. */
#define memcmp(left, right, size) __builtin_memcmp(left, right, size)
#define memcpy(to, from, size) __builtin_memcpy(to, from, size)
#define memset(to, byte, size) __builtin_memset(to, byte, size)

/* dlfcn.h */
#if defined(__LP64__)
#define RTLD_NOW 2
#else
#define RTLD_NOW 0
#endif
#define RTLD_LOCAL 0
void *dlopen(const char *path, int flags);
void *dlsym(void *library, const char *name);
char *dlerror(void);

#endif
