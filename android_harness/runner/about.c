#include "about.h"

#include "cpu.h"

static void begin(struct text *text, char *line, size_t capacity, bool ok) {
    text_begin(text, line, capacity);
    text_format(text, "{\"protocol\":%d,\"runner\":\"%s\",\"ok\":%s", RUNNER_PROTOCOL,
                RUNNER_VERSION, ok ? "true" : "false");
}

static void machine(struct text *text) {
    text_format(text, ",\"os\":\"%s\",\"arch\":\"%s\",\"cpu_features\":", PLATFORM_OS,
                PLATFORM_ARCH);
    cpu_features_json(text);
    text_format(text, ",\"pointer_bits\":%d}", (int)(8 * sizeof(void *)));
}

void about_self(char *line, size_t capacity) {
    struct text text;
    begin(&text, line, capacity, true);
    text_format(&text, ",\"pack\":\"%s\",\"apis\":[\"tflite\",\"litert\"]", PACK_MAGIC);
    machine(&text);
}

void about_run(char *line, size_t capacity, const struct backend *backend,
               const struct request *request) {
    struct text text;
    begin(&text, line, capacity, true);
    text_format(&text, ",\"api\":\"%s\",\"runtime_version\":", backend->api);
    text_json_string(&text, backend->version);
    text_format(&text, ",\"delegate\":\"%s\",\"delegate_library\":",
                delegate_option(request->delegate));
    text_json_string(&text, backend->delegate_library);
    text_format(&text, ",\"nodes_total\":");
    text_json_count(&text, backend->nodes_total);
    text_format(&text, ",\"nodes_delegated\":");
    text_json_count(&text, backend->nodes_delegated);
    text_format(&text, ",\"threads\":%d", request->threads);
    machine(&text);
}

void about_failure(char *line, size_t capacity, const struct failure *failure) {
    struct text text;
    begin(&text, line, capacity, false);
    text_format(&text, ",\"stage\":\"%s\",\"error\":", stage_name(failure->stage));
    text_json_string(&text, failure->text);
    text_add(&text, "}", 1);
}
