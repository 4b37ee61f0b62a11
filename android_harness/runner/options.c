#include "options.h"

#define MAX_THREADS 256

static bool parse_threads(const char *text, int *threads, struct failure *failure) {
    char *end;
    long value = strtol(text, &end, 10);
    if (*text == '\0' || *end != '\0' || value < 1 || value > MAX_THREADS)
        return fail(failure, STAGE_USAGE, "--threads takes a number from 1 to %d, not '%s'",
                    MAX_THREADS, text);
    *threads = (int)value;
    return true;
}

static bool parse_first(const char *text, uint64_t *first, struct failure *failure) {
    char *end;
    unsigned long long value = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || value > INT64_MAX)
        return fail(failure, STAGE_USAGE, "--first takes a sample's index, not '%s'", text);
    *first = value;
    return true;
}

static bool parse_delegate(const char *text, enum delegate *delegate, struct failure *failure) {
    for (enum delegate each = DELEGATE_NONE; each <= DELEGATE_NNAPI; each++)
        if (strcmp(text, delegate_option(each)) == 0) {
            *delegate = each;
            return true;
        }
    return fail(failure, STAGE_USAGE, "--delegate takes none, xnnpack, gpu or nnapi, not '%s'",
                text);
}

static bool parse_word(const char *word, const char *value, struct run_options *options,
                       const char **check, struct failure *failure) {
    struct request *request = &options->request;
    const struct {
        const char *word;
        const char **value;
    } texts[] = {
        {"--runtime", &request->library},
        {"--model", &request->model},
        {"--inputs", &options->inputs},
        {"--results", &options->results},
        {"--delegate-library", &request->delegate_library},
        {"--check-inputs", check},
    };
    bool delegate = strcmp(word, "--delegate") == 0, threads = strcmp(word, "--threads") == 0,
         first = strcmp(word, "--first") == 0;
    const char **text = NULL;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (strcmp(word, texts[i].word) == 0) text = texts[i].value;
    if (text == NULL && !delegate && !threads && !first)
        return fail(failure, STAGE_USAGE, "unknown option '%s'", word);
    if (value == NULL) return fail(failure, STAGE_USAGE, "%s needs a value", word);
    if (delegate) return parse_delegate(value, &request->delegate, failure);
    if (threads) return parse_threads(value, &request->threads, failure);
    if (first) return parse_first(value, &options->first, failure);
    *text = value;
    return true;
}

/* A bare name would be searched for along the linker's path. */
static bool absolute(const char *word, const char *path, struct failure *failure) {
    if (path[0] == '/') return true;
    return fail(failure, STAGE_USAGE, "%s needs an absolute path, not '%s'", word, path);
}

bool options_parse(int count, char **words, struct run_options *options, const char **check,
                   struct failure *failure) {
    struct request *request = &options->request;
    int answer = options->answer;
    memset(options, 0, sizeof *options);
    options->answer = answer;
    *check = NULL;
    request->delegate = DELEGATE_NONE;
    request->threads = 1;
    for (int i = 1; i < count; i += 2)
        if (!parse_word(words[i], i + 1 < count ? words[i + 1] : NULL, options, check, failure))
            return false;
    if (*check != NULL) return true;
    if (request->library == NULL || request->model == NULL || options->inputs == NULL ||
        options->results == NULL)
        return fail(failure, STAGE_USAGE,
                    "--runtime, --model, --inputs and --results are needed");
    return absolute("--runtime", request->library, failure) &&
           (request->delegate_library == NULL ||
            absolute("--delegate-library", request->delegate_library, failure));
}
