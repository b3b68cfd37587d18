/* Gated recurrent unit over whole sequences, with a gradient; the equations are in spec.py.
 *
 *     r = gate(W_ir x + b_ir + W_hr h + b_hr)      z likewise
 *     u = W_in x + b_in      v = W_hn h + b_hn
 *     n = act(u + r v)                             reset after
 *     n = act(u + W_hn (r h) + b_hn)               reset before
 *     h' = n + z (h - n)
 *
 * dn is the gradient with respect to n, and so on; act' and gate' are the slopes:
 *
 *     dn = dh' (1 - z) act'     dz = dh' (h - n) gate'     dr = dn v gate'     dv = dn r
 *     dh = dh' z + W_hh^T [dr, dz, dv]                     dx = W_ih^T [dr, dz, dn]
 *
 * and with reset before, s = W_hn^T dn:     dr = s h gate'     dh = dh' z + s r + W_hrz^T [dr, dz]
 *
 * Saved for the backward pass: r, z, n, v (H each; v only with reset after), and the arguments of r, z, n if a slope
 * needs them. Gradients are accumulated in the order [dn, dr, dz, dv]; the last three are those of the products with
 * W_hh.
 */

#include "options.h"

static int gru_arguments(const double *options) {
    return gw_act_needs_argument(gw_act_at(options, GW_GRU_GATE_ACTIVATION, options[GW_GRU_CLIP])) ||
           gw_act_needs_argument(gw_act_at(options, GW_GRU_ACTIVATION, options[GW_GRU_CLIP]));
}

static int gru_train_sizes(const double *options, size_t count, size_t inputs, size_t rows, size_t hidden,
                           gw_train_sizes *sizes) {
    if (count != GW_GRU_OPTIONS || !hidden || rows != 3 * hidden) return 0;
    const size_t H = hidden, own = options[GW_GRU_RESET] != 0.0 ? 3 * H : 4 * H;
    *sizes = (gw_train_sizes){
        .inputs = inputs,
        .units = H,
        .out = H,
        .state = {H},
        .saved = own + (gru_arguments(options) ? 3 * H : 0),
        .tensors = {{3 * H, inputs}, {3 * H, H}, {3 * H, 1}, {3 * H, 1}},
    };
    return 1;
}

typedef struct gru_train {
    gw_rows rows;
    gw_accumulated accumulated;
    gw_act gate, act;
    int before;              /* the reset gate acts before the recurrent matrix */
    size_t saved, arguments; /* numbers saved for a row; where the arguments of r, z, n begin in it, 0: not saved */
    gw_real *ih_rz, *ih_n, *hh_rz, *hh_n; /* packed; backward transposed, and with reset after hh_rz is all of W_hh^T */
    gw_real *bias_rz, *bias_n, *bias_v;   /* (2H), (H), (H): initial values of the sums */
    gw_real *own;              /* for each row: r and z (2H); u (H); v (H), or with reset before r h; in whole panels */
    size_t stride, at_u, at_v; /* distance between rows of own, positions within a row */
    gw_real *reset, *sum;      /* backward with reset before, (H) for each row: r h, accumulated, and s */
    size_t narrow;             /* distance between rows of reset and sum */
    gw_real *spare;            /* (saved) for each row, if the caller saves nothing */
} gru_train;

