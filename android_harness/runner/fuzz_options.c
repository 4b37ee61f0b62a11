/* libFuzzer's entry to the command line: the input is words, each ended by a zero. What the runner
 * answers to a wrong one has to be a whole line of JSON, too. */
#include "about.h"
#include "options.h"
#include "text.h"

#define MAX_WORDS 24

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static char line[ABOUT_BYTES];
    char *words[MAX_WORDS + 2] = {NULL};
    struct run_options options = {0};
    struct failure failure;
    const char *check;
    int count = 1;
    /* Exactly as long as its words are: a read past the last of them is seen. */
    char *text = malloc(size + 1);
    if (text == NULL) return 0;
    if (size > 0) memcpy(text, data, size);
    text[size] = '\0';
    words[0] = text + size;
    for (size_t at = 0; at < size && count <= MAX_WORDS; at += strlen(text + at) + 1)
        words[count++] = text + at;
    if (options_parse(count, words, &options, &check, &failure)) {
        if (check == NULL && (options.request.library[0] != '/' || options.request.model == NULL ||
                              options.request.threads < 1))
            abort();
    } else {
        about_failure(line, sizeof line, &failure);
        size_t length = strlen(line);
        if (length == 0 || line[length - 1] != '}' || !text_is_utf8(line, length)) abort();
    }
    free(text);
    return 0;
}
