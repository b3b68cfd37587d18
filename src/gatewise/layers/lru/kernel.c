/* Linear recurrent unit with a complex, diagonal recurrence: one step.
 *
 *     lambda = exp(-exp(nu_log) + i exp(theta_log))
 *     h'     = flush(lambda h + exp(gamma_log) (B x))      N complex values
 *     y      = Re(C h') + D x
 *
 * Reads one edge of I values, writes y (H). State: Re h (N), Im h (N).
 *
 * Order of each sum: B x begins with 0, then x ascending. y begins with 0, then x ascending, then Re h' and Im h'
 * ascending.
 */

typedef struct gw_lru {
    int inputs, units, states; /* I, H, N */
    const float *zero;         /* zeros, with which all sums begin: as many as the longer sum has, in whole panels */
    const float *real, *imag, *gamma; /* (N) each: Re lambda, Im lambda, exp(gamma_log) */
    const float *weight_x;            /* (2N, I) packed */
    const float *weight_h;            /* (H, 2N) packed */
    const float *weight_y;            /* (H, I) packed */
} gw_lru;

/* In n lanes from i on: lambda h + exp(gamma_log) (B x), complex. */
static inline void lru_turn(const gw_lru *l, const float *sum, float *state, int i, int n) {
    const int N = l->states;
    gwv real = gwv_load_part(l->real + i, n), imag = gwv_load_part(l->imag + i, n);
    gwv h = gwv_load_part(state + i, n), g = gwv_load_part(state + N + i, n);
    gwv gamma = gwv_load_part(l->gamma + i, n);
    gwv into_h = gwv_mul(gamma, gwv_load_part(sum + i, n)), into_g = gwv_mul(gamma, gwv_load_part(sum + N + i, n));
    gwv minus_g = gwv_sub(gwv_set(0.0f), g);
    gwv_store_part(state + i, gwv_flush(gwv_fma(real, h, gwv_fma(imag, minus_g, into_h))), n);
    gwv_store_part(state + N + i, gwv_flush(gwv_fma(real, g, gwv_fma(imag, h, into_g))), n);
}

static void lru_step(const void *layer, const gw_batch *b) {
    const gw_lru *l = layer;
    const int H = l->units, N = l->states;
    const size_t stride = b->scratch_stride;
    float *sums = b->scratch; /* (2N) B x, then (H) y: each with room for whole panels */
    const gw_product x = {l->weight_x, b->in[0], b->in_stride[0], l->inputs};
    gw_affine(sums, stride, l->zero, x, 2 * N, b->count);
    for (int s = 0; s < b->count; s++) {
        const float *sum = sums + (size_t)s * stride;
        float *state = b->state + (size_t)s * b->state_stride;
        GW_EACH(N, lru_turn(l, sum, state, i, n));
    }
    const gw_product past = {l->weight_y, b->in[0], b->in_stride[0], l->inputs};
    const gw_product own = {l->weight_h, b->state, b->state_stride, 2 * N};
    gw_affine_2(sums, stride, l->zero, past, own, H, b->count);
    for (int s = 0; s < b->count; s++) {
        const float *y = sums + (size_t)s * stride;
        float *out = b->out + (size_t)s * b->out_stride;
        GW_EACH(H, gwv_store_part(out + i, gwv_load_part(y + i, n), n));
    }
}

#ifndef GW_STEP_ONLY

#include "options.h"

#include <math.h>

typedef struct lru_parts {
    gw_lru *l;
    float *zero, *real, *imag, *gamma, *weight_x, *weight_h, *weight_y;
} lru_parts;

/* The number of sums of a step, in whole panels. */
static int lru_sums(int units, int states) { return units > 2 * states ? gw_padded(units) : gw_padded(2 * states); }

static lru_parts lru_take(const gw_place *place, gw_room *room) {
    const int H = place->out, I = place->in[0], N = (int)place->node->tensors[GW_LRU_NU_LOG].rows;
    lru_parts p = {
        .l = gw_take(room, 1, sizeof(gw_lru)),
        .zero = gw_take(room, (size_t)lru_sums(H, N), sizeof(float)),
        .real = gw_take(room, (size_t)N, sizeof(float)),
        .imag = gw_take(room, (size_t)N, sizeof(float)),
        .gamma = gw_take(room, (size_t)N, sizeof(float)),
        .weight_x = gw_take_matrix(room, 2 * N, I),
        .weight_h = gw_take_matrix(room, H, 2 * N),
        .weight_y = gw_take_matrix(room, H, I),
    };
    return p;
}

