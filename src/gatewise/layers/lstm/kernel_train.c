/* Long short-term memory over whole sequences, with a gradient; the equations are in spec.py.
 *
 *     i, f, g, o from sums + W h + peepholes      sums: the input's share with both biases
 *     c' = bound(f c + i g)      y = o out(c')      h' = y, or W_r y with a projection
 *
 * With d for the gradient of what follows it:
 *
 *     dy = dh', or W_r^T dh'       do = dy out(c') gate'      dc' += dy o out' + p_o do
 *     di = dc' g gate'     df = dc' c gate'     dg = dc' i act'     (coupled gates: f = 1 - i)
 *     dc = dc' f + p_i di + p_f df       dh = W^T [di, df, dg, do]
 *
 * Options as in kernel.c. Tensors: weight_hh (4H, R), with a projection weight_hr (R, H), with peepholes weight_peephole (3H).
 * Kept: i, f, g, o, c', out(c'), and where a slope needs them what goes into the four. Extra, with a projection: dh' (R).
 */

enum {
    LSTM_AT_GATE = 0,
    LSTM_AT_ACT = 3,
    LSTM_AT_OUT = 6,
    LSTM_AT_PEEPHOLES = 9,
    LSTM_AT_COUPLED,
    LSTM_AT_PROJECTED,
    LSTM_AT_CLIP,
    LSTM_AT_CELL
};

static int lstm_arguments(const double *options) {
    return gw_act_needs_argument(gw_act_at(options, LSTM_AT_GATE, options[LSTM_AT_CLIP])) ||
           gw_act_needs_argument(gw_act_at(options, LSTM_AT_ACT, options[LSTM_AT_CLIP]));
}

static int lstm_train_sizes(const double *options, size_t count, size_t sums, size_t hidden, gw_train_sizes *sizes) {
    if (count != 14 || sums % 4) return 0;
    const size_t H = sums / 4, R = hidden;
    const int projected = options[LSTM_AT_PROJECTED] != 0.0, peepholes = options[LSTM_AT_PEEPHOLES] != 0.0;
    if (!H || !R || (projected ? R >= H : R != H)) return 0;
    *sizes = (gw_train_sizes){
        .units = H,
        .sums = sums,
        .out = R,
        .state = {R, H},
        .kept = (lstm_arguments(options) ? 10 : 6) * H,
        .extra = projected ? R : 0,
        .tensors = {{4 * H, R}, {projected ? R : 0, H}, {peepholes ? 3 * H : 0, 1}},
        .packed = {gw_packed_size(4 * H, R) + (projected ? gw_packed_size(R, H) : 0),
                   gw_packed_size(R, 4 * H) + (projected ? gw_packed_size(H, R) : 0)},
    };
    return 1;
}

/* The projection, after the recurrent matrix. */
static gw_real *lstm_train_packed_r(const gw_sequence *s, int direction, const void *packed) {
    const size_t H = s->sizes.units, R = s->sizes.out;
    return (gw_real *)packed + (direction ? gw_packed_size(R, 4 * H) : gw_packed_size(4 * H, R));
}

static void lstm_train_pack(const gw_sequence *s, int direction, void *packed) {
    const size_t H = s->sizes.units, R = s->sizes.out;
    gw_real *packed_r = lstm_train_packed_r(s, direction, packed);
    if (direction) {
        gw_pack_transpose(packed, s->tensors[0], 4 * H, R);
        if (s->sizes.extra) gw_pack_transpose(packed_r, s->tensors[1], R, H);
    } else {
        gw_pack_matrix(packed, s->tensors[0], (int)(4 * H), (int)R, (int)R);
        if (s->sizes.extra) gw_pack_matrix(packed_r, s->tensors[1], (int)R, (int)H, (int)H);
    }
}

typedef struct lstm_train {
    gw_rows rows;
    gw_act gate, act, out;
    int coupled;
    gw_real bound; /* of the cell; 0 = none */
    size_t H, R, kept;
    size_t arguments;        /* where what goes into i, f, g, o begins in a row kept, 0 = nowhere */
    const gw_real *peephole; /* (3H) i, f, o; NULL without */
    gw_real *zeros;          /* as wide as any sum */
    gw_real *own, *y;        /* (4H) and (H) a row */
    gw_real *spare;          /* (kept) a row, where the caller keeps nothing */
    size_t wide, narrow;     /* strides of own and y */
} lstm_train;

