#include "text.h"

void text_begin(struct text *text, char *bytes, size_t capacity) {
    text->bytes = bytes;
    text->capacity = capacity;
    text->used = 0;
    text->overflow = false;
    bytes[0] = '\0';
}

void text_add(struct text *text, const char *bytes, size_t size) {
    if (text->overflow || size >= text->capacity - text->used) {
        text->overflow = true;
        return;
    }
    memcpy(text->bytes + text->used, bytes, size);
    text->used += size;
    text->bytes[text->used] = '\0';
}

void text_format(struct text *text, const char *format, ...) {
    size_t left = text->capacity - text->used;
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(text->bytes + text->used, left, format, arguments);
    va_end(arguments);
    if (size < 0 || (size_t)size >= left) {
        text->overflow = true;
        text->bytes[text->used] = '\0';
        return;
    }
    text->used += (size_t)size;
}

bool text_is_utf8(const char *bytes, size_t size) {
    const unsigned char *text = (const unsigned char *)bytes;
    size_t at = 0;
    while (at < size) {
        uint32_t lead = text[at++];
        if (lead < 0x80) continue;
        int more = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : 1;
        if (lead < 0xC2 || lead > 0xF4 || size - at < (size_t)more) return false;
        uint32_t point = lead & (0x3Fu >> more);
        for (int i = 0; i < more; i++) {
            if ((text[at] & 0xC0) != 0x80) return false;
            point = point << 6 | (text[at++] & 0x3F);
        }
        if (more == 2 && (point < 0x800 || (point >= 0xD800 && point < 0xE000))) return false;
        if (more == 3 && (point < 0x10000 || point > 0x10FFFF)) return false;
    }
    return true;
}

void text_json_string(struct text *text, const char *value) {
    if (value == NULL) {
        text_add(text, "null", 4);
        return;
    }
    bool utf8 = text_is_utf8(value, strlen(value));
    text_add(text, "\"", 1);
    for (const char *at = value; *at != '\0'; at++) {
        unsigned char byte = (unsigned char)*at;
        if (byte == '"' || byte == '\\')
            text_format(text, "\\%c", byte);
        else if (byte < 0x20)
            text_format(text, "\\u%04x", byte);
        else
            text_add(text, byte < 0x7F || utf8 ? at : "?", 1);
    }
    text_add(text, "\"", 1);
}

void text_json_count(struct text *text, long value) {
    if (value < 0)
        text_add(text, "null", 4);
    else
        text_format(text, "%ld", value);
}