/* Checks that exp of each value of a vector is a finite float, because otherwise an angle or a factor would be
 * infinite. */
static gw_status lru_check_exp(const gw_place *place, int tensor, size_t count) {
    const float *log = place->node->tensors[tensor].data;
    for (size_t i = 0; i < count; i++)
        if (exp((double)log[i]) > 0x1.fffffep127) return gw_fail(place, GW_BAD_WEIGHT, tensor, i, 0);
    return GW_OK;
}

static gw_status lru_check(const gw_place *place, gw_room *room, gw_need *need) {
    GW_TRY(gw_expect_counts(place, 1, 0, GW_LRU_TENSORS));
    const size_t H = (size_t)place->out, I = (size_t)place->in[0], N = place->node->tensors[GW_LRU_NU_LOG].rows;
    if (N < 1) return gw_fail(place, GW_BAD_SHAPE, GW_LRU_NU_LOG, N, 1);
    if (N > GW_MOST_WIDTH) return gw_fail(place, GW_TOO_LARGE, GW_LRU_NU_LOG, N, GW_MOST_WIDTH);
    GW_TRY(gw_expect_tensor(place, GW_LRU_WEIGHT_IH, 2 * N, I));
    GW_TRY(gw_expect_tensor(place, GW_LRU_WEIGHT_HO, H, 2 * N));
    GW_TRY(gw_expect_tensor(place, GW_LRU_WEIGHT_IO, H, I));
    for (int i = GW_LRU_NU_LOG; i < GW_LRU_TENSORS; i++) {
        GW_TRY(gw_expect_tensor(place, i, N, 1));
        GW_TRY(lru_check_exp(place, i, N));
    }
    lru_take(place, room);
    need->state = 2 * N;
    need->scratch = (size_t)lru_sums(place->out, (int)N);
    need->macs = (uint64_t)I * (2 * N + H) + (uint64_t)H * 2 * N;
    return GW_OK;
}

/* The nearest float towards 0. Rounding then never increases |lambda|, so that a state cannot grow because of it. */
static float lru_towards_zero(double x) {
    const float near = (float)x;
    return fabs((double)near) > fabs(x) ? nextafterf(near, 0.0f) : near;
}

static const void *lru_pack(const gw_place *place, gw_room *room) {
    const lru_parts p = lru_take(place, room);
    const gw_tensor *t = place->node->tensors;
    const int H = place->out, I = place->in[0], N = (int)t[GW_LRU_NU_LOG].rows;
    for (int i = 0; i < lru_sums(H, N); i++) p.zero[i] = 0.0f;
    for (int i = 0; i < N; i++) {
        const double size = exp(-exp((double)t[GW_LRU_NU_LOG].data[i])),
                     angle = exp((double)t[GW_LRU_THETA_LOG].data[i]);
        p.real[i] = lru_towards_zero(size * cos(angle));
        p.imag[i] = lru_towards_zero(size * sin(angle));
        p.gamma[i] = (float)exp((double)t[GW_LRU_GAMMA_LOG].data[i]);
    }
    gw_pack_matrix(p.weight_x, t[GW_LRU_WEIGHT_IH].data, 2 * N, I, I);
    gw_pack_matrix(p.weight_h, t[GW_LRU_WEIGHT_HO].data, H, 2 * N, 2 * N);
    gw_pack_matrix(p.weight_y, t[GW_LRU_WEIGHT_IO].data, H, I, I);
    *p.l = (gw_lru){
        .inputs = I,
        .units = H,
        .states = N,
        .zero = p.zero,
        .real = p.real,
        .imag = p.imag,
        .gamma = p.gamma,
        .weight_x = p.weight_x,
        .weight_h = p.weight_h,
        .weight_y = p.weight_y,
    };
    return p.l;
}

static const gw_kernel gw_kernel_lru = {.kind = "lru", .check = lru_check, .pack = lru_pack, .step = lru_step};

#endif