static lstm_train lstm_train_take(gw_heap *heap, const gw_sequence *s) {
    const double *options = s->options;
    const size_t H = s->sizes.units, R = s->sizes.out;
    lstm_train l = {
        .rows = gw_rows_take(heap, s),
        .gate = gw_act_at(options, LSTM_AT_GATE, options[LSTM_AT_CLIP]),
        .act = gw_act_at(options, LSTM_AT_ACT, options[LSTM_AT_CLIP]),
        .out = gw_act_at(options, LSTM_AT_OUT, 0.0),
        .coupled = options[LSTM_AT_COUPLED] != 0.0,
        .bound = (gw_real)options[LSTM_AT_CELL],
        .H = H,
        .R = R,
        .kept = s->sizes.kept,
        .arguments = lstm_arguments(options) ? 6 * H : 0,
        .peephole = options[LSTM_AT_PEEPHOLES] != 0.0 ? s->tensors[2] : NULL,
        .wide = gw_row_stride(4 * H),
        .narrow = gw_row_stride(H),
    };
    l.zeros = gw_heap_zeros(heap, l.wide);
    l.own = gw_heap_reals(heap, l.rows.count * l.wide);
    l.y = gw_heap_reals(heap, l.rows.count * l.narrow);
    l.spare = gw_heap_reals(heap, s->kept ? 0 : l.rows.count * l.kept);
    return l;
}

static gw_real *lstm_train_kept(const lstm_train *l, const gw_sequence *s, size_t t, size_t row) {
    return s->kept ? gw_at(&l->rows, s->kept, t, row, l->kept) : l->spare + row * l->kept;
}

/* a = p * c + a */
static inline void lstm_train_peep(gw_real *a, const gw_real *p, const gw_real *c, size_t H) {
    GW_EACH((int)H, gwv_store_part(
                        a + i, gwv_fma(gwv_load_part(p + i, n), gwv_load_part(c + i, n), gwv_load_part(a + i, n)), n));
}

/* f c + i g before it is bounded. */
static inline gwv lstm_train_cell(gwv f, gwv c, gwv i, gwv g) { return gwv_fma(f, c, gwv_mul(i, g)); }

/* A row's step up to y: the input's share of its sums, and its own. */
static void lstm_train_step(const lstm_train *l, const gw_real *sums, gw_real *own, gw_real *kept, gw_real *c,
                            gw_real *y) {
    const size_t H = l->H;
    const gw_real *p = l->peephole;
    gw_real *in = kept, *forget = kept + H, *candidate = kept + 2 * H, *o = kept + 3 * H;
    gw_real *cell = kept + 4 * H, *shown = kept + 5 * H, *a = l->arguments ? kept + l->arguments : NULL;
    if (p) lstm_train_peep(own, p, c, H), lstm_train_peep(own + H, p + H, c, H);
    gw_act_apply(l->gate, own, sums, in, a, 2 * H); /* i and f lie side by side */
    if (l->coupled) GW_EACH((int)H, gwv_store_part(forget + i, gwv_sub(gwv_set(1), gwv_load_part(in + i, n)), n));
    gw_act_apply(l->act, own + 2 * H, sums + 2 * H, candidate, a ? a + 2 * H : NULL, H);
    GW_EACH((int)H, {
        gwv next = lstm_train_cell(gwv_load_part(forget + i, n), gwv_load_part(c + i, n), gwv_load_part(in + i, n),
                                   gwv_load_part(candidate + i, n));
        next = gwv_within(l->bound, next);
        gwv_store_part(c + i, next, n);
        gwv_store_part(cell + i, next, n);
    });
    if (p) lstm_train_peep(own + 3 * H, p + 2 * H, c, H);
    gw_act_apply(l->gate, own + 3 * H, sums + 3 * H, o, a ? a + 3 * H : NULL, H);
    gw_act_apply(l->out, c, l->zeros, shown, NULL, H);
    GW_EACH((int)H, gwv_store_part(y + i, gwv_mul(gwv_load_part(o + i, n), gwv_load_part(shown + i, n)), n));
}

static void lstm_train_forward(lstm_train *l, const gw_sequence *s) {
    const size_t H = l->H, R = l->R;
    const int projected = s->sizes.extra != 0;
    gw_rows *rows = &l->rows;
    gw_forward_begin(rows);
    for (size_t t = 0, live; (live = gw_forward_rows(rows, t)); t++) {
        const gw_product h = {s->packed, rows->state[0], rows->stride[0], (int)R};
        gw_affine(l->own, l->wide, l->zeros, h, (int)(4 * H), (int)live);
        for (size_t row = 0; row < live; row++)
            lstm_train_step(l, gw_at(rows, s->sums, t, row, 4 * H), l->own + row * l->wide,
                            lstm_train_kept(l, s, t, row), rows->state[1] + row * rows->stride[1],
                            projected ? l->y + row * l->narrow : rows->state[0] + row * rows->stride[0]);
        if (projected) {
            const gw_product y = {lstm_train_packed_r(s, 0, s->packed), l->y, l->narrow, (int)H};
            gw_affine(rows->state[0], rows->stride[0], l->zeros, y, (int)R, (int)live);
        }
        for (size_t row = 0; row < live; row++)
            memcpy(gw_at(rows, s->out, t, row, R), rows->state[0] + row * rows->stride[0], R * sizeof(gw_real));
    }
}

