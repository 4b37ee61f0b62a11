#include "match.h"

#include "text.h"

static bool same(struct pack_text left, struct pack_text right) {
    return left.size > 0 && left.size == right.size &&
           memcmp(left.bytes, right.bytes, left.size) == 0;
}

static void list_names(struct text *text, const struct pack_tensor *tensors, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        text_format(text, "%s'%.*s'", i == 0 ? "" : ", ", (int)tensors[i].name.size,
                    tensors[i].name.bytes);
        if (tensors[i].signature_name.size > 0)
            text_format(text, " (%.*s)", (int)tensors[i].signature_name.size,
                        tensors[i].signature_name.bytes);
    }
}

static bool no_partner(const struct backend *backend, const struct pack_tensor *tensors,
                       uint32_t count, struct failure *failure) {
    char wanted[400], offered[400];
    struct text text;
    text_begin(&text, wanted, sizeof wanted);
    list_names(&text, backend->inputs, backend->input_count);
    text_begin(&text, offered, sizeof offered);
    list_names(&text, tensors, count);
    return fail(failure, STAGE_INPUTS,
                "the input pack does not fit the model: the model has inputs %s, the pack has %s",
                wanted, offered);
}

static void show_tensor(struct text *text, const struct pack_tensor *tensor, uint8_t free_axes) {
    text_format(text, "%s[", pack_dtype_name(tensor->dtype));
    for (uint32_t axis = 0; axis < tensor->rank; axis++) {
        if (axis > 0) text_add(text, ",", 1);
        if (free_axes >> axis & 1)
            text_add(text, "?", 1);
        else
            text_format(text, "%llu", (unsigned long long)tensor->dims[axis]);
    }
    text_add(text, "]", 1);
}

bool match_shape(const struct backend *backend, uint32_t input, uint32_t rank,
                 const uint64_t *dims) {
    const struct pack_tensor *tensor = &backend->inputs[input];
    if (rank != tensor->rank) return false;
    for (uint32_t axis = 0; axis < rank; axis++) {
        bool is_free = backend->free_input_axes[input] >> axis & 1;
        if (is_free ? dims[axis] == 0 || dims[axis] > INT32_MAX : dims[axis] != tensor->dims[axis])
            return false;
    }
    return true;
}

bool match_inputs(const struct backend *backend, const struct pack_tensor *tensors, uint32_t count,
                  uint32_t *order, struct failure *failure) {
    bool taken[PACK_MAX_TENSORS] = {false};
    if (count != backend->input_count) return no_partner(backend, tensors, count, failure);
    for (uint32_t k = 0; k < backend->input_count; k++) {
        const struct pack_tensor *input = &backend->inputs[k];
        uint32_t found = count;
        for (uint32_t i = 0; i < count && found == count; i++)
            if (!taken[i] && same(tensors[i].name, input->name)) found = i;
        for (uint32_t i = 0; i < count && found == count; i++)
            if (!taken[i] && same(tensors[i].signature_name, input->signature_name)) found = i;
        if (found == count) return no_partner(backend, tensors, count, failure);
        taken[found] = true;
        order[k] = found;
        if (tensors[found].dtype == input->dtype &&
            match_shape(backend, k, tensors[found].rank, tensors[found].dims))
            continue;
        char wanted[200], offered[200];
        struct text text;
        text_begin(&text, wanted, sizeof wanted);
        show_tensor(&text, input, backend->free_input_axes[k]);
        text_begin(&text, offered, sizeof offered);
        show_tensor(&text, &tensors[found], 0);
        return fail(failure, STAGE_INPUTS,
                    "the input pack does not fit the model: input '%s' is %s, the pack has %s",
                    input->name.bytes, wanted, offered);
    }
    return true;
}