static gru_train gru_train_take(gw_arena *arena, const gw_sequence *s) {
    const size_t H = s->sizes.units, I = s->sizes.inputs;
    const int before = s->options[GW_GRU_RESET] != 0.0, back = gw_is_backward(s);
    const gw_real *ih = s->tensors[GW_GRU_WEIGHT_IH], *hh = s->tensors[GW_GRU_WEIGHT_HH];
    const gw_real *bias_ih = s->tensors[GW_GRU_BIAS_IH], *bias_hh = s->tensors[GW_GRU_BIAS_HH];
    gw_real *(*pack)(gw_arena *, const gw_real *, size_t, size_t) = back ? gw_arena_transpose : gw_arena_matrix;
    gru_train g = {
        .rows = gw_rows_take(arena, s),
        .gate = gw_act_at(s->options, GW_GRU_GATE_ACTIVATION, s->options[GW_GRU_CLIP]),
        .act = gw_act_at(s->options, GW_GRU_ACTIVATION, s->options[GW_GRU_CLIP]),
        .before = before,
        .saved = s->sizes.saved,
        .arguments = gru_arguments(s->options) ? (before ? 3 : 4) * H : 0,
        .at_u = (size_t)gw_padded((int)(2 * H)),
        .narrow = gw_row_stride(H),
    };
    g.at_v = g.at_u + (size_t)gw_padded((int)H);
    g.stride = gw_row_stride(g.at_v + H);
    g.accumulated = gw_accumulated_take(arena, &g.rows, 4 * H);
    g.ih_rz = pack(arena, ih, 2 * H, I);
    g.ih_n = pack(arena, ih + 2 * H * I, H, I);
    g.hh_rz = pack(arena, hh, back && !before ? 3 * H : 2 * H, H);
    g.hh_n = back && !before ? NULL : pack(arena, hh + 2 * H * H, H, H);
    g.bias_rz = gw_arena_sum(arena, bias_ih, bias_hh, 2 * H);
    g.bias_n = gw_arena_sum(arena, bias_ih + 2 * H, before ? bias_hh + 2 * H : NULL, H);
    g.bias_v = gw_arena_sum(arena, bias_hh + 2 * H, NULL, H);
    g.own = gw_arena_reals(arena, back ? 0 : g.rows.count * g.stride);
    g.reset = gw_arena_reals(arena, back && before ? g.accumulated.room * g.narrow : 0);
    g.sum = gw_arena_reals(arena, back && before ? g.rows.count * g.narrow : 0);
    g.spare = gw_arena_reals(arena, s->saved ? 0 : g.rows.count * g.saved);
    return g;
}

/* r and z of a row from its sums; with reset before also r h. */
static void gru_train_gates(const gru_train *g, gw_real *own, gw_real *saved, const gw_real *h, size_t H) {
    gw_real *reset = own + g->at_v;
    gw_act_apply(g->gate, own, saved, g->arguments ? saved + g->arguments : NULL, 2 * H);
    if (g->before)
        GW_EACH((int)H, gwv_store_part(reset + i, gwv_mul(gwv_load_part(saved + i, n), gwv_load_part(h + i, n)), n));
}

/* n and the hidden state of a row. */
static void gru_train_state(const gru_train *g, gw_real *own, gw_real *saved, gw_real *h, gw_real *out, size_t H) {
    const gw_real *r = saved, *z = saved + H, *v = own + g->at_v;
    gw_real *candidate = saved + 2 * H, *saved_v = saved + 3 * H, *u = own + g->at_u;
    if (!g->before)
        GW_EACH((int)H, {
            gwv rest = gwv_load_part(v + i, n);
            gwv_store_part(saved_v + i, rest, n);
            gwv_store_part(u + i, gwv_fma(gwv_load_part(r + i, n), rest, gwv_load_part(u + i, n)), n);
        });
    gw_act_apply(g->act, u, candidate, g->arguments ? saved + g->arguments + 2 * H : NULL, H);
    GW_EACH((int)H, {
        gwv c = gwv_load_part(candidate + i, n);
        gwv next = gwv_fma(gwv_load_part(z + i, n), gwv_sub(gwv_load_part(h + i, n), c), c);
        gwv_store_part(h + i, next, n);
        gwv_store_part(out + i, next, n);
    });
}

