/* Long short-term memory: one step.
 *
 *     i  = gate(W_ii x + b_ii + W_hi h + b_hi + p_i * c)
 *     f  = gate(W_if x + b_if + W_hf h + b_hf + p_f * c)      or 1 - i if the gates are coupled
 *     g  = act(W_ig x + b_ig + W_hg h + b_hg)
 *     c' = flush(bound(f * c + i * g, cell clip))
 *     o  = gate(W_io x + b_io + W_ho h + b_ho + p_o * c')
 *     y  = o * out(c')
 *     h' = flush(y), or with a projection flush(W_hr y)
 *
 * The arguments of gate and act are first limited to the clip, if there is one. bound limits a value to the cell clip.
 *
 * Reads one edge of I values, writes h' (H, or P with a projection). State: h (P or H), c (H). Gates in the order i, f,
 * g, o.
 *
 * Order of each sum: b_i + b_h (rounded once), x ascending, h ascending, then p * c.
 */

typedef struct gw_lstm {
    int inputs, units, width; /* I, H, and the width of h: P or H */
    int gate, act, out;       /* kinds of activation */
    float gate_a, gate_b, act_a, act_b, out_a, out_b;
    int coupled;
    float clip, cell_clip; /* 0: none */
    const float *bias;     /* (4H), 0 up to a whole panel */
    const float *weight_x; /* (4H, I) packed */
    const float *weight_h; /* (4H, P or H) packed */
    const float *weight_r; /* (P, H) packed; NULL without a projection */
    const float *peephole; /* (3H) i, f, o; NULL without */
} gw_lstm;

static inline void lstm_map(int kind, float a, float b, float clip, float *v, int count) {
    GW_EACH(count, gwv_store_part(v + i, gwv_activate(kind, a, b, gwv_within(clip, gwv_load_part(v + i, n))), n));
}

/* v = activation(v limited to the clip). With a constant kind the loop contains no switch. */
static inline void lstm_activate(int kind, float a, float b, float clip, float *v, int count) {
    if (kind == GW_SIGMOID && clip <= 0.0f)
        lstm_map(GW_SIGMOID, 0.0f, 0.0f, 0.0f, v, count);
    else if (kind == GW_TANH && clip <= 0.0f)
        lstm_map(GW_TANH, 0.0f, 0.0f, 0.0f, v, count);
    else
        lstm_map(kind, a, b, clip, v, count);
}

/* v = p * c + v */
static inline void lstm_peep(float *v, const float *p, const float *c, int H) {
    GW_EACH(H, gwv_store_part(v + i, gwv_fma(gwv_load_part(p + i, n), gwv_load_part(c + i, n), gwv_load_part(v + i, n)),
                              n));
}

static inline void lstm_cell(const float *in, const float *forget, const float *g, float clip, float *c, int i, int n) {
    gwv new = gwv_mul(gwv_load_part(in + i, n), gwv_load_part(g + i, n));
    gwv cell = gwv_fma(gwv_load_part(forget + i, n), gwv_load_part(c + i, n), new);
    gwv_store_part(c + i, gwv_flush(gwv_within(clip, cell)), n);
}

/* y = o * out(c), written to y and to copy. */
static inline void lstm_output(int kind, float a, float b, const float *open, const float *c, float *y, float *copy,
                               int i, int n) {
    gwv next = gwv_flush(gwv_mul(gwv_load_part(open + i, n), gwv_activate(kind, a, b, gwv_load_part(c + i, n))));
    gwv_store_part(y + i, next, n);
    gwv_store_part(copy + i, next, n);
}

/* Computes c and y of a session from its sums (4H), which are overwritten by the gates. */
static inline void lstm_update(const gw_lstm *l, float *sum, float *c, float *y, float *copy) {
    const int H = l->units;
    const float *p = l->peephole;
    float *in = sum, *forget = sum + H, *g = sum + 2 * H, *open = sum + 3 * H;
    if (p) {
        lstm_peep(in, p, c, H);
        lstm_peep(forget, p + H, c, H);
    }
    lstm_activate(l->gate, l->gate_a, l->gate_b, l->clip, in, l->coupled ? H : 2 * H);
    lstm_activate(l->act, l->act_a, l->act_b, l->clip, g, H);
    if (l->coupled) GW_EACH(H, gwv_store_part(forget + i, gwv_sub(gwv_set(1.0f), gwv_load_part(in + i, n)), n));
    GW_EACH(H, lstm_cell(in, forget, g, l->cell_clip, c, i, n));
    if (p) lstm_peep(open, p + 2 * H, c, H);
    lstm_activate(l->gate, l->gate_a, l->gate_b, l->clip, open, H);
    if (l->out == GW_TANH)
        GW_EACH(H, lstm_output(GW_TANH, 0.0f, 0.0f, open, c, y, copy, i, n));
    else
        GW_EACH(H, lstm_output(l->out, l->out_a, l->out_b, open, c, y, copy, i, n));
}

