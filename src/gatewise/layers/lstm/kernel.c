/* Long short-term memory: one step.
 *
 *     i  = gate(W_ii x + b_ii + W_hi h + b_hi + p_i * c)
 *     f  = gate(W_if x + b_if + W_hf h + b_hf + p_f * c)      or 1 - i where the gates are coupled
 *     g  = act(W_ig x + b_ig + W_hg h + b_hg)
 *     c' = flush(bound(f * c + i * g, cell clip))
 *     o  = gate(W_io x + b_io + W_ho h + b_ho + p_o * c')
 *     y  = o * out(c')
 *     h' = flush(y), or with a projection flush(W_hr y)
 *
 * What goes into gate and act is first held within the clip, where there is one.
 *
 * Reads one edge of I values, writes h' (H, or P with a projection). State: h (P or H), c (H). Gates in the order i, f, g, o.
 * Options: gate kind, slope, offset, act kind, slope, offset, out kind, slope, offset, peepholes (0, 1), coupled (0, 1),
 * projected (0, 1), clip (0 = none), cell clip (0 = none).
 * Tensors: weight_ih (4H, I), weight_hh (4H, P or H), bias_ih (4H), bias_hh (4H); with a projection weight_hr (P, H); with
 * peepholes weight_peephole (3H) in the order i, f, o.
 *
 * Order of each sum: b_i + b_h (one rounding), x ascending, h ascending, then p * c.
 */

typedef struct gw_lstm {
    int inputs, units, width; /* I, H, and the width of h: P or H */
    int gate, act, out;       /* kinds of activation */
    float gate_a, gate_b, act_a, act_b, out_a, out_b;
    int coupled;
    float clip, cell_clip; /* 0 = none */
    const float *bias;     /* (4H), 0 up to a whole panel */
    const float *weight_x; /* (4H, I) packed */
    const float *weight_h; /* (4H, P or H) packed */
    const float *weight_r; /* (P, H) packed; NULL without a projection */
    const float *peephole; /* (3H) i, f, o; NULL without */
} gw_lstm;

/* n lanes at p. With n = GW_LANES constant these are plain loads and stores, which some CPUs do much faster. */
static inline gwv lstm_load(const float *p, int n) { return n == GW_LANES ? gwv_load(p) : gwv_load_n(p, n); }

static inline void lstm_store(float *p, gwv v, int n) {
    if (n == GW_LANES)
        gwv_store(p, v);
    else
        gwv_store_n(p, v, n);
}

static inline gwv lstm_within(float bound, gwv v) {
    return bound > 0.0f ? gwv_clamp(v, gwv_set(-bound), gwv_set(bound)) : v;
}

/* n lanes from i on of c' and y, which goes to two places. Called with constants where speed matters: then the switches are gone. plain: neither
 * peepholes, coupled gates nor clips. */
static inline void lstm_gates(const gw_lstm *l, int gate, int act, int out, int plain, const float *sum, float *c,
                              float *y, float *copy, int i, int n) {
    const int H = l->units;
    gwv before = lstm_load(c + i, n), a_i = lstm_load(sum + i, n), a_f = lstm_load(sum + H + i, n);
    gwv a_g = lstm_load(sum + 2 * H + i, n), a_o = lstm_load(sum + 3 * H + i, n);
    if (!plain && l->peephole) {
        a_i = gwv_fma(lstm_load(l->peephole + i, n), before, a_i);
        a_f = gwv_fma(lstm_load(l->peephole + H + i, n), before, a_f);
    }
    if (!plain) {
        a_i = lstm_within(l->clip, a_i);
        a_f = lstm_within(l->clip, a_f);
        a_g = lstm_within(l->clip, a_g);
    }
    gwv in = gwv_activate(gate, l->gate_a, l->gate_b, a_i);
    gwv forget = !plain && l->coupled ? gwv_sub(gwv_set(1.0f), in) : gwv_activate(gate, l->gate_a, l->gate_b, a_f);
    gwv cell = gwv_fma(forget, before, gwv_mul(in, gwv_activate(act, l->act_a, l->act_b, a_g)));
    if (!plain) cell = lstm_within(l->cell_clip, cell);
    cell = gwv_flush(cell);
    if (!plain && l->peephole) a_o = gwv_fma(lstm_load(l->peephole + 2 * H + i, n), cell, a_o);
    if (!plain) a_o = lstm_within(l->clip, a_o);
    lstm_store(c + i, cell, n);
    gwv open = gwv_activate(gate, l->gate_a, l->gate_b, a_o);
    gwv next = gwv_flush(gwv_mul(open, gwv_activate(out, l->out_a, l->out_b, cell)));
    lstm_store(y + i, next, n);
    lstm_store(copy + i, next, n);
}

