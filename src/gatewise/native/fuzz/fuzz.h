/* What the fuzz targets share: readers of hostile bytes, memory of the exact size, and running a model in every way
 * there is.
 *
 * A target is LLVMFuzzerTestOneInput(data, size). `make fuzz` links it with libFuzzer, `make native-test` with
 * replay.c, which runs it on the corpus. Memory beyond what the sizes say belongs to the address sanitizer, and what
 * the core promises beyond that (equal bits whichever way a model runs, refusals that change nothing) is checked by
 * must().
 */
#ifndef GW_FUZZ_H
#define GW_FUZZ_H

#include "gatewise.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define must(holds)                                                                                                    \
    do {                                                                                                               \
        if (!(holds)) {                                                                                                \
            fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #holds);                                        \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

/* --- bytes
 * --------------------------------------------------------------------------------------------------------- */

typedef struct bytes {
    const uint8_t *at, *end;
} bytes;

/* The next byte; 0 where there are no more. */
static inline unsigned take_byte(bytes *b) { return b->at < b->end ? *b->at++ : 0; }

/* From 0 to most - 1. */
static inline int take_below(bytes *b, int most) { return (int)(take_byte(b) % (unsigned)most); }

/* Floats as they come, with all their NaNs, infinities and denormals; where the bytes end, pseudo-random ones in
 * -1..1. */
static inline void take_floats(bytes *b, float *values, size_t count) {
    static const uint32_t factor = 1664525u, step = 1013904223u;
    uint32_t noise = 1;
    for (size_t i = 0; i < count; i++)
        if (b->end - b->at >= 4) {
            memcpy(&values[i], b->at, 4);
            b->at += 4;
        } else {
            noise = noise * factor + step;
            values[i] = (float)(int32_t)noise * 0x1p-31f;
        }
}

/* --- memory
 * -------------------------------------------------------------------------------------------------------- */

enum { MOST_KEPT = 1 << 12 };
static void *kept[MOST_KEPT];
static int kept_count;

/* Memory of exactly so many bytes until forget(), filled with 0xff: as floats NaN. */
static inline void *keep(size_t size) {
    void *memory = NULL;
    must(kept_count < MOST_KEPT && posix_memalign(&memory, GW_ALIGNMENT, size ? size : 1) == 0);
    memset(memory, 0xff, size);
    return kept[kept_count++] = memory;
}

static inline void forget(void) {
    while (kept_count) free(kept[--kept_count]);
}

/* --- running
 * ------------------------------------------------------------------------------------------------------- */

/* Equal bits, or both NaN: which NaN comes of two is not part of what a model means. */
static inline int same(const float *a, const float *b, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (memcmp(&a[i], &b[i], sizeof(float)) && !(a[i] != a[i] && b[i] != b[i])) return 0;
    return 1;
}

static inline float *copy_of(const float *values, size_t count) {
    return memcpy(keep(count * sizeof(float)), values, count * sizeof(float));
}

/* Build into an arena of the exact size. */
static inline const gw_model *built(const gw_graph *graph, const char *cpu, gw_sizes *sizes) {
    const gw_model *model = NULL;
    void *arena = keep(sizes->model_bytes);
    must(gw_build(graph, cpu, arena, sizes->model_bytes, &model, NULL) == GW_OK);
    must(!memcmp(gw_model_sizes(model), sizes, sizeof *sizes) && !strcmp(gw_model_cpu(model), cpu));
    return model;
}

/* Whether memory and time of a run are in bounds here; gw_measure accepts far larger models than a fuzzer can run. */
static inline int runnable(const gw_sizes *sizes) {
    const uint64_t window = sizes->window > 0 ? (uint64_t)sizes->window : 1;
    return sizes->model_bytes < 1 << 24 && sizes->state_floats < 1 << 14 && sizes->scratch_bytes < 1 << 24 &&
           (sizes->macs + (uint64_t)sizes->inputs + (uint64_t)sizes->outputs) * window < 1 << 16;
}

/* The same readings x (sessions, steps, inputs) from the same states (sessions, state_floats), run in every way. */
static inline void exercise(const gw_model *model, size_t sessions, size_t steps, const float *x, const float *begin) {
    const gw_sizes *sizes = gw_model_sizes(model);
    const size_t I = (size_t)sizes->inputs, O = (size_t)sizes->outputs, S = sizes->state_floats;
    float *y = keep(sessions * steps * O * sizeof(float)), *state = copy_of(begin, sessions * S);
    void *scratch = keep(gw_scratch_bytes(model, sessions, steps));
    const gw_status status = gw_run_batch(model, sessions, steps, x, state, y, scratch);
    if (status != GW_OK) {
        must(status == GW_NONFINITE_INPUT && gw_first_unusable(model, x, sessions * steps * I) < sessions * steps * I);
        must(!memcmp(state, begin, sessions * S * sizeof(float)));
        return;
    }
    void *run_scratch = keep(gw_scratch_bytes(model, 1, steps)), *step_scratch = keep(sizes->scratch_bytes);
    float *row = keep(steps * O * sizeof(float)), *one = keep(S * sizeof(float));
    for (size_t s = 0; s < sessions; s++) {
        memcpy(one, begin + s * S, S * sizeof(float));
        must(gw_run(model, steps, x + s * steps * I, one, row, run_scratch) == GW_OK);
        must(same(row, y + s * steps * O, steps * O) && same(one, state + s * S, S));
        if (!sizes->steps) continue;
        memcpy(one, begin + s * S, S * sizeof(float));
        for (size_t t = 0; t < steps; t++)
            must(gw_step(model, x + (s * steps + t) * I, one, row + t * O, step_scratch) == GW_OK);
        must(same(row, y + s * steps * O, steps * O) && same(one, state + s * S, S));
    }
    if (!sizes->steps) {
        must(gw_step(model, x, one, row, step_scratch) == GW_NON_CAUSAL);
        return;
    }
    /* Pushed together, the last session first. */
    float *states = copy_of(begin, sessions * S), *now = keep(sessions * I * sizeof(float));
    float *answers = keep(sessions * O * sizeof(float));
    int64_t *ids = keep(sessions * sizeof *ids);
    void *push_scratch = keep(gw_scratch_bytes(model, sessions, 1));
    for (size_t i = 0; i < sessions; i++) ids[i] = (int64_t)(sessions - 1 - i);
    for (size_t t = 0; t < steps; t++) {
        for (size_t i = 0; i < sessions; i++)
            memcpy(now + i * I, x + ((size_t)ids[i] * steps + t) * I, I * sizeof(float));
        must(gw_push(model, sessions, ids, now, states, answers, push_scratch) == GW_OK);
        for (size_t i = 0; i < sessions; i++) must(same(answers + i * O, y + ((size_t)ids[i] * steps + t) * O, O));
    }
    must(same(states, state, sessions * S));
}

#endif
