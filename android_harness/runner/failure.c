#include "failure.h"

bool fail(struct failure *failure, enum stage stage, const char *format, ...) {
    failure->stage = stage;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(failure->text, sizeof failure->text, format, arguments);
    va_end(arguments);
    return false;
}

const char *stage_name(enum stage stage) {
    switch (stage) {
    case STAGE_USAGE: return "usage";
    case STAGE_RUNTIME: return "runtime";
    case STAGE_MODEL: return "model";
    case STAGE_INPUTS: return "inputs";
    case STAGE_RESULTS: return "results";
    }
    return "unknown";
}