static void gru_train_forward(gru_train *g, const gw_sequence *s) {
    const size_t H = s->sizes.units;
    gw_rows *rows = &g->rows;
    const gw_product x_rz = {g->ih_rz, rows->x, rows->x_stride, (int)s->sizes.inputs};
    const gw_product x_n = {g->ih_n, rows->x, rows->x_stride, (int)s->sizes.inputs};
    const gw_product h_rz = {g->hh_rz, rows->state[0], rows->stride[0], (int)H};
    const gw_product h_n = {g->hh_n, rows->state[0], rows->stride[0], (int)H};
    const gw_product reset_n = {g->hh_n, g->own + g->at_v, g->stride, (int)H};
    gw_forward_begin(rows);
    for (size_t t = 0, live; (live = gw_forward_rows(rows, t)); t++) {
        gw_affine_2(g->own, g->stride, g->bias_rz, x_rz, h_rz, (int)(2 * H), (int)live);
        for (size_t i = 0; i < live; i++)
            gru_train_gates(g, g->own + i * g->stride, s->saved ? gw_saved_at(rows, t, i) : g->spare + i * g->saved,
                            rows->state[0] + i * rows->stride[0], H);
        if (g->before) {
            gw_affine_2(g->own + g->at_u, g->stride, g->bias_n, x_n, reset_n, (int)H, (int)live);
        } else {
            gw_affine(g->own + g->at_u, g->stride, g->bias_n, x_n, (int)H, (int)live);
            gw_affine(g->own + g->at_v, g->stride, g->bias_v, h_n, (int)H, (int)live);
        }
        for (size_t i = 0; i < live; i++)
            gru_train_state(g, g->own + i * g->stride, s->saved ? gw_saved_at(rows, t, i) : g->spare + i * g->saved,
                            rows->state[0] + i * rows->stride[0], gw_at(rows, s->out, t, i, H), H);
    }
}

/* A row at a step of the backward pass. */
typedef struct gru_back {
    const gw_real *saved, *arguments; /* if arguments are not needed, they are the values */
    const gw_real *d_out, *h;         /* h: the hidden state before the step */
    gw_real *dh;                      /* gradient of the state after the step, then of that before it */
    gw_real *d;                       /* [dn, dr, dz, dv] */
} gru_back;

static gru_back gru_train_row(const gru_train *g, const gw_sequence *s, size_t t, size_t i) {
    const gw_real *saved = gw_saved_at(&g->rows, t, i);
    return (gru_back){
        .saved = saved,
        .arguments = g->arguments ? saved + g->arguments : saved,
        .d_out = gw_at(&g->rows, s->d_out, t, i, s->sizes.units),
        .h = g->accumulated.h + (g->accumulated.count + i) * g->accumulated.h_stride,
        .dh = g->rows.state[0] + i * g->rows.stride[0],
        .d = g->accumulated.d + (g->accumulated.count + i) * g->accumulated.d_stride,
    };
}

/* Computes dn, dz and, with reset after, dr and dv; dh becomes dh' z. Inlined with constant activations where speed
 * matters. */
static inline __attribute__((always_inline)) void gru_train_slopes(gw_act gate, gw_act act, int before, gru_back b,
                                                                   size_t H) {
    const gw_real *r = b.saved, *z = b.saved + H, *candidate = b.saved + 2 * H, *v = b.saved + 3 * H, *a = b.arguments;
    gw_real *dn = b.d, *dr = b.d + H, *dz = b.d + 2 * H, *dv = b.d + 3 * H;
    GW_EACH((int)H, {
        gwv zz = gwv_load_part(z + i, n);
        gwv c = gwv_load_part(candidate + i, n);
        gwv d = gwv_add(gwv_load_part(b.dh + i, n), gwv_load_part(b.d_out + i, n));
        gwv by_z = gwv_mul(d, gwv_sub(gwv_load_part(b.h + i, n), c));
        gwv by_n = gwv_mul(d, gwv_sub(gwv_set(1), zz));
        by_z = gwv_mul(by_z, gw_act_slope(gate, gwv_load_part(a + H + i, n), zz));
        by_n = gwv_mul(by_n, gw_act_slope(act, gwv_load_part(a + 2 * H + i, n), c));
        gwv_store_part(dz + i, by_z, n);
        gwv_store_part(dn + i, by_n, n);
        gwv_store_part(b.dh + i, gwv_mul(d, zz), n);
        if (!before) {
            gwv rr = gwv_load_part(r + i, n);
            gwv by_r = gwv_mul(gwv_mul(by_n, gwv_load_part(v + i, n)), gw_act_slope(gate, gwv_load_part(a + i, n), rr));
            gwv_store_part(dr + i, by_r, n);
            gwv_store_part(dv + i, gwv_mul(by_n, rr), n);
        }
    });
}

