#include "cpu.h"

/* x86 kernels list some hundred flags, most of which (power, virtualisation) decide no result. */
static bool matters(const char *flag, size_t size) {
#if defined(__x86_64__) || defined(__i386__)
    static const char *const prefixes[] = {"sse", "pni",   "ssse3", "avx",    "fma",  "f16c", "amx",
                                           "bmi", "popcnt", "gfni", "vaes", "vpclmulqdq"};
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        size_t length = strlen(prefixes[i]);
        if (size >= length && memcmp(flag, prefixes[i], length) == 0) return true;
    }
    return false;
#else
    (void)flag;
    return size > 0;
#endif
}

/* Finds the value of the first "flags: ..." (x86) or "Features: ..." (ARM) line. */
static const char *feature_line(const char *info, size_t *size) {
    const char *line = info;
    while (line != NULL && *line != '\0') {
        const char *end = strchr(line, '\n');
        if (strncmp(line, "flags", 5) == 0 || strncmp(line, "Features", 8) == 0) {
            const char *colon = strchr(line, ':');
            if (colon == NULL || (end != NULL && colon > end)) return NULL;
            *size = end == NULL ? strlen(colon + 1) : (size_t)(end - colon - 1);
            return colon + 1;
        }
        line = end == NULL ? NULL : end + 1;
    }
    return NULL;
}

void cpu_features_json(struct text *text) {
    static char info[16384];
    size_t have = 0;
    int file = file_open("/proc/cpuinfo", O_RDONLY);
    if (file >= 0) {
        ssize_t got;
        while (have < sizeof info - 1 &&
               (got = read(file, info + have, sizeof info - 1 - have)) > 0)
            have += (size_t)got;
        close(file);
    }
    info[have] = '\0';
    size_t size = 0;
    const char *line = feature_line(info, &size);
    const char *separator = "";
    text_add(text, "[", 1);
    for (size_t at = 0; line != NULL && at < size;) {
        size_t length = 0;
        while (at + length < size && line[at + length] > ' ') length++;
        if (length > 0 && matters(line + at, length)) {
            text_format(text, "%s\"%.*s\"", separator, (int)length, line + at);
            separator = ",";
        }
        at += length + 1;
    }
    text_add(text, "]", 1);
}
