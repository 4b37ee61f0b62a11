#include "run.h"

#include "about.h"
#include "match.h"
#include "model_check.h"
#include "pack_read.h"
#include "pack_write.h"

static struct backend backend;
static struct pack_reader reader;
static struct pack_writer writer;
static struct pack_value values[PACK_MAX_TENSORS];
static uint32_t order[PACK_MAX_TENSORS];
static bool resized; /* an input has a new shape that is not yet allocated */
static int input_descriptor;

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

bool run_answer(int descriptor, const char *line, struct failure *failure) {
    static char whole[ABOUT_BYTES + 1];
    size_t size = strlen(line), done = 0;
    memcpy(whole, line, size);
    whole[size++] = '\n';
    while (done < size) {
        ssize_t put = write(descriptor, whole + done, size - done);
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0)
            return fail(failure, STAGE_RESULTS, "cannot answer on standard output: %s",
                        strerror(errno));
        done += (size_t)put;
    }
    return true;
}

static bool open_inputs(const char *path, struct failure *failure) {
    input_descriptor = strcmp(path, "-") == 0 ? STDIN_FILENO : file_open(path, O_RDONLY);
    if (input_descriptor < 0)
        return fail(failure, STAGE_INPUTS, "cannot open the input pack %s: %s", path,
                    strerror(errno));
    reader.pull = pack_pull_descriptor;
    reader.source = &input_descriptor;
    return pack_read_header(&reader, failure);
}

static bool open_backend(const struct run_options *options, struct failure *failure) {
    /* The dynamic linker's own text is long for a file that is simply not there. */
    if (access(options->request.library, R_OK) != 0)
        return fail(failure, STAGE_RUNTIME, "cannot open the runtime library %s: %s",
                    options->request.library, strerror(errno));
    void *library = dlopen(options->request.library, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL)
        return fail(failure, STAGE_RUNTIME, "cannot load the runtime library: %s", dlerror());
    if (!model_check(options->request.model, failure)) return false;
    if (tflite_present(library))
        return tflite_open(&backend, library, &options->request, failure);
    if (litert_present(library))
        return litert_open(&backend, library, &options->request, failure);
    return fail(failure, STAGE_RUNTIME,
                "%s has neither the TensorFlow Lite C API nor a LiteRT C API this runner knows",
                options->request.library);
}

/* Brings the sample into the model. A failure here is the sample's, not the run's. */
static bool feed(struct failure *failure) {
    for (uint32_t k = 0; k < backend.input_count; k++) {
        const struct pack_value *value = &values[order[k]];
        struct pack_tensor *input = &backend.inputs[k];
        if (!match_shape(&backend, k, input->rank, value->dims))
            return fail(failure, STAGE_INPUTS, "input '%s' has another shape in this sample",
                        input->name.bytes);
        if (memcmp(value->dims, input->dims, sizeof(uint64_t) * input->rank) == 0) continue;
        resized = true;
        if (!backend.resize_input(&backend, k, value->dims, failure)) return false;
        memcpy(input->dims, value->dims, sizeof(uint64_t) * input->rank);
    }
    if (resized && !backend.allocate(&backend, failure)) return false;
    resized = false;
    for (uint32_t k = 0; k < backend.input_count; k++) {
        const struct pack_value *value = &values[order[k]];
        if (!backend.set_input(&backend, k, value->data, (size_t)value->bytes, failure))
            return false;
    }
    return true;
}

static bool collect(struct failure *failure) {
    for (uint32_t i = 0; i < backend.output_count; i++) {
        const struct pack_tensor *output = &backend.outputs[i];
        uint32_t rank;
        uint64_t dims[PACK_MAX_RANK], bytes, expected;
        if (!backend.output_shape(&backend, i, &rank, dims, &bytes, failure)) return false;
        if (rank != output->rank)
            return fail(failure, STAGE_MODEL, "output '%s' has %u axes now, not %u",
                        output->name.bytes, (unsigned)rank, (unsigned)output->rank);
        if (!pack_tensor_bytes(output->dtype, dims, rank, &expected) || expected != bytes)
            return fail(failure, STAGE_MODEL, "output '%s' has %llu bytes, which its shape does "
                        "not explain", output->name.bytes, (unsigned long long)bytes);
        void *room = pack_record_dims(&writer, dims, rank) ? pack_record_room(&writer, bytes)
                                                           : NULL;
        if (room == NULL)
            return fail(failure, STAGE_MODEL, "output '%s' of %llu bytes does not fit a record",
                        output->name.bytes, (unsigned long long)bytes);
        if (!backend.read_output(&backend, i, room, (size_t)bytes, failure)) return false;
    }
    return true;
}

static bool run_sample(uint64_t index, struct failure *failure) {
    struct failure sample;
    if (!feed(&sample)) return pack_write_failed(&writer, index, sample.text, failure);
    uint64_t start = now();
    bool invoked = backend.invoke(&backend, &sample);
    uint64_t nanoseconds = now() - start;
    if (invoked) {
        pack_record_begin(&writer, index);
        if (collect(&sample)) return pack_record_commit(&writer, nanoseconds, failure);
    }
    return pack_write_failed(&writer, index, sample.text, failure);
}

bool run_model(const struct run_options *options, struct failure *failure) {
    static char about[ABOUT_BYTES];
    pid_t parent = getppid();
    int answer = options->answer;
    if (strcmp(options->results, "-") == 0) {
        pack_writer_attach(&writer, answer);
        answer = STDERR_FILENO;
    } else if (!pack_writer_open(&writer, options->results, failure)) {
        return false;
    }
    if (!open_backend(options, failure)) return false;
    if (!open_inputs(options->inputs, failure)) return false;
    if (!match_inputs(&backend, reader.tensors, reader.tensor_count, order, failure)) return false;
    about_run(about, sizeof about, &backend, &options->request);
    if (!pack_write_header(&writer, about, backend.outputs, backend.output_count, failure))
        return false;
    if (!run_answer(answer, about, failure)) return false;
    uint64_t index, run = 0;
    for (;;) {
        switch (pack_read_sample(&reader, &index, values, failure)) {
        case PACK_END: return pack_write_done(&writer, run, failure);
        case PACK_DAMAGED: return false;
        case PACK_SAMPLE: break;
        }
        if (index < options->first) continue;
        /* With inputs from a file nothing else would tell that nobody waits for the results. */
        if (getppid() != parent)
            return fail(failure, STAGE_RESULTS, "the process that started the run is gone");
        if (!run_sample(index, failure)) return false;
        run++;
    }
}

bool run_check(const char *inputs, struct failure *failure) {
    uint64_t index;
    if (!open_inputs(inputs, failure)) return false;
    for (;;) {
        switch (pack_read_sample(&reader, &index, values, failure)) {
        case PACK_END: return true;
        case PACK_DAMAGED: return false;
        case PACK_SAMPLE: break;
        }
    }
}
