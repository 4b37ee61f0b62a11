#include "delegate.h"

/* Before this release XNNPACK's options fit registers, see struct delegate_options. */
#define FIRST_XNNPACK_MAJOR 2
#define FIRST_XNNPACK_MINOR 13

#define MAX_PATH 1024

static const struct {
    const char *defaults, *create;
    const char *beside[2]; /* files that hold the delegate when the runtime library does not */
} known[] = {
    [DELEGATE_NONE] = {NULL, NULL, {NULL, NULL}},
    [DELEGATE_XNNPACK] = {"TfLiteXNNPackDelegateOptionsDefault", "TfLiteXNNPackDelegateCreate",
                          {NULL, NULL}},
    [DELEGATE_GPU] = {"TfLiteGpuDelegateOptionsV2Default", "TfLiteGpuDelegateV2Create",
                      {"libtensorflowlite_gpu_jni.so", "libtensorflowlite_gpu_delegate.so"}},
    [DELEGATE_NNAPI] = {"TfLiteNnapiDelegateOptionsDefault", "TfLiteNnapiDelegateCreate",
                        {"libnnapi_delegate.so", NULL}},
};

static bool version_at_least(const char *version, long major, long minor) {
    char *end;
    long first = strtol(version, &end, 10);
    long second = *end == '.' ? strtol(end + 1, NULL, 10) : 0;
    return first > major || (first == major && second >= minor);
}

static bool look_up(struct delegate_maker *maker, void *library, enum delegate delegate) {
    backend_symbol(library, known[delegate].defaults, &maker->defaults);
    backend_symbol(library, known[delegate].create, &maker->create);
    return maker->defaults != NULL && maker->create != NULL;
}

static bool look_up_at(struct delegate_maker *maker, const char *path, enum delegate delegate,
                       struct failure *failure) {
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL)
        return fail(failure, STAGE_RUNTIME, "cannot load the library of %s: %s",
                    delegate_name(delegate), dlerror());
    if (!look_up(maker, library, delegate))
        return fail(failure, STAGE_RUNTIME, "%s does not export %s", path,
                    known[delegate].create);
    maker->path = path;
    return true;
}

/* The path of a file beside the runtime library. */
static const char *beside(const char *library, const char *name) {
    static char path[MAX_PATH];
    int folder = (int)(strrchr(library, '/') - library);
    int size = snprintf(path, sizeof path, "%.*s/%s", folder, library, name);
    return size > 0 && (size_t)size < sizeof path ? path : NULL;
}

bool delegate_find(struct delegate_maker *maker, void *runtime, const struct request *request,
                   const char *version, struct failure *failure) {
    enum delegate delegate = request->delegate;
    memset(maker, 0, sizeof *maker);
    if (delegate == DELEGATE_NONE) return true;
    if (request->delegate_library != NULL)
        return look_up_at(maker, request->delegate_library, delegate, failure);
    if (look_up(maker, runtime, delegate)) {
        if (delegate != DELEGATE_XNNPACK ||
            version_at_least(version, FIRST_XNNPACK_MAJOR, FIRST_XNNPACK_MINOR))
            return true;
        return fail(failure, STAGE_RUNTIME,
                    "the XNNPACK delegate of TensorFlow Lite %s is older than %d.%d and cannot be "
                    "set up; choose another library or --delegate none",
                    version, FIRST_XNNPACK_MAJOR, FIRST_XNNPACK_MINOR);
    }
    for (size_t i = 0; i < 2 && known[delegate].beside[i] != NULL; i++) {
        const char *path = beside(request->library, known[delegate].beside[i]);
        if (path != NULL && access(path, R_OK) == 0)
            return look_up_at(maker, path, delegate, failure);
    }
    if (delegate == DELEGATE_XNNPACK)
        return fail(failure, STAGE_RUNTIME,
                    "XNNPACK was asked for, but the runtime library does not export it; choose "
                    "another library or --delegate none");
    return fail(failure, STAGE_RUNTIME,
                "%s was asked for, but neither the runtime library nor a library beside it exports "
                "%s; name its library with --delegate-library or choose --delegate xnnpack",
                delegate_name(delegate), known[delegate].create);
}

void *delegate_make(const struct delegate_maker *maker, const struct request *request) {
    struct delegate_options options = maker->defaults();
    if (request->delegate == DELEGATE_XNNPACK) options.words[0] = request->threads;
    return maker->create(&options);
}
