#include "model_check.h"

#define MAX_TABLES 4000000 /* far more than any model has; ends a walk through shared tables */

/* The layout of TensorFlow Lite's schema as far as a walk needs it: in the order of their numbers,
 * what the fields of each table are. Scalars are only known to be there. */
enum kind { SCALAR, STRING, VECTOR_1, VECTOR_4, VECTOR_8, TABLE, TABLES };

struct shape {
    const char *name;
    uint32_t fields;
    struct {
        enum kind kind;
        const struct shape *of;
    } field[14];
};

#define TEXT {STRING, NULL}

static const struct shape any = {"options", 0, {{SCALAR, NULL}}};
static const struct shape operator_code = {"operator code", 2, {{SCALAR, NULL}, TEXT}};
static const struct shape quantization = {
    "quantization",
    6,
    {{VECTOR_4, NULL}, {VECTOR_4, NULL}, {VECTOR_4, NULL}, {VECTOR_8, NULL}, {SCALAR, NULL},
     {TABLE, &any}}};
static const struct shape tensor = {
    "tensor",
    8,
    {{VECTOR_4, NULL}, {SCALAR, NULL}, {SCALAR, NULL}, TEXT, {TABLE, &quantization},
     {SCALAR, NULL}, {TABLE, &any}, {VECTOR_4, NULL}}};
static const struct shape operation = {
    "operator",
    13,
    {{SCALAR, NULL}, {VECTOR_4, NULL}, {VECTOR_4, NULL}, {SCALAR, NULL}, {TABLE, &any},
     {VECTOR_1, NULL}, {SCALAR, NULL}, {VECTOR_1, NULL}, {VECTOR_4, NULL}, {SCALAR, NULL},
     {SCALAR, NULL}, {SCALAR, NULL}, {TABLE, &any}}};
static const struct shape subgraph = {
    "subgraph",
    5,
    {{TABLES, &tensor}, {VECTOR_4, NULL}, {VECTOR_4, NULL}, {TABLES, &operation}, TEXT}};
static const struct shape buffer = {"buffer", 1, {{VECTOR_1, NULL}}};
static const struct shape metadata = {"metadata", 1, {TEXT}};
static const struct shape tensor_name = {"signature tensor", 1, {TEXT}};
static const struct shape signature = {
    "signature", 3, {{TABLES, &tensor_name}, {TABLES, &tensor_name}, TEXT}};
static const struct shape model = {
    "model",
    8,
    {{SCALAR, NULL}, {TABLES, &operator_code}, {TABLES, &subgraph}, TEXT, {TABLES, &buffer},
     {VECTOR_4, NULL}, {TABLES, &metadata}, {TABLES, &signature}}};

struct walk {
    const unsigned char *bytes;
    size_t size;
    uint32_t tables;
    const char *wrong; /* what the walk ended at, when it is not a place outside the file */
};

static uint32_t u16_at(const struct walk *walk, size_t at) {
    return (uint32_t)walk->bytes[at] | (uint32_t)walk->bytes[at + 1] << 8;
}

static uint32_t u32_at(const struct walk *walk, size_t at) {
    uint32_t value;
    memcpy(&value, walk->bytes + at, sizeof value);
    return value;
}

static bool inside(const struct walk *walk, uint64_t at, uint64_t size) {
    return at <= walk->size && size <= walk->size - at;
}

/* Runtimes read numbers in place, and compilers count on where numbers lie: some instructions of
 * 32-bit ARM fault elsewhere. */
static bool aligned(struct walk *walk, uint64_t at, uint64_t width) {
    if ((at & (width - 1)) == 0) return true;
    walk->wrong = "a part of it is not aligned";
    return false;
}

static bool check_table(struct walk *walk, uint64_t at, const struct shape *shape);

