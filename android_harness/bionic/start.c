/* The first instructions of the runner on Android: what crtbegin is for programs of the NDK. */
#include "libc.h"

int main(int count, char **words, char **environment);

/* The arrays of functions to run before and after main. The dynamic linker runs those before by
 * itself, there are none after, and later releases added members, so there are more zeros here
 * than any release reads. */
static const struct {
    void *arrays[8];
} structors;

/* Hands over to bionic, which sets up itself, calls main and exits. */
__attribute__((noreturn)) void __libc_init(void *raw, void (*onexit)(void),
                                           int (*program)(int, char **, char **),
                                           const void *arrays);

__attribute__((noreturn, used)) void start_main(void *raw);

void start_main(void *raw) { __libc_init(raw, NULL, main, &structors); }

/* The kernel leaves argc, argv and the rest at the stack pointer, and no frame to return to. */
#if defined(__aarch64__)
__asm__(".text\n"
        ".globl _start\n"
        ".type _start,%function\n"
        "_start:\n"
        "  hint #34\n" /* a landing pad where branch targets are checked */
        "  mov x29, #0\n"
        "  mov x30, #0\n"
        "  mov x0, sp\n"
        "  b start_main\n"
        ".size _start, .-_start\n");
#elif defined(__arm__)
__asm__(".text\n"
        ".globl _start\n"
        ".type _start,%function\n"
        "_start:\n"
        "  mov r0, #0\n"
        "  mov r11, r0\n"
        "  mov lr, r0\n"
        "  mov r0, sp\n"
        "  b start_main\n"
        ".size _start, .-_start\n");
#elif defined(__x86_64__)
__asm__(".text\n"
        ".globl _start\n"
        ".type _start,@function\n"
        "_start:\n"
        "  xorl %ebp, %ebp\n"
        "  movq %rsp, %rdi\n"
        "  andq $-16, %rsp\n"
        "  callq start_main\n"
        ".size _start, .-_start\n");
#else
#error "no start code for this architecture"
#endif
