/* What this processor offers, as its kernel names it. */
#ifndef DEVDIFF_CPU_H
#define DEVDIFF_CPU_H

#include "text.h"

/* Appends a JSON list: on x86 the vector and bit-manipulation extensions, on ARM every feature;
 * empty when the kernel does not say. */
void cpu_features_json(struct text *text);

#endif