/* Follows the offset stored at `at`. */
static bool check_field(struct walk *walk, size_t at, enum kind kind, const struct shape *of) {
    if (!aligned(walk, at, 4)) return false;
    uint64_t target = (uint64_t)at + u32_at(walk, at);
    if (kind == TABLE) return check_table(walk, target, of);
    if (!inside(walk, target, 4) || !aligned(walk, target, 4)) return false;
    uint64_t count = u32_at(walk, (size_t)target);
    uint64_t width = kind == STRING || kind == VECTOR_1 ? 1 : kind == VECTOR_8 ? 8 : 4;
    if (!inside(walk, target + 4, count * width)) return false;
    if (count > 0 && !aligned(walk, target + 4, width)) return false;
    /* Runtimes hand names on as C strings. */
    if (kind == STRING &&
        (!inside(walk, target + 4 + count, 1) || walk->bytes[(size_t)(target + 4 + count)] != 0)) {
        walk->wrong = "a string in it has no end";
        return false;
    }
    for (uint64_t i = 0; kind == TABLES && i < count; i++) {
        uint64_t element = target + 4 + 4 * i;
        if (!check_table(walk, element + u32_at(walk, (size_t)element), of)) return false;
    }
    return true;
}

static bool check_table(struct walk *walk, uint64_t at, const struct shape *shape) {
    if (++walk->tables > MAX_TABLES || !inside(walk, at, 4) || !aligned(walk, at, 4)) return false;
    int64_t fields = (int64_t)at - (int32_t)u32_at(walk, (size_t)at);
    if (fields < 0 || !inside(walk, (uint64_t)fields, 4) ||
        !aligned(walk, (uint64_t)fields, 2))
        return false;
    uint32_t fields_size = u16_at(walk, (size_t)fields);
    uint32_t table_size = u16_at(walk, (size_t)fields + 2);
    if (fields_size < 4 || !inside(walk, (uint64_t)fields, fields_size) || table_size < 4 ||
        !inside(walk, at, table_size))
        return false;
    for (uint32_t i = 0; i < shape->fields && 4 + 2 * i + 2 <= fields_size; i++) {
        uint32_t offset = u16_at(walk, (size_t)fields + 4 + 2 * i);
        if (offset == 0 || shape->field[i].kind == SCALAR) continue;
        if (offset + 4 > table_size ||
            !check_field(walk, (size_t)at + offset, shape->field[i].kind, shape->field[i].of))
            return false;
    }
    return true;
}

bool model_check_bytes(const void *bytes, size_t size, const char *path,
                       struct failure *failure) {
    struct walk walk = {bytes, size, 0, NULL};
    if (size < 8 || memcmp(walk.bytes + 4, "TFL3", 4) != 0)
        return fail(failure, STAGE_MODEL, "%s is not a TensorFlow Lite model (%llu bytes)", path,
                    (unsigned long long)size);
    if (check_table(&walk, u32_at(&walk, 0), &model)) return true;
    if (walk.wrong != NULL)
        return fail(failure, STAGE_MODEL, "the model %s is damaged or cut short: %s", path,
                    walk.wrong);
    return fail(failure, STAGE_MODEL,
                "the model %s is damaged or cut short: it points outside its %llu bytes", path,
                (unsigned long long)size);
}

bool model_check(const char *path, struct failure *failure) {
    int file = file_open(path, O_RDONLY);
    if (file < 0)
        return fail(failure, STAGE_MODEL, "cannot open the model %s: %s", path, strerror(errno));
    int64_t size = file_size(file);
    if (size > 0 && (uint64_t)size > SIZE_MAX / 2) {
        close(file);
        return fail(failure, STAGE_MODEL, "the model %s is too large for this machine", path);
    }
    if (size < 8) {
        close(file);
        return fail(failure, STAGE_MODEL, "the model %s is %s", path,
                    size == 0 ? "empty" : "not a TensorFlow Lite model");
    }
    void *bytes = mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, file, 0);
    int reason = errno;
    close(file);
    if (bytes == MAP_FAILED)
        return fail(failure, STAGE_MODEL, "cannot read the model %s: %s", path, strerror(reason));
    bool whole = model_check_bytes(bytes, (size_t)size, path, failure);
    munmap(bytes, (size_t)size);
    return whole;
}
