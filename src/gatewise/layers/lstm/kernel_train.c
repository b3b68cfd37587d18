/* Long short-term memory over whole sequences, with a gradient; the equations are in spec.py.
 *
 *     i, f, g, o from W_ih x + b_ih + b_hh + W_hh h + peepholes
 *     c' = bound(f c + i g)      y = o out(c')      h' = y, or W_hr y with a projection
 *
 * dy is the gradient with respect to y, and so on; act', gate' and out' are the slopes:
 *
 *     dy = dh', or W_hr^T dh'      do = dy out(c') gate'      dc' += dy o out' + p_o do
 *     di = dc' g gate'     df = dc' c gate'     dg = dc' i act'     (coupled gates: f = 1 - i)
 *     dc = dc' f + p_i di + p_f df       dh = W_hh^T [di, df, dg, do]       dx = W_ih^T [di, df, dg, do]
 *
 * Saved for the backward pass: i, f, g, o, c', out(c'), and the arguments of i, f, g, o if a slope needs them.
 */

#include "options.h"

static int lstm_arguments(const double *options) {
    return gw_act_needs_argument(gw_act_at(options, GW_LSTM_GATE_ACTIVATION, options[GW_LSTM_CLIP])) ||
           gw_act_needs_argument(gw_act_at(options, GW_LSTM_ACTIVATION, options[GW_LSTM_CLIP]));
}

static int lstm_train_sizes(const double *options, size_t count, size_t inputs, size_t rows, size_t hidden,
                            gw_train_sizes *sizes) {
    if (count != GW_LSTM_OPTIONS || rows % 4) return 0;
    const size_t H = rows / 4, R = hidden;
    const int projected = options[GW_LSTM_PROJECTION] != 0.0, peepholes = options[GW_LSTM_PEEPHOLES] != 0.0;
    if (!H || !R || (projected ? R >= H : R != H)) return 0;
    *sizes = (gw_train_sizes){
        .inputs = inputs,
        .units = H,
        .out = R,
        .state = {R, H},
        .saved = (lstm_arguments(options) ? 10 : 6) * H,
        .tensors =
            {{4 * H, inputs}, {4 * H, R}, {4 * H, 1}, {4 * H, 1}, {projected ? R : 0, H}, {peepholes ? 3 * H : 0, 1}},
    };
    return 1;
}

typedef struct lstm_train {
    gw_rows rows;
    gw_accumulated accumulated;
    gw_act gate, act, out;
    int coupled, projected;
    gw_real bound; /* of the cell; 0: none */
    size_t H, R, saved;
    size_t arguments;        /* where the arguments of i, f, g, o begin in a saved row; 0: not saved */
    const gw_real *peephole; /* (3H) i, f, o; NULL: none */
    gw_real *weight_ih, *weight_hh, *weight_hr; /* packed; backward transposed */
    gw_real *bias;                              /* (4H) the sum of both */
    gw_real *own;                               /* forward: (4H) for each row */
    gw_real *y, *dh; /* with a projection, for each row: forward y (H); backward y (H) and dh' (R), accumulated */
    gw_real *dy;     /* with a projection, backward: (H) for each row */
    gw_real *spare;  /* (saved) for each row, if the caller saves nothing */
    size_t wide, narrow, projection; /* distances between rows of own; of y and dy; of dh */
} lstm_train;

static lstm_train lstm_train_take(gw_arena *arena, const gw_sequence *s) {
    const double *options = s->options;
    const size_t H = s->sizes.units, R = s->sizes.out, I = s->sizes.inputs;
    const int back = gw_is_backward(s), projected = options[GW_LSTM_PROJECTION] != 0.0;
    gw_real *(*pack)(gw_arena *, const gw_real *, size_t, size_t) = back ? gw_arena_transpose : gw_arena_matrix;
    lstm_train l = {
        .rows = gw_rows_take(arena, s),
        .gate = gw_act_at(options, GW_LSTM_GATE_ACTIVATION, options[GW_LSTM_CLIP]),
        .act = gw_act_at(options, GW_LSTM_ACTIVATION, options[GW_LSTM_CLIP]),
        .out = gw_act_at(options, GW_LSTM_OUTPUT_ACTIVATION, 0.0),
        .coupled = options[GW_LSTM_INPUT_FORGET] != 0.0,
        .projected = projected,
        .bound = (gw_real)options[GW_LSTM_CELL_CLIP],
        .H = H,
        .R = R,
        .saved = s->sizes.saved,
        .arguments = lstm_arguments(options) ? 6 * H : 0,
        .peephole = s->tensors[GW_LSTM_WEIGHT_PEEPHOLE],
        .wide = gw_row_stride(4 * H),
        .narrow = gw_row_stride(H),
        .projection = gw_row_stride(R),
    };
    l.accumulated = gw_accumulated_take(arena, &l.rows, 4 * H);
    l.weight_ih = pack(arena, s->tensors[GW_LSTM_WEIGHT_IH], 4 * H, I);
    l.weight_hh = pack(arena, s->tensors[GW_LSTM_WEIGHT_HH], 4 * H, R);
    l.weight_hr = projected ? pack(arena, s->tensors[GW_LSTM_WEIGHT_HR], R, H) : NULL;
    l.bias = gw_arena_sum(arena, s->tensors[GW_LSTM_BIAS_IH], s->tensors[GW_LSTM_BIAS_HH], 4 * H);
    const size_t room = back ? l.accumulated.room : l.rows.count;
    l.own = gw_arena_reals(arena, back ? 0 : l.rows.count * l.wide);
    l.y = gw_arena_reals(arena, projected ? room * l.narrow : 0);
    l.dh = gw_arena_reals(arena, projected && back ? room * l.projection : 0);
    l.dy = gw_arena_reals(arena, projected && back ? l.rows.count * l.narrow : 0);
    l.spare = gw_arena_reals(arena, s->saved ? 0 : l.rows.count * l.saved);
    return l;
}

