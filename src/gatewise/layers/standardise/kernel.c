/* Standardises readings with the moments of their window: one step.
 *
 *     y_i = (x_i - m_i) / s_i  for i < W, y_i = x_i for i >= W
 *
 * With a mask, I = 2C and W <= C, value C + i is 1 where reading i is missing, and y_i = 0 for missing readings with i
 * < W.
 *
 * Reads x (I) and [m, s] (2W), W <= I; writes I values. No state, no tensors.
 */

typedef struct gw_standardise {
    int inputs, width; /* I, W */
    int masked;
} gw_standardise;

static void standardise_step(const void *layer, const gw_batch *b) {
    const gw_standardise *s = layer;
    for (int row = 0; row < b->count; row++) {
        const float *x = b->in[0] + (size_t)row * b->in_stride[0], *mean = b->in[1] + (size_t)row * b->in_stride[1];
        float *out = b->out + (size_t)row * b->out_stride;
        for (int i = 0; i < s->width; i++) out[i] = (x[i] - mean[i]) / mean[s->width + i];
        for (int i = s->width; i < s->inputs; i++) out[i] = x[i];
        if (!s->masked) continue;
        const float *gone = x + s->inputs / 2;
        for (int i = 0; i < s->width; i++) out[i] = gone[i] != 0.0f ? 0.0f : out[i];
    }
}

#ifndef GW_STEP_ONLY

#include "options.h"

static gw_status standardise_check(const gw_place *place, gw_room *room, gw_need *need) {
    (void)need;
    GW_TRY(gw_expect_counts(place, 2, GW_STANDARDISE_OPTIONS, 0));
    GW_TRY(gw_expect_option(place, GW_STANDARDISE_MASKED, 1));
    const int masked = place->node->options[GW_STANDARDISE_MASKED] != 0.0f,
              most = masked ? place->in[0] : 2 * place->in[0];
    if (masked && place->in[0] % 2)
        return gw_fail(place, GW_BAD_INPUT_WIDTH, 0, (size_t)place->in[0], (size_t)place->in[1]);
    if (place->in[1] % 2 || place->in[1] > most)
        return gw_fail(place, GW_BAD_INPUT_WIDTH, 1, (size_t)place->in[1], (size_t)most);
    if (place->out != place->in[0])
        return gw_fail(place, GW_BAD_OUTPUT_WIDTH, -1, (size_t)place->out, (size_t)place->in[0]);
    gw_take(room, 1, sizeof(gw_standardise));
    return GW_OK;
}

static const void *standardise_pack(const gw_place *place, gw_room *room) {
    gw_standardise *s = gw_take(room, 1, sizeof(gw_standardise));
    *s = (gw_standardise){place->in[0], place->in[1] / 2, place->node->options[GW_STANDARDISE_MASKED] != 0.0f};
    return s;
}

static const gw_kernel gw_kernel_standardise = {
    .kind = "standardise",
    .check = standardise_check,
    .pack = standardise_pack,
    .step = standardise_step,
};

#endif