static void lstm_step(const void *layer, const gw_batch *b) {
    const gw_lstm *l = layer;
    const int H = l->units, R = l->width, wide = gw_padded(4 * H);
    const size_t stride = b->scratch_stride;
    float *sums = b->scratch; /* (4H) i, f, g, o, with room for whole panels */
    float *ys = sums + wide;  /* with a projection: y (H), then W_hr y (P) */
    const gw_product x = {l->weight_x, b->in[0], b->in_stride[0], l->inputs};
    const gw_product before = {l->weight_h, b->state, b->state_stride, R};
    gw_affine_2(sums, stride, l->bias, x, before, 4 * H, b->count);
    for (int s = 0; s < b->count; s++) {
        float *h = b->state + (size_t)s * b->state_stride;
        float *y = l->weight_r ? ys + (size_t)s * stride : h;
        lstm_update(l, sums + (size_t)s * stride, h + R, y, l->weight_r ? y : b->out + (size_t)s * b->out_stride);
    }
    if (!l->weight_r) return;
    float *products = ys + H;
    for (int s = 0; s < b->count; s++)
        for (int i = 0; i < gw_padded(R); i++) products[(size_t)s * stride + (size_t)i] = 0.0f;
    gw_matmul(products, stride, l->weight_r, ys, stride, R, H, b->count);
    for (int s = 0; s < b->count; s++)
        for (int i = 0; i < R; i++)
            b->out[(size_t)s * b->out_stride + (size_t)i] = b->state[(size_t)s * b->state_stride + (size_t)i] =
                gw_flush(products[(size_t)s * stride + (size_t)i]);
}

#ifndef GW_STEP_ONLY

#include "options.h"

typedef struct lstm_parts {
    gw_lstm *l;
    float *bias, *weight_x, *weight_h, *weight_r, *peephole;
} lstm_parts;

/* The position of weight_peephole: tensors that are left out leave no gap. */
static int lstm_peephole(int projected) { return projected ? GW_LSTM_WEIGHT_PEEPHOLE : GW_LSTM_WEIGHT_HR; }

static lstm_parts lstm_take(const gw_place *place, gw_room *room) {
    const float *o = place->node->options;
    const int H = (int)(place->node->tensors[GW_LSTM_WEIGHT_IH].rows / 4), I = place->in[0], R = place->out;
    lstm_parts p = {
        .l = gw_take(room, 1, sizeof(gw_lstm)),
        .bias = gw_take(room, (size_t)gw_padded(4 * H), sizeof(float)),
        .weight_x = gw_take_matrix(room, 4 * H, I),
        .weight_h = gw_take_matrix(room, 4 * H, R),
        .weight_r = o[GW_LSTM_PROJECTION] != 0.0f ? gw_take_matrix(room, R, H) : NULL,
        .peephole = o[GW_LSTM_PEEPHOLES] != 0.0f ? gw_take(room, 3 * (size_t)H, sizeof(float)) : NULL,
    };
    return p;
}