/* a = p * c + a */
static inline void lstm_train_peep(gw_real *a, const gw_real *p, const gw_real *c, size_t H) {
    GW_EACH((int)H, gwv_store_part(
                        a + i, gwv_fma(gwv_load_part(p + i, n), gwv_load_part(c + i, n), gwv_load_part(a + i, n)), n));
}

/* f c + i g, before it is limited to the cell clip. */
static inline gwv lstm_train_cell(gwv f, gwv c, gwv i, gwv g) { return gwv_fma(f, c, gwv_mul(i, g)); }

/* One step of a row up to y. own contains the sums without the peepholes. */
static void lstm_train_step(const lstm_train *l, gw_real *own, gw_real *saved, gw_real *c, gw_real *y) {
    const size_t H = l->H;
    const gw_real *p = l->peephole;
    gw_real *in = saved, *forget = saved + H, *candidate = saved + 2 * H, *o = saved + 3 * H;
    gw_real *cell = saved + 4 * H, *shown = saved + 5 * H, *a = l->arguments ? saved + l->arguments : NULL;
    if (p) lstm_train_peep(own, p, c, H), lstm_train_peep(own + H, p + H, c, H);
    gw_act_apply(l->gate, own, in, a, 2 * H); /* f is stored directly after i */
    if (l->coupled) GW_EACH((int)H, gwv_store_part(forget + i, gwv_sub(gwv_set(1), gwv_load_part(in + i, n)), n));
    gw_act_apply(l->act, own + 2 * H, candidate, a ? a + 2 * H : NULL, H);
    GW_EACH((int)H, {
        gwv next = lstm_train_cell(gwv_load_part(forget + i, n), gwv_load_part(c + i, n), gwv_load_part(in + i, n),
                                   gwv_load_part(candidate + i, n));
        next = gwv_within(l->bound, next);
        gwv_store_part(c + i, next, n);
        gwv_store_part(cell + i, next, n);
    });
    if (p) lstm_train_peep(own + 3 * H, p + 2 * H, c, H);
    gw_act_apply(l->gate, own + 3 * H, o, a ? a + 3 * H : NULL, H);
    gw_act_apply(l->out, c, shown, NULL, H);
    GW_EACH((int)H, gwv_store_part(y + i, gwv_mul(gwv_load_part(o + i, n), gwv_load_part(shown + i, n)), n));
}

static void lstm_train_forward(lstm_train *l, const gw_sequence *s) {
    const size_t H = l->H, R = l->R;
    gw_rows *rows = &l->rows;
    const gw_product x = {l->weight_ih, rows->x, rows->x_stride, (int)s->sizes.inputs};
    const gw_product h = {l->weight_hh, rows->state[0], rows->stride[0], (int)R};
    gw_forward_begin(rows);
    for (size_t t = 0, live; (live = gw_forward_rows(rows, t)); t++) {
        gw_affine_2(l->own, l->wide, l->bias, x, h, (int)(4 * H), (int)live);
        for (size_t i = 0; i < live; i++)
            lstm_train_step(l, l->own + i * l->wide, s->saved ? gw_saved_at(rows, t, i) : l->spare + i * l->saved,
                            rows->state[1] + i * rows->stride[1],
                            l->projected ? l->y + i * l->narrow : rows->state[0] + i * rows->stride[0]);
        if (l->projected) {
            const gw_product y = {l->weight_hr, l->y, l->narrow, (int)H};
            gw_affine(rows->state[0], rows->stride[0], rows->zeros, y, (int)R, (int)live);
        }
        for (size_t i = 0; i < live; i++)
            memcpy(gw_at(rows, s->out, t, i, R), rows->state[0] + i * rows->stride[0], R * sizeof(gw_real));
    }
}