static inline void lstm_update(const gw_lstm *l, int gate, int act, int out, int plain, const float *sum, float *c,
                               float *y, float *copy) {
    int i = 0;
    for (; i + GW_LANES <= l->units; i += GW_LANES) lstm_gates(l, gate, act, out, plain, sum, c, y, copy, i, GW_LANES);
    if (i < l->units) lstm_gates(l, gate, act, out, plain, sum, c, y, copy, i, l->units - i);
}

static void lstm_step(const void *layer, const gw_batch *b) {
    const gw_lstm *l = layer;
    const int H = l->units, R = l->width, wide = gw_padded(4 * H);
    const size_t stride = b->scratch_stride;
    float *sums = b->scratch; /* (4H) i, f, g, o, with room for whole panels */
    float *ys = sums + wide;  /* with a projection (H) y, then (P) its product */
    const gw_product x = {l->weight_x, b->in[0], b->in_stride[0], l->inputs};
    const gw_product before = {l->weight_h, b->state, b->state_stride, R};
    gw_affine_2(sums, stride, l->bias, x, before, 4 * H, b->count);
    const int plain = l->gate == GW_SIGMOID && l->act == GW_TANH && l->out == GW_TANH && !l->peephole && !l->coupled &&
                      l->clip <= 0.0f && l->cell_clip <= 0.0f;
    for (int s = 0; s < b->count; s++) {
        const float *sum = sums + (size_t)s * stride;
        float *h = b->state + (size_t)s * b->state_stride, *c = h + R;
        float *y = l->weight_r ? ys + (size_t)s * stride : h;
        float *copy = l->weight_r ? y : b->out + (size_t)s * b->out_stride;
        if (plain)
            lstm_update(l, GW_SIGMOID, GW_TANH, GW_TANH, 1, sum, c, y, copy);
        else
            lstm_update(l, l->gate, l->act, l->out, 0, sum, c, y, copy);
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

enum {
    LSTM_GATE = 0,
    LSTM_ACT = 3,
    LSTM_OUT = 6,
    LSTM_PEEPHOLES = 9,
    LSTM_COUPLED,
    LSTM_PROJECTED,
    LSTM_CLIP,
    LSTM_CELL_CLIP,
    LSTM_OPTIONS
};

typedef struct lstm_parts {
    gw_lstm *l;
    float *bias, *weight_x, *weight_h, *weight_r, *peephole;
} lstm_parts;

static lstm_parts lstm_take(const gw_place *place, gw_room *room) {
    const float *o = place->node->options;
    const int H = (int)(place->node->tensors[0].rows / 4), I = place->in[0], R = place->out;
    lstm_parts p = {
        .l = gw_take(room, 1, sizeof(gw_lstm)),
        .bias = gw_take(room, (size_t)gw_padded(4 * H), sizeof(float)),
        .weight_x = gw_take_matrix(room, 4 * H, I),
        .weight_h = gw_take_matrix(room, 4 * H, R),
        .weight_r = o[LSTM_PROJECTED] != 0.0f ? gw_take_matrix(room, R, H) : NULL,
        .peephole = o[LSTM_PEEPHOLES] != 0.0f ? gw_take(room, 3 * (size_t)H, sizeof(float)) : NULL,
    };
    return p;
}

static gw_status lstm_check(const gw_place *place, gw_room *room, gw_need *need) {
    const float *o = place->node->options;
    const gw_tensor *t = place->node->tensors;
    if (place->node->option_count != LSTM_OPTIONS)
        return gw_fail(place, GW_BAD_OPTIONS, -1, (size_t)place->node->option_count, LSTM_OPTIONS);
    for (int i = 0; i < LSTM_PEEPHOLES; i += 3) GW_TRY(gw_expect_activation(place, i, 0));
    for (int i = LSTM_PEEPHOLES; i <= LSTM_PROJECTED; i++) GW_TRY(gw_expect_option(place, i, 1));
    for (int i = LSTM_CLIP; i < LSTM_OPTIONS; i++)
        if (!(o[i] >= 0.0f)) return gw_fail(place, GW_BAD_OPTION, i, 0, 0);
    const int projected = o[LSTM_PROJECTED] != 0.0f, peepholes = o[LSTM_PEEPHOLES] != 0.0f;
    GW_TRY(gw_expect_counts(place, 1, LSTM_OPTIONS, 4 + projected + peepholes));
    const size_t I = (size_t)place->in[0], R = (size_t)place->out, H = projected ? t[4].cols : R;
    if (H < 1 || H > GW_MOST_WIDTH) return gw_fail(place, GW_BAD_SHAPE, 4, H, GW_MOST_WIDTH);
    GW_TRY(gw_expect_tensor(place, 0, 4 * H, I));
    GW_TRY(gw_expect_tensor(place, 1, 4 * H, R));
    GW_TRY(gw_expect_tensor(place, 2, 4 * H, 1));
    GW_TRY(gw_expect_tensor(place, 3, 4 * H, 1));
    if (projected) GW_TRY(gw_expect_tensor(place, 4, R, H));
    if (peepholes) GW_TRY(gw_expect_tensor(place, 4 + projected, 3 * H, 1));
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
    const int H = (int)(t[0].rows / 4), I = place->in[0], R = place->out, projected = o[LSTM_PROJECTED] != 0.0f;
    for (int i = 0; i < gw_padded(4 * H); i++) p.bias[i] = i < 4 * H ? t[2].data[i] + t[3].data[i] : 0.0f;
    gw_pack_matrix(p.weight_x, t[0].data, 4 * H, I, I);
    gw_pack_matrix(p.weight_h, t[1].data, 4 * H, R, R);
    if (p.weight_r) gw_pack_matrix(p.weight_r, t[4].data, R, H, H);
    if (p.peephole) memcpy(p.peephole, t[4 + projected].data, 3 * (size_t)H * sizeof(float));
    *p.l = (gw_lstm){
        .inputs = I,
        .units = H,
        .width = R,
        .gate = (int)o[LSTM_GATE],
        .act = (int)o[LSTM_ACT],
        .out = (int)o[LSTM_OUT],
        .gate_a = o[LSTM_GATE + 1],
        .gate_b = o[LSTM_GATE + 2],
        .act_a = o[LSTM_ACT + 1],
        .act_b = o[LSTM_ACT + 2],
        .out_a = o[LSTM_OUT + 1],
        .out_b = o[LSTM_OUT + 2],
        .coupled = o[LSTM_COUPLED] != 0.0f,
        .clip = o[LSTM_CLIP],
        .cell_clip = o[LSTM_CELL_CLIP],
        .bias = p.bias,
        .weight_x = p.weight_x,
        .weight_h = p.weight_h,
        .weight_r = p.weight_r,
        .peephole = p.peephole,
    };
    return p.l;
}

static const gw_kernel gw_kernel_lstm = {"lstm", lstm_check, lstm_pack, lstm_step, NULL};

#endif
