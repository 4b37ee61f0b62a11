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
#include "options.h"
#include "sha256.h"

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
    struct run_options options;
    const char *check;
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
    if (!options_parse(count, words, &options, &check, &failure)) return report(&options, &failure);
    /* Who feeds the inputs wants the results: a model that never ends must not outlive them. */
    if (options.inputs != NULL && strcmp(options.inputs, "-") == 0)
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    bool done = check != NULL ? run_check(check, &failure) : run_model(&options, &failure);
    int code = done ? 0 : report(&options, &failure);
    /* Without running a library's destructors: the results are in the file, and threads of some
     * runtimes do not survive an orderly exit. */
    _exit(code);
}