/* The cell before step t of a row: zeros, the first state, or what step t - 1 saved. */
static const gw_real *lstm_cell_before(const lstm_train *l, const gw_sequence *s, size_t t, size_t i) {
    if (gw_is_reset(s, t, l->rows.row[i])) return l->rows.zeros;
    if (t == 0) return (const gw_real *)s->first[1] + l->rows.row[i] * l->H;
    return gw_saved_at(&l->rows, t - 1, i) + 4 * l->H;
}

/* A row at a step of the backward pass. */
typedef struct lstm_back {
    const gw_real *saved, *arguments; /* if arguments are not needed, they are the values */
    const gw_real *before, *dy;       /* before: the cell before the step */
    gw_real *dc;                      /* gradient of the cell after the step, then of that before it */
    gw_real *d;                       /* gradients of the arguments of i, f, g, o */
} lstm_back;

/* Computes the gradients of the arguments of i, f, g, o. Inlined with constant activations where speed matters. */
static inline __attribute__((always_inline)) void lstm_train_slopes(gw_act gate, gw_act act, gw_act out, int coupled,
                                                                    gw_real bound, const gw_real *p, size_t H,
                                                                    lstm_back b) {
    const gw_real *in = b.saved, *forget = b.saved + H, *candidate = b.saved + 2 * H, *o = b.saved + 3 * H;
    const gw_real *cell = b.saved + 4 * H, *shown = b.saved + 5 * H, *a = b.arguments;
    GW_EACH((int)H, {
        gwv back = gwv_load_part(b.dy + i, n);
        gwv open = gwv_load_part(o + i, n);
        gwv y = gwv_load_part(shown + i, n);
        gwv d_o = gwv_mul(gwv_mul(back, y), gw_act_slope(gate, gwv_load_part(a + 3 * H + i, n), open));
        gwv slope = gw_act_slope(out, gwv_load_part(cell + i, n), y);
        gwv sum = gwv_fma(gwv_mul(back, open), slope, gwv_load_part(b.dc + i, n));
        if (p) sum = gwv_fma(gwv_load_part(p + 2 * H + i, n), d_o, sum);
        gwv_store_part(b.d + 3 * H + i, d_o, n);
        gwv i_ = gwv_load_part(in + i, n);
        gwv f = gwv_load_part(forget + i, n);
        gwv g = gwv_load_part(candidate + i, n);
        gwv c = gwv_load_part(b.before + i, n);
        if (bound > 0) sum = gwv_inside(bound, lstm_train_cell(f, c, i_, g), sum);
        gwv d_i = gwv_mul(sum, coupled ? gwv_sub(g, c) : g);
        gwv d_f = coupled ? gwv_set(0) : gwv_mul(sum, c);
        gwv d_g = gwv_mul(sum, i_);
        d_i = gwv_mul(d_i, gw_act_slope(gate, gwv_load_part(a + i, n), i_));
        d_f = gwv_mul(d_f, gw_act_slope(gate, gwv_load_part(a + H + i, n), f));
        d_g = gwv_mul(d_g, gw_act_slope(act, gwv_load_part(a + 2 * H + i, n), g));
        sum = gwv_mul(sum, f);
        if (p) sum = gwv_fma(gwv_load_part(p + i, n), d_i, sum);
        if (p) sum = gwv_fma(gwv_load_part(p + H + i, n), d_f, sum);
        gwv_store_part(b.d + i, d_i, n);
        gwv_store_part(b.d + H + i, d_f, n);
        gwv_store_part(b.d + 2 * H + i, d_g, n);
        gwv_store_part(b.dc + i, sum, n);
    });
}

/* Adds to the gradient of the peepholes: those of i and f times the cell before the step, and that of o times the cell
 * after it. */
static void lstm_train_peepholes(gw_real *d_p, lstm_back b, size_t H) {
    const gw_real *after = b.saved + 4 * H;
    GW_EACH((int)H, {
        gwv before = gwv_load_part(b.before + i, n);
        gwv sum = gwv_fma(gwv_load_part(b.d + i, n), before, gwv_load_part(d_p + i, n));
        gwv_store_part(d_p + i, sum, n);
        sum = gwv_fma(gwv_load_part(b.d + H + i, n), before, gwv_load_part(d_p + H + i, n));
        gwv_store_part(d_p + H + i, sum, n);
        sum =
            gwv_fma(gwv_load_part(b.d + 3 * H + i, n), gwv_load_part(after + i, n), gwv_load_part(d_p + 2 * H + i, n));
        gwv_store_part(d_p + 2 * H + i, sum, n);
    });
}