/* The cell before step t of a row: zeros, the first, or what step t - 1 kept. */
static const gw_real *lstm_cell_before(const lstm_train *l, const gw_sequence *s, size_t t, size_t row) {
    if (gw_is_reset(s, t, l->rows.row[row])) return l->rows.zeros;
    if (t == 0) return (const gw_real *)s->first[1] + l->rows.row[row] * l->H;
    return lstm_train_kept(l, s, t - 1, row) + 4 * l->H;
}

/* A row at a step, on the way back. */
typedef struct lstm_back {
    const gw_real *kept, *arguments; /* the latter are the values where they are not needed */
    const gw_real *before, *dy;      /* before: the cell before the step */
    gw_real *dc;                     /* of the cell after the step, then of that before */
    gw_real *d, *d_sums; /* the gradient of i, f, g, o, twice: one row beside the other, and for the caller */
} lstm_back;

/* The gradients of what goes into i, f, g, o. Inlined with constant activations where speed matters. */
static inline __attribute__((always_inline)) void lstm_train_slopes(gw_act gate, gw_act act, gw_act out, int coupled,
                                                                    gw_real bound, const gw_real *p, size_t H,
                                                                    lstm_back b) {
    const gw_real *in = b.kept, *forget = b.kept + H, *candidate = b.kept + 2 * H, *o = b.kept + 3 * H;
    const gw_real *cell = b.kept + 4 * H, *shown = b.kept + 5 * H, *a = b.arguments;
    GW_EACH((int)H, {
        gwv back = gwv_load_part(b.dy + i, n);
        gwv open = gwv_load_part(o + i, n);
        gwv y = gwv_load_part(shown + i, n);
        gwv d_o = gwv_mul(gwv_mul(back, y), gw_act_slope(gate, gwv_load_part(a + 3 * H + i, n), open));
        gwv slope = gw_act_slope(out, gwv_load_part(cell + i, n), y);
        gwv sum = gwv_fma(gwv_mul(back, open), slope, gwv_load_part(b.dc + i, n));
        if (p) sum = gwv_fma(gwv_load_part(p + 2 * H + i, n), d_o, sum);
        gwv_store_part(b.d + 3 * H + i, d_o, n);
        gwv_store_part(b.d_sums + 3 * H + i, d_o, n);
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
        gwv_store_part(b.d_sums + i, d_i, n);
        gwv_store_part(b.d + H + i, d_f, n);
        gwv_store_part(b.d_sums + H + i, d_f, n);
        gwv_store_part(b.d + 2 * H + i, d_g, n);
        gwv_store_part(b.d_sums + 2 * H + i, d_g, n);
        gwv_store_part(b.dc + i, sum, n);
    });
}

static void lstm_train_backward(lstm_train *l, const gw_sequence *s) {
    const size_t H = l->H, R = l->R;
    const int projected = s->sizes.extra != 0, plain = gw_act_is(l->gate, GW_SIGMOID) && gw_act_is(l->act, GW_TANH) &&
                                                       gw_act_is(l->out, GW_TANH) && !l->coupled && !l->peephole &&
                                                       l->bound <= 0;
    gw_rows *rows = &l->rows;
    for (size_t t = s->time; t-- > 0;) {
        const size_t live = gw_backward_rows(rows, t);
        for (size_t row = 0; row < live; row++) {
            gw_real *dh = rows->state[0] + row * rows->stride[0];
            gw_add_to(dh, gw_at(rows, s->d_out, t, row, R), R);
            if (projected) memcpy(gw_at(rows, s->extra, t, row, R), dh, R * sizeof(gw_real));
        }
        if (projected) {
            const gw_product back = {lstm_train_packed_r(s, 1, s->packed), rows->state[0], rows->stride[0], (int)R};
            gw_affine(l->y, l->narrow, l->zeros, back, (int)H, (int)live);
        }
        for (size_t row = 0; row < live; row++) {
            const gw_real *kept = lstm_train_kept(l, s, t, row);
            const lstm_back b = {
                .kept = kept,
                .arguments = l->arguments ? kept + l->arguments : kept,
                .before = lstm_cell_before(l, s, t, row),
                .dy = projected ? l->y + row * l->narrow : rows->state[0] + row * rows->stride[0],
                .dc = rows->state[1] + row * rows->stride[1],
                .d = l->own + row * l->wide,
                .d_sums = gw_at(rows, s->d_sums, t, row, 4 * H),
            };
            if (plain)
                lstm_train_slopes(gw_plain_sigmoid, gw_plain_tanh, gw_plain_tanh, 0, 0, NULL, H, b);
            else
                lstm_train_slopes(l->gate, l->act, l->out, l->coupled, l->bound, l->peephole, H, b);
        }
        const gw_product back = {s->packed, l->own, l->wide, (int)(4 * H)};
        gw_affine(rows->state[0], rows->stride[0], l->zeros, back, (int)R, (int)live);
        gw_backward_reset(rows, t);
    }
    gw_backward_end(rows);
}

GW_TRAIN_KERNEL(lstm)
