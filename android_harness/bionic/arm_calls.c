/* On 32-bit ARM the compiler calls the memory functions by the names of ARM's run-time ABI, with
 * that ABI's order of arguments. Not every Android has all of them, so they are here. */
#if defined(__arm__)
#define NAME(name) ".globl " name "\n.hidden " name "\n.type " name ",%function\n" name ":\n"
#define NAMES(name) NAME(name) NAME(name "4") NAME(name "8")

__asm__(".text\n"
        NAMES("__aeabi_memcpy")
        "  b memcpy\n"
        NAMES("__aeabi_memmove")
        "  b memmove\n"
        NAMES("__aeabi_memset") /* address, size, byte */
        "  mov r3, r1\n"
        "  mov r1, r2\n"
        "  mov r2, r3\n"
        "  b memset\n"
        NAMES("__aeabi_memclr") /* address, size */
        "  mov r2, r1\n"
        "  mov r1, #0\n"
        "  b memset\n");
#endif

/* A file with nothing in it is not C. */
typedef int only_for_arm;