static void lstm_train_products(lstm_train *l, const gw_sequence *s) {
    const size_t H = l->H, R = l->R, I = s->sizes.inputs;
    gw_accumulated *p = &l->accumulated;
    const gw_product back = {l->weight_ih, p->d, p->d_stride, (int)(4 * H)};
    gw_accumulated_x(p, &l->rows, &back, 1);
    gw_accumulated_weight(p, s->d_tensors[GW_LSTM_WEIGHT_IH], 0, 4 * H, p->x, p->x_stride, I);
    gw_accumulated_weight(p, s->d_tensors[GW_LSTM_WEIGHT_HH], 0, 4 * H, p->h, p->h_stride, R);
    gw_accumulated_bias(p, s->d_tensors[GW_LSTM_BIAS_IH], 0, 4 * H);
    if (l->projected)
        gw_outer(s->d_tensors[GW_LSTM_WEIGHT_HR], H, l->dh, l->projection, l->y, l->narrow, (int)R, (int)H,
                 (int)p->count);
    p->count = 0;
}

/* With a projection: computes dy = W_hr^T dh', and accumulates y and dh' for the gradient of W_hr. */
static void lstm_train_project(lstm_train *l, size_t t, size_t live) {
    const size_t H = l->H, R = l->R;
    const gw_product back = {l->weight_hr, l->rows.state[0], l->rows.stride[0], (int)R};
    gw_affine(l->dy, l->narrow, l->rows.zeros, back, (int)H, (int)live);
    for (size_t row = 0; row < live; row++) {
        const size_t k = l->accumulated.count + row;
        const gw_real *o = gw_saved_at(&l->rows, t, row) + 3 * H, *shown = o + 2 * H;
        gw_real *y = l->y + k * l->narrow;
        memcpy(l->dh + k * l->projection, l->rows.state[0] + row * l->rows.stride[0], R * sizeof(gw_real));
        GW_EACH((int)H, gwv_store_part(y + i, gwv_mul(gwv_load_part(o + i, n), gwv_load_part(shown + i, n)), n));
    }
}

static void lstm_train_backward(lstm_train *l, const gw_sequence *s) {
    const size_t H = l->H, R = l->R;
    const int plain = gw_act_is(l->gate, GW_SIGMOID) && gw_act_is(l->act, GW_TANH) && gw_act_is(l->out, GW_TANH) &&
                      !l->coupled && !l->peephole && l->bound <= 0;
    gw_rows *rows = &l->rows;
    gw_accumulated *p = &l->accumulated;
    for (size_t t = s->time; t-- > 0;) {
        const size_t live = gw_backward_rows(rows, t);
        if (p->count + live > p->room) lstm_train_products(l, s);
        gw_accumulate_step(p, rows, t, live);
        for (size_t i = 0; i < live; i++)
            gw_add_to(rows->state[0] + i * rows->stride[0], gw_at(rows, s->d_out, t, i, R), R);
        if (l->projected) lstm_train_project(l, t, live);
        for (size_t i = 0; i < live; i++) {
            const gw_real *saved = gw_saved_at(rows, t, i);
            const lstm_back b = {
                .saved = saved,
                .arguments = l->arguments ? saved + l->arguments : saved,
                .before = lstm_cell_before(l, s, t, i),
                .dy = l->projected ? l->dy + i * l->narrow : rows->state[0] + i * rows->stride[0],
                .dc = rows->state[1] + i * rows->stride[1],
                .d = p->d + (p->count + i) * p->d_stride,
            };
            if (plain)
                lstm_train_slopes(gw_plain_sigmoid, gw_plain_tanh, gw_plain_tanh, 0, 0, NULL, H, b);
            else
                lstm_train_slopes(l->gate, l->act, l->out, l->coupled, l->bound, l->peephole, H, b);
            if (l->peephole) lstm_train_peepholes(s->d_tensors[GW_LSTM_WEIGHT_PEEPHOLE], b, H);
        }
        const gw_product back = {l->weight_hh, p->d + p->count * p->d_stride, p->d_stride, (int)(4 * H)};
        gw_affine(rows->state[0], rows->stride[0], rows->zeros, back, (int)R, (int)live);
        p->count += live;
        gw_backward_reset(rows, t);
    }
    lstm_train_products(l, s);
    memcpy(s->d_tensors[GW_LSTM_BIAS_HH], s->d_tensors[GW_LSTM_BIAS_IH], 4 * H * sizeof(gw_real));
    gw_backward_end(rows);
}

GW_TRAIN_KERNEL(lstm)
