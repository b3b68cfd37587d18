/* Normalises the values of each step: one step.
 *
 *     y = x / sqrt(1/I sum_i x_i^2 + epsilon) * weight                      rms
 *     y = (x - m) / sqrt(1/I sum_i (x_i - m)^2 + epsilon) * weight + bias   layer, m = 1/I sum_i x_i
 *
 * Reads one edge of I values, writes y (I). No state.
 *
 * The mean is subtracted before squaring, because otherwise the variance would be a small difference of large numbers.
 * It is subtracted twice: the mean of what remains after the first time is the rounding error of the first mean. On
 * every instruction set a sum consists of 16 chains, of which chain k adds i = k, k + 16, ... in ascending order. Then
 * the second half of the chains is added to the first half, until one is left. If a sum of squares overflows, from |x|
 * = 1e19 on, x counts as 0.
 */

enum { NORM_CHAINS = 16 };

typedef struct gw_norm {
    int width; /* I */
    int layer; /* method */
    float epsilon;
    const float *weight, *bias; /* (I) */
} gw_norm;

/* Adds x, or x^2, to the first `count` <= NORM_CHAINS chains. */
static inline void norm_gather(float *chains, const float *x, int count, int squared) {
    GW_EACH(count, {
        gwv v = gwv_load_part(x + i, n);
        gwv sum = gwv_load_part(chains + i, n);
        gwv_store_part(chains + i, squared ? gwv_fma(v, v, sum) : gwv_add(v, sum), n);
    });
}

/* The mean of x, or of its squares. */
static inline float norm_mean(const float *x, int count, int squared) {
    float chains[NORM_CHAINS] = {0};
    int first = 0;
    for (; first + NORM_CHAINS <= count; first += NORM_CHAINS) norm_gather(chains, x + first, NORM_CHAINS, squared);
    if (first < count) norm_gather(chains, x + first, count - first, squared);
    for (int half = NORM_CHAINS / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++) chains[i] += chains[i + half];
    return chains[0] / (float)count;
}

/* y = x - m */
static inline void norm_centre(const float *x, int count, float *y) {
    const gwv mean = gwv_set(norm_mean(x, count, 0));
    GW_EACH(count, gwv_store_part(y + i, gwv_sub(gwv_load_part(x + i, n), mean), n));
}

static void norm_step(const void *layer, const gw_batch *b) {
    const gw_norm *g = layer;
    const int I = g->width;
    for (int row = 0; row < b->count; row++) {
        const float *x = b->in[0] + (size_t)row * b->in_stride[0];
        float *out = b->out + (size_t)row * b->out_stride;
        if (g->layer) {
            norm_centre(x, I, out);
            norm_centre(out, I, out);
            x = out;
        }
        const gwv scale = gwv_set(1.0f / gw_sqrt(norm_mean(x, I, 1) + g->epsilon));
        GW_EACH(I, {
            gwv v = gwv_mul(gwv_load_part(x + i, n), scale);
            gwv w = gwv_load_part(g->weight + i, n);
            gwv_store_part(out + i, g->layer ? gwv_fma(v, w, gwv_load_part(g->bias + i, n)) : gwv_mul(v, w), n);
        });
    }
}

#ifndef GW_STEP_ONLY

#include "options.h"

typedef struct norm_parts {
    gw_norm *g;
    float *weight, *bias;
} norm_parts;

static norm_parts norm_take(const gw_place *place, gw_room *room) {
    const int layer = place->node->options[GW_NORM_METHOD] != 0.0f;
    norm_parts p = {
        .g = gw_take(room, 1, sizeof(gw_norm)),
        .weight = gw_take(room, (size_t)place->out, sizeof(float)),
        .bias = layer ? gw_take(room, (size_t)place->out, sizeof(float)) : NULL,
    };
    return p;
}

static gw_status norm_check(const gw_place *place, gw_room *room, gw_need *need) {
    (void)need;
    const int layer = place->node->option_count > GW_NORM_METHOD && place->node->options[GW_NORM_METHOD] != 0.0f;
    GW_TRY(gw_expect_counts(place, 1, GW_NORM_OPTIONS, layer ? GW_NORM_TENSORS : GW_NORM_BIAS));
    GW_TRY(gw_expect_option(place, GW_NORM_METHOD, 1));
    if (!(place->node->options[GW_NORM_EPSILON] > 0.0f)) return gw_fail(place, GW_BAD_OPTION, GW_NORM_EPSILON, 0, 0);
    if (place->out != place->in[0])
        return gw_fail(place, GW_BAD_OUTPUT_WIDTH, -1, (size_t)place->out, (size_t)place->in[0]);
    GW_TRY(gw_expect_tensor(place, GW_NORM_WEIGHT, (size_t)place->out, 1));
    if (layer) GW_TRY(gw_expect_tensor(place, GW_NORM_BIAS, (size_t)place->out, 1));
    norm_take(place, room);
    return GW_OK;
}

static const void *norm_pack(const gw_place *place, gw_room *room) {
    const norm_parts p = norm_take(place, room);
    const gw_tensor *t = place->node->tensors;
    const size_t size = (size_t)place->out * sizeof(float);
    memcpy(p.weight, t[GW_NORM_WEIGHT].data, size);
    if (p.bias) memcpy(p.bias, t[GW_NORM_BIAS].data, size);
    *p.g = (gw_norm){place->out, p.bias != NULL, place->node->options[GW_NORM_EPSILON], p.weight, p.bias};
    return p.g;
}

static const gw_kernel gw_kernel_norm = {.kind = "norm", .check = norm_check, .pack = norm_pack, .step = norm_step};

#endif
