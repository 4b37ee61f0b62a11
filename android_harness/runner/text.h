/* A bounded text being built, and JSON in it. Overflow is remembered, never written past. */
#ifndef DEVDIFF_TEXT_H
#define DEVDIFF_TEXT_H

#include "platform.h"

struct text {
    char *bytes;
    size_t capacity, used;
    bool overflow;
};

/* `bytes` always ends with a zero. */
void text_begin(struct text *text, char *bytes, size_t capacity);
void text_add(struct text *text, const char *bytes, size_t size);
void text_format(struct text *text, const char *format, ...) PRINTF_LIKE(2, 3);

/* Strict UTF-8: no overlong forms, no surrogates, nothing cut short. */
bool text_is_utf8(const char *bytes, size_t size);

/* A JSON string with its quotes, or null when `value` is NULL. In a value that is not UTF-8 (a
 * library's message, a path) every byte outside ASCII becomes '?'. */
void text_json_string(struct text *text, const char *value);

/* A JSON number, or null when negative. */
void text_json_count(struct text *text, long value);

#endif