/* With reset before, s = W_hn^T dn is known. Computes dr, dh += s r, and r h for the gradient of W_hn. */
static void gru_train_before(const gru_train *g, gru_back b, const gw_real *sum, gw_real *reset, size_t H) {
    GW_EACH((int)H, {
        gwv r = gwv_load_part(b.saved + i, n);
        gwv h = gwv_load_part(b.h + i, n);
        gwv d = gwv_load_part(sum + i, n);
        gwv by_r = gwv_mul(gwv_mul(d, h), gw_act_slope(g->gate, gwv_load_part(b.arguments + i, n), r));
        gwv_store_part(b.d + H + i, by_r, n);
        gwv_store_part(b.dh + i, gwv_fma(d, r, gwv_load_part(b.dh + i, n)), n);
        gwv_store_part(reset + i, gwv_mul(r, h), n);
    });
}

static void gru_train_products(gru_train *g, const gw_sequence *s) {
    const size_t H = s->sizes.units, I = s->sizes.inputs;
    gw_real *d_ih = s->d_tensors[GW_GRU_WEIGHT_IH], *d_hh = s->d_tensors[GW_GRU_WEIGHT_HH];
    gw_real *d_bias_ih = s->d_tensors[GW_GRU_BIAS_IH], *d_bias_hh = s->d_tensors[GW_GRU_BIAS_HH];
    gw_accumulated *p = &g->accumulated;
    const gw_product back[2] = {{g->ih_rz, p->d + H, p->d_stride, (int)(2 * H)}, {g->ih_n, p->d, p->d_stride, (int)H}};
    gw_accumulated_x(p, &g->rows, back, 2);
    gw_accumulated_weight(p, d_ih, H, 2 * H, p->x, p->x_stride, I);
    gw_accumulated_weight(p, d_ih + 2 * H * I, 0, H, p->x, p->x_stride, I);
    gw_accumulated_bias(p, d_bias_ih, H, 2 * H);
    gw_accumulated_bias(p, d_bias_ih + 2 * H, 0, H);
    if (g->before) {
        gw_accumulated_weight(p, d_hh, H, 2 * H, p->h, p->h_stride, H);
        gw_accumulated_weight(p, d_hh + 2 * H * H, 0, H, g->reset, g->narrow, H);
    } else {
        gw_accumulated_weight(p, d_hh, H, 3 * H, p->h, p->h_stride, H);
        gw_accumulated_bias(p, d_bias_hh + 2 * H, 3 * H, H);
    }
    p->count = 0;
}

static void gru_train_backward(gru_train *g, const gw_sequence *s) {
    const size_t H = s->sizes.units;
    const int plain = gw_act_is(g->gate, GW_SIGMOID) && gw_act_is(g->act, GW_TANH) && !g->before;
    gw_real *d_bias_ih = s->d_tensors[GW_GRU_BIAS_IH], *d_bias_hh = s->d_tensors[GW_GRU_BIAS_HH];
    gw_rows *rows = &g->rows;
    gw_accumulated *p = &g->accumulated;
    for (size_t t = s->time; t-- > 0;) {
        const size_t live = gw_backward_rows(rows, t);
        if (p->count + live > p->room) gru_train_products(g, s);
        gw_accumulate_step(p, rows, t, live);
        const gw_real *d = p->d + p->count * p->d_stride;
        for (size_t i = 0; i < live; i++)
            if (plain)
                gru_train_slopes(gw_plain_sigmoid, gw_plain_tanh, 0, gru_train_row(g, s, t, i), H);
            else
                gru_train_slopes(g->gate, g->act, g->before, gru_train_row(g, s, t, i), H);
        if (g->before) {
            const gw_product back = {g->hh_n, d, p->d_stride, (int)H};
            gw_affine(g->sum, g->narrow, rows->zeros, back, (int)H, (int)live);
            for (size_t i = 0; i < live; i++)
                gru_train_before(g, gru_train_row(g, s, t, i), g->sum + i * g->narrow,
                                 g->reset + (p->count + i) * g->narrow, H);
        }
        gw_matmul(rows->state[0], rows->stride[0], g->hh_rz, d + H, p->d_stride, (int)H,
                  (int)(g->before ? 2 * H : 3 * H), (int)live);
        p->count += live;
        gw_backward_reset(rows, t);
    }
    gru_train_products(g, s);
    memcpy(d_bias_hh, d_bias_ih, (g->before ? 3 : 2) * H * sizeof(gw_real));
    gw_backward_end(rows);
}

GW_TRAIN_KERNEL(gru)