static gw_status lstm_check(const gw_place *place, gw_room *room, gw_need *need) {
    const float *o = place->node->options;
    const gw_tensor *t = place->node->tensors;
    if (place->node->option_count != GW_LSTM_OPTIONS)
        return gw_fail(place, GW_BAD_OPTIONS, -1, (size_t)place->node->option_count, GW_LSTM_OPTIONS);
    GW_TRY(gw_expect_activation(place, GW_LSTM_GATE_ACTIVATION, 0));
    GW_TRY(gw_expect_activation(place, GW_LSTM_ACTIVATION, 0));
    GW_TRY(gw_expect_activation(place, GW_LSTM_OUTPUT_ACTIVATION, 0));
    GW_TRY(gw_expect_option(place, GW_LSTM_PEEPHOLES, 1));
    GW_TRY(gw_expect_option(place, GW_LSTM_INPUT_FORGET, 1));
    GW_TRY(gw_expect_option(place, GW_LSTM_PROJECTION, 1));
    GW_TRY(gw_expect_bound(place, GW_LSTM_CLIP));
    GW_TRY(gw_expect_bound(place, GW_LSTM_CELL_CLIP));
    const int projected = o[GW_LSTM_PROJECTION] != 0.0f, peepholes = o[GW_LSTM_PEEPHOLES] != 0.0f;
    GW_TRY(gw_expect_counts(place, 1, GW_LSTM_OPTIONS, GW_LSTM_WEIGHT_HR + projected + peepholes));
    const size_t I = (size_t)place->in[0], R = (size_t)place->out, H = projected ? t[GW_LSTM_WEIGHT_HR].cols : R;
    if (H < 1 || H > GW_MOST_WIDTH) return gw_fail(place, GW_BAD_SHAPE, GW_LSTM_WEIGHT_HR, H, GW_MOST_WIDTH);
    GW_TRY(gw_expect_tensor(place, GW_LSTM_WEIGHT_IH, 4 * H, I));
    GW_TRY(gw_expect_tensor(place, GW_LSTM_WEIGHT_HH, 4 * H, R));
    GW_TRY(gw_expect_tensor(place, GW_LSTM_BIAS_IH, 4 * H, 1));
    GW_TRY(gw_expect_tensor(place, GW_LSTM_BIAS_HH, 4 * H, 1));
    if (projected) GW_TRY(gw_expect_tensor(place, GW_LSTM_WEIGHT_HR, R, H));
    if (peepholes) GW_TRY(gw_expect_tensor(place, lstm_peephole(projected), 3 * H, 1));
    lstm_take(place, room);
    need->state = R + H;
    need->scratch = (size_t)gw_padded(4 * (int)H) + (projected ? H + (size_t)gw_padded((int)R) : 0);
    need->macs = 4 * H * (I + R) + (projected ? R * H : 0);
    return GW_OK;
}

static const void *lstm_pack(const gw_place *place, gw_room *room) {
    const lstm_parts p = lstm_take(place, room);
    const gw_tensor *t = place->node->tensors;
    const float *o = place->node->options;
    const int H = (int)(t[GW_LSTM_WEIGHT_IH].rows / 4), I = place->in[0], R = place->out,
              projected = o[GW_LSTM_PROJECTION] != 0.0f;
    const float *bias_ih = t[GW_LSTM_BIAS_IH].data, *bias_hh = t[GW_LSTM_BIAS_HH].data;
    for (int i = 0; i < gw_padded(4 * H); i++) p.bias[i] = i < 4 * H ? bias_ih[i] + bias_hh[i] : 0.0f;
    gw_pack_matrix(p.weight_x, t[GW_LSTM_WEIGHT_IH].data, 4 * H, I, I);
    gw_pack_matrix(p.weight_h, t[GW_LSTM_WEIGHT_HH].data, 4 * H, R, R);
    if (p.weight_r) gw_pack_matrix(p.weight_r, t[GW_LSTM_WEIGHT_HR].data, R, H, H);
    if (p.peephole) memcpy(p.peephole, t[lstm_peephole(projected)].data, 3 * (size_t)H * sizeof(float));
    *p.l = (gw_lstm){
        .inputs = I,
        .units = H,
        .width = R,
        .gate = (int)o[GW_LSTM_GATE_ACTIVATION],
        .act = (int)o[GW_LSTM_ACTIVATION],
        .out = (int)o[GW_LSTM_OUTPUT_ACTIVATION],
        .gate_a = o[GW_LSTM_GATE_ACTIVATION_ALPHA],
        .gate_b = o[GW_LSTM_GATE_ACTIVATION_BETA],
        .act_a = o[GW_LSTM_ACTIVATION_ALPHA],
        .act_b = o[GW_LSTM_ACTIVATION_BETA],
        .out_a = o[GW_LSTM_OUTPUT_ACTIVATION_ALPHA],
        .out_b = o[GW_LSTM_OUTPUT_ACTIVATION_BETA],
        .coupled = o[GW_LSTM_INPUT_FORGET] != 0.0f,
        .clip = o[GW_LSTM_CLIP],
        .cell_clip = o[GW_LSTM_CELL_CLIP],
        .bias = p.bias,
        .weight_x = p.weight_x,
        .weight_h = p.weight_h,
        .weight_r = p.weight_r,
        .peephole = p.peephole,
    };
    return p.l;
}

static const gw_kernel gw_kernel_lstm = {.kind = "lstm", .check = lstm_check, .pack = lstm_pack, .step = lstm_step};

#endif
