/* Mean and standard deviation of each column over the whole sequence.
 *
 *     m = 1/T sum_t x(t)        s = sqrt(1/T sum_t (x(t) - m)^2 + epsilon)        y(t) = [m, s]
 *
 * With a mask, the sums include only the n steps at which the column has a reading, and T is replaced by n. If there is
 * no such step, m = 0 and s = 1. The edge then has 2C values, and value C + i is 1 where the reading of column i is
 * missing.
 *
 * Order of both sums: t ascending, one chain for each column.
 *
 * Reads one edge, of which it uses the first W columns; writes 2W values. No state, no tensors. Not causal: needs the
 * whole sequence.
 */

typedef struct gw_moments {
    size_t width, inputs; /* W; the width of the edge read */
    float epsilon;
    int masked;
} gw_moments;

/* The moments of all columns over all steps. */
static void moments_all(const gw_moments *m, const float *x, size_t steps, float *mean, float *deviation) {
    const size_t W = m->width;
    for (size_t i = 0; i < W; i++) mean[i] = deviation[i] = 0.0f;
    for (size_t t = 0; t < steps; t++)
        for (size_t i = 0; i < W; i++) mean[i] += x[t * m->inputs + i];
    for (size_t i = 0; i < W; i++) mean[i] /= (float)steps;
    for (size_t t = 0; t < steps; t++)
        for (size_t i = 0; i < W; i++) {
            const float apart = x[t * m->inputs + i] - mean[i];
            deviation[i] += apart * apart;
        }
    for (size_t i = 0; i < W; i++) deviation[i] = gw_sqrt(deviation[i] / (float)steps + m->epsilon);
}

/* The moments of one column over the steps at which it has a reading. */
static void moments_seen(const gw_moments *m, const float *x, size_t steps, float *mean, float *deviation) {
    const float *gone = x + m->inputs / 2;
    float sum = 0.0f, squares = 0.0f, seen = 0.0f;
    for (size_t t = 0; t < steps * m->inputs; t += m->inputs)
        if (gone[t] == 0.0f) sum += x[t], seen += 1.0f;
    const float middle = seen > 0.0f ? sum / seen : 0.0f;
    for (size_t t = 0; t < steps * m->inputs; t += m->inputs)
        if (gone[t] == 0.0f) squares += (x[t] - middle) * (x[t] - middle);
    *mean = middle;
    *deviation = seen > 0.0f ? gw_sqrt(squares / seen + m->epsilon) : 1.0f;
}

static void moments_sequence(const void *layer, const gw_batch *b, size_t steps) {
    const gw_moments *m = layer;
    const size_t W = m->width;
    for (int row = 0; row < b->count; row++) {
        const float *x = b->in[0] + (size_t)row * b->in_stride[0];
        float *out = b->out + (size_t)row * b->out_stride, *mean = out, *deviation = out + W;
        if (m->masked)
            for (size_t i = 0; i < W; i++) moments_seen(m, x + i, steps, mean + i, deviation + i);
        else
            moments_all(m, x, steps, mean, deviation);
        for (size_t t = 1; t < steps; t++) memcpy(out + t * 2 * W, out, 2 * W * sizeof(float));
    }
}

#ifndef GW_STEP_ONLY

#include "options.h"

static gw_status moments_check(const gw_place *place, gw_room *room, gw_need *need) {
    (void)need;
    GW_TRY(gw_expect_counts(place, 1, GW_MOMENTS_OPTIONS, 0));
    if (!(place->node->options[GW_MOMENTS_EPSILON] > 0.0f))
        return gw_fail(place, GW_BAD_OPTION, GW_MOMENTS_EPSILON, 0, 0);
    GW_TRY(gw_expect_option(place, GW_MOMENTS_MASKED, 1));
    const int masked = place->node->options[GW_MOMENTS_MASKED] != 0.0f, most = masked ? place->in[0] : 2 * place->in[0];
    if (masked && place->in[0] % 2)
        return gw_fail(place, GW_BAD_INPUT_WIDTH, 0, (size_t)place->in[0], (size_t)place->out);
    if (place->out % 2 || place->out > most)
        return gw_fail(place, GW_BAD_OUTPUT_WIDTH, -1, (size_t)place->out, (size_t)most);
    gw_take(room, 1, sizeof(gw_moments));
    return GW_OK;
}

static const void *moments_pack(const gw_place *place, gw_room *room) {
    gw_moments *m = gw_take(room, 1, sizeof(gw_moments));
    const float *o = place->node->options;
    *m =
        (gw_moments){(size_t)place->out / 2, (size_t)place->in[0], o[GW_MOMENTS_EPSILON], o[GW_MOMENTS_MASKED] != 0.0f};
    return m;
}

static const gw_kernel gw_kernel_moments = {
    .kind = "moments",
    .check = moments_check,
    .pack = moments_pack,
    .sequence = moments_sequence,
};

#endif
