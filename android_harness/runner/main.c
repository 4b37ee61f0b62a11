/* devdiff-runner: runs one model over one input pack with a runtime library loaded by path.
 *
 *   devdiff-runner --about
 *   devdiff-runner --check-inputs FILE|-
 *   devdiff-runner --runtime LIB --model FILE --inputs FILE|- --results FILE|-
 *                  [--delegate none|xnnpack] [--threads N] [--first INDEX]
 *
 * Standard output carries exactly one line of JSON, but for a run that fails after its model was
 * prepared: then a second line says why. With --results - it carries the result pack instead, and
 * standard error the JSON. Exit codes are those of enum stage.
 */
#include "about.h"
#include "crc32.h"
#include "run.h"

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
    long value = strtol(text, &end, 10);
    if (*text == '\0' || *end != '\0' || value < 0)
        return fail(failure, STAGE_USAGE, "--first takes a sample's index, not '%s'", text);
    *first = (uint64_t)value;
    return true;
}

static bool parse_delegate(const char *text, enum delegate *delegate, struct failure *failure) {
    if (strcmp(text, "none") == 0)
        *delegate = DELEGATE_NONE;
    else if (strcmp(text, "xnnpack") == 0)
        *delegate = DELEGATE_XNNPACK;
    else
        return fail(failure, STAGE_USAGE, "--delegate takes none or xnnpack, not '%s'", text);
    return true;
}

static bool parse(int count, char **words, struct run_options *options, const char **check,
                  struct failure *failure) {
    options->request.delegate = DELEGATE_NONE;
    options->request.threads = 1;
    for (int i = 1; i < count; i += 2) {
        const char *word = words[i], *value = i + 1 < count ? words[i + 1] : NULL;
        const char **text = strcmp(word, "--runtime") == 0        ? &options->library
                            : strcmp(word, "--model") == 0        ? &options->request.model
                            : strcmp(word, "--inputs") == 0       ? &options->inputs
                            : strcmp(word, "--results") == 0      ? &options->results
                            : strcmp(word, "--check-inputs") == 0 ? check
                                                                  : NULL;
        bool other = strcmp(word, "--delegate") == 0 || strcmp(word, "--threads") == 0 ||
                     strcmp(word, "--first") == 0;
        if (text == NULL && !other)
            return fail(failure, STAGE_USAGE, "unknown option '%s'", word);
        if (value == NULL) return fail(failure, STAGE_USAGE, "%s needs a value", word);
        if (text != NULL)
            *text = value;
        else if (word[2] == 'd'   ? !parse_delegate(value, &options->request.delegate, failure)
                 : word[2] == 't' ? !parse_threads(value, &options->request.threads, failure)
                                  : !parse_first(value, &options->first, failure))
            return false;
    }
    if (*check != NULL) return true;
    if (options->library == NULL || options->request.model == NULL || options->inputs == NULL ||
        options->results == NULL)
        return fail(failure, STAGE_USAGE,
                    "--runtime, --model, --inputs and --results are needed");
    /* A bare name would be searched for along the linker's path. */
    if (options->library[0] != '/')
        return fail(failure, STAGE_USAGE, "--runtime needs an absolute path, not '%s'",
                    options->library);
    return true;
}

static int report(const struct run_options *options, const struct failure *failure) {
    static char line[ABOUT_BYTES];
    struct failure ignored;
    bool taken = options->results != NULL && strcmp(options->results, "-") == 0;
    about_failure(line, sizeof line, failure);
    (void)run_answer(taken ? STDERR_FILENO : options->answer, line, &ignored);
    return (int)failure->stage;
}

int main(int count, char **words) {
    static char line[ABOUT_BYTES];
    struct failure failure;
    struct run_options options = {0};
    const char *check = NULL;
    crc32_setup();
    /* A runtime library may print where it likes; standard output stays ours. */
    options.answer = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    if (options.answer < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0) return STAGE_RESULTS;
    if (count == 2 && strcmp(words[1], "--about") == 0) {
        about_self(line, sizeof line);
        return run_answer(options.answer, line, &failure) ? 0 : (int)failure.stage;
    }
    if (!parse(count, words, &options, &check, &failure)) return report(&options, &failure);
    bool done = check != NULL ? run_check(check, &failure) : run_model(&options, &failure);
    int code = done ? 0 : report(&options, &failure);
    /* Without running a library's destructors: the results are in the file, and threads of some
     * runtimes do not survive an orderly exit. */
    _exit(code);
}
