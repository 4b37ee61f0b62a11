/* devdiff-runner: runs one model over one input pack with a runtime library loaded by path.
 *
 *   devdiff-runner --about
 *   devdiff-runner --check-inputs FILE|-
 *   devdiff-runner --sha256 FILE...
 *   devdiff-runner --runtime LIB --model FILE --inputs FILE|- --results FILE|-
 *                  [--delegate none|xnnpack|gpu|nnapi] [--delegate-library LIB]
 *                  [--threads N] [--first INDEX]
 *
 * Standard output carries exactly one line of JSON, but for a run that fails after its model was
 * prepared: then a second line says why. With --results - it carries the result pack instead, and
 * standard error the JSON. With --sha256 it carries a line for each file. Exit codes are those of
 * enum stage.
 */
#include "about.h"
#include "crc32.h"
#include "run.h"
#include "sha256.h"

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

static bool parse(int count, char **words, struct run_options *options, const char **check,
                  struct failure *failure) {
    struct request *request = &options->request;
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

static int report(const struct run_options *options, const struct failure *failure) {
    static char line[ABOUT_BYTES];
    struct failure ignored;
    bool taken = options->results != NULL && strcmp(options->results, "-") == 0;
    about_failure(line, sizeof line, failure);
    (void)run_answer(taken ? STDERR_FILENO : options->answer, line, &ignored);
    return (int)failure->stage;
}

/* One line a file, as sha256sum prints it; files that cannot be read are passed over. */
static int print_hashes(int answer, char **paths) {
    static char line[ABOUT_BYTES];
    struct failure failure;
    char digest[SHA256_HEX + 1];
    int code = 0;
    for (; *paths != NULL; paths++) {
        if (sha256_file(*paths, digest) &&
            (size_t)snprintf(line, sizeof line, "%s  %s", digest, *paths) < sizeof line) {
            if (!run_answer(answer, line, &failure)) return (int)failure.stage;
        } else {
            code = STAGE_INPUTS;
        }
    }
    return code;
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
    if (count >= 3 && strcmp(words[1], "--sha256") == 0)
        return print_hashes(options.answer, words + 2);
    if (!parse(count, words, &options, &check, &failure)) return report(&options, &failure);
    bool done = check != NULL ? run_check(check, &failure) : run_model(&options, &failure);
    int code = done ? 0 : report(&options, &failure);
    /* Without running a library's destructors: the results are in the file, and threads of some
     * runtimes do not survive an orderly exit. */
    _exit(code);
}
