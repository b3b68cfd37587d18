/* Gated recurrent unit over whole sequences, with a gradient; the equations are in spec.py.
 *
 *     [p, q, v] = W h + b                    sums: the input's share [x, y, u] with its own biases
 *     r = gate(x + p)      z = gate(y + q)
 *     n = act(u + r v)                       reset after
 *     n = act(u + W_n (r h) + b_n)           reset before
 *     h' = n + z (h - n)
 *
 * With d for the gradient of what follows it:
 *
 *     dn = dh' (1 - z) act'     dz = dh' (h - n) gate'     dr = dn v gate'     dv = dn r
 *     dh = dh' z + W^T [dr, dz, dv]
 *
 * and with reset before, s = W_n^T dn:     dr = s h gate'     dh = dh' z + s r + W_rz^T [dr, dz]
 *
 * Options as in kernel.c. Tensors: weight_hh (3H, H), bias_hh (3H). Kept: r, z, n, v (H each; v only with reset after),
 * and where a slope needs them what goes into r, z, n. Gradient of the sums: [dr, dz, dn]. Extra, with reset after: dv (H).
 */

enum { GRU_AT_BEFORE = 0, GRU_AT_GATE = 1, GRU_AT_ACT = 4, GRU_AT_CLIP = 7 };

static int gru_arguments(const double *options) {
    return gw_act_needs_argument(gw_act_at(options, GRU_AT_GATE, options[GRU_AT_CLIP])) ||
           gw_act_needs_argument(gw_act_at(options, GRU_AT_ACT, options[GRU_AT_CLIP]));
}

static int gru_train_sizes(const double *options, size_t count, size_t sums, size_t hidden, gw_train_sizes *sizes) {
    if (count != 8 || sums != 3 * hidden) return 0;
    const size_t H = hidden, own = options[GRU_AT_BEFORE] != 0.0 ? 3 * H : 4 * H;
    *sizes = (gw_train_sizes){
        .units = H,
        .sums = sums,
        .out = H,
        .state = {H},
        .kept = own + (gru_arguments(options) ? 3 * H : 0),
        .extra = options[GRU_AT_BEFORE] != 0.0 ? 0 : H,
        .tensors = {{3 * H, H}, {3 * H, 1}},
        .packed = {gw_packed_size(3 * H, H) + gw_packed_size(H, H), gw_packed_size(H, 3 * H) + gw_packed_size(H, H)},
    };
    return 1;
}

/* All rows, or with reset before those of r and z, then those of n. */
static gw_real *gru_train_packed_n(const gw_sequence *s, int direction, const void *packed) {
    return (gw_real *)packed + s->sizes.packed[direction] - gw_packed_size(s->sizes.units, s->sizes.units);
}

static void gru_train_pack(const gw_sequence *s, int direction, void *packed) {
    const size_t H = s->sizes.units, rows = s->options[GRU_AT_BEFORE] != 0.0 ? 2 * H : 3 * H;
    const gw_real *weight = s->tensors[0], *last = weight + 2 * H * H;
    gw_real *packed_n = gru_train_packed_n(s, direction, packed);
    if (direction) {
        gw_pack_transpose(packed, weight, rows, H);
        gw_pack_transpose(packed_n, last, H, H);
    } else {
        gw_pack_matrix(packed, weight, (int)rows, (int)H, (int)H);
        gw_pack_matrix(packed_n, last, (int)H, (int)H, (int)H);
    }
}

typedef struct gru_train {
    gw_rows rows;
    gw_act gate, act;
    int before;                     /* reset before the recurrent matrix */
    size_t kept, arguments;         /* numbers of a row kept; where what goes into r, z, n begins in it, 0 = nowhere */
    gw_real *bias, *bias_n, *zeros; /* (3H), (H), (H) with room for whole panels */
    gw_real *own, *reset, *sum_n;   /* (3H), (H), (H) a row */
    gw_real *spare;                 /* (kept) a row, where the caller keeps nothing */
    size_t wide, narrow;            /* strides of own, and of reset and sum_n */
} gru_train;

static gru_train gru_train_take(gw_heap *heap, const gw_sequence *s) {
    const size_t H = s->sizes.units;
    const int before = s->options[GRU_AT_BEFORE] != 0.0;
    gru_train g = {
        .rows = gw_rows_take(heap, s),
        .gate = gw_act_at(s->options, GRU_AT_GATE, s->options[GRU_AT_CLIP]),
        .act = gw_act_at(s->options, GRU_AT_ACT, s->options[GRU_AT_CLIP]),
        .before = before,
        .kept = s->sizes.kept,
        .arguments = gru_arguments(s->options) ? (before ? 3 : 4) * H : 0,
        .wide = gw_row_stride(3 * H),
        .narrow = gw_row_stride(H),
    };
    g.bias = gw_heap_zeros(heap, g.wide);
    g.bias_n = gw_heap_zeros(heap, g.narrow);
    g.zeros = gw_heap_zeros(heap, g.narrow);
    g.own = gw_heap_reals(heap, g.rows.count * g.wide);
    g.reset = gw_heap_reals(heap, g.rows.count * g.narrow);
    g.sum_n = gw_heap_reals(heap, g.rows.count * g.narrow);
    g.spare = gw_heap_reals(heap, s->kept ? 0 : g.rows.count * g.kept);
    return g;
}

static gw_real *gru_train_kept(const gru_train *g, const gw_sequence *s, size_t t, size_t row) {
    return s->kept ? gw_at(&g->rows, s->kept, t, row, g->kept) : g->spare + row * g->kept;
}

/* r and z of a row, from its own share of the sums; with reset before, r h too. */
static void gru_train_gates(const gru_train *g, const gw_real *sums, const gw_real *own, gw_real *kept,
                            const gw_real *h, gw_real *reset, size_t H) {
    gw_act_apply(g->gate, own, sums, kept, g->arguments ? kept + g->arguments : NULL, 2 * H);
    if (g->before)
        GW_EACH((int)H, gwv_store_part(reset + i, gwv_mul(gwv_load_part(kept + i, n), gwv_load_part(h + i, n)), n));
    else
        memcpy(kept + 3 * H, own + 2 * H, H * sizeof(gw_real));
}

/* n and the hidden state of a row. u: the input's share of the sum of n; own: the rest of that sum, which with reset after is
 * r v and made here. */
static void gru_train_state(const gru_train *g, const gw_real *u, gw_real *own, gw_real *kept, gw_real *h, gw_real *out,
                            size_t H) {
    const gw_real *r = kept, *z = kept + H, *v = kept + 3 * H;
    gw_real *candidate = kept + 2 * H;
    if (!g->before)
        GW_EACH((int)H, gwv_store_part(own + i, gwv_mul(gwv_load_part(r + i, n), gwv_load_part(v + i, n)), n));
    gw_act_apply(g->act, own, u, candidate, g->arguments ? kept + g->arguments + 2 * H : NULL, H);
    GW_EACH((int)H, {
        gwv c = gwv_load_part(candidate + i, n);
        gwv next = gwv_fma(gwv_load_part(z + i, n), gwv_sub(gwv_load_part(h + i, n), c), c);
        gwv_store_part(h + i, next, n);
        gwv_store_part(out + i, next, n);
    });
}

static void gru_train_forward(gru_train *g, const gw_sequence *s) {
    const size_t H = s->sizes.units;
    const int own = (int)(g->before ? 2 * H : 3 * H);
    const gw_real *bias = s->tensors[1];
    gw_rows *rows = &g->rows;
    memcpy(g->bias, bias, 3 * H * sizeof(gw_real));
    memcpy(g->bias_n, bias + 2 * H, H * sizeof(gw_real));
    gw_forward_begin(rows);
    for (size_t t = 0, live; (live = gw_forward_rows(rows, t)); t++) {
        const gw_product h = {s->packed, rows->state[0], rows->stride[0], (int)H};
        gw_affine(g->own, g->wide, g->bias, h, own, (int)live);
        for (size_t row = 0; row < live; row++)
            gru_train_gates(g, gw_at(rows, s->sums, t, row, 3 * H), g->own + row * g->wide,
                            gru_train_kept(g, s, t, row), rows->state[0] + row * rows->stride[0],
                            g->reset + row * g->narrow, H);
        if (g->before) {
            const gw_product reset = {gru_train_packed_n(s, 0, s->packed), g->reset, g->narrow, (int)H};
            gw_affine(g->sum_n, g->narrow, g->bias_n, reset, (int)H, (int)live);
        }
        for (size_t row = 0; row < live; row++)
            gru_train_state(g, gw_at(rows, s->sums, t, row, 3 * H) + 2 * H, g->sum_n + row * g->narrow,
                            gru_train_kept(g, s, t, row), rows->state[0] + row * rows->stride[0],
                            gw_at(rows, s->out, t, row, H), H);
    }
}

/* A row at a step, on the way back. */
typedef struct gru_back {
    const gw_real *kept, *arguments; /* the latter are the values where they are not needed */
    const gw_real *d_out, *h;        /* h: the hidden state before the step */
    gw_real *dh;                     /* of the state after the step, then of that before */
    gw_real *own, *d_sums, *extra;
} gru_back;

static gru_back gru_train_row(const gru_train *g, const gw_sequence *s, size_t t, size_t row) {
    const size_t H = s->sizes.units;
    const gw_real *kept = gru_train_kept(g, s, t, row);
    return (gru_back){
        .kept = kept,
        .arguments = g->arguments ? kept + g->arguments : kept,
        .d_out = gw_at(&g->rows, s->d_out, t, row, H),
        .h = gw_hidden_before(&g->rows, t, row),
        .dh = g->rows.state[0] + row * g->rows.stride[0],
        .own = g->own + row * g->wide,
        .d_sums = gw_at(&g->rows, s->d_sums, t, row, 3 * H),
        .extra = g->before ? NULL : gw_at(&g->rows, s->extra, t, row, H),
    };
}

/* The gradients of what goes into z and n and, with reset after, of r and v; dh becomes dh' z. Inlined with constant
 * activations where speed matters. */
static inline __attribute__((always_inline)) void gru_train_slopes(gw_act gate, gw_act act, int before, gru_back b,
                                                                   size_t H) {
    const gw_real *r = b.kept, *z = b.kept + H, *candidate = b.kept + 2 * H, *v = b.kept + 3 * H, *a = b.arguments;
    gw_real *dz = b.d_sums + H, *dn = b.d_sums + 2 * H;
    GW_EACH((int)H, {
        gwv zz = gwv_load_part(z + i, n);
        gwv c = gwv_load_part(candidate + i, n);
        gwv d = gwv_add(gwv_load_part(b.dh + i, n), gwv_load_part(b.d_out + i, n));
        gwv by_z = gwv_mul(d, gwv_sub(gwv_load_part(b.h + i, n), c));
        gwv by_n = gwv_mul(d, gwv_sub(gwv_set(1), zz));
        by_z = gwv_mul(by_z, gw_act_slope(gate, gwv_load_part(a + H + i, n), zz));
        by_n = gwv_mul(by_n, gw_act_slope(act, gwv_load_part(a + 2 * H + i, n), c));
        gwv_store_part(dz + i, by_z, n);
        gwv_store_part(b.own + H + i, by_z, n);
        gwv_store_part(dn + i, by_n, n);
        gwv_store_part(b.dh + i, gwv_mul(d, zz), n);
        if (before) {
            gwv_store_part(b.own + 2 * H + i, by_n, n);
        } else {
            gwv rr = gwv_load_part(r + i, n);
            gwv by_r = gwv_mul(gwv_mul(by_n, gwv_load_part(v + i, n)), gw_act_slope(gate, gwv_load_part(a + i, n), rr));
            gwv by_v = gwv_mul(by_n, rr);
            gwv_store_part(b.d_sums + i, by_r, n);
            gwv_store_part(b.own + i, by_r, n);
            gwv_store_part(b.extra + i, by_v, n);
            gwv_store_part(b.own + 2 * H + i, by_v, n);
        }
    });
}

/* With reset before, from s = W_n^T dn in `sum`: the gradient of what goes into r, and dh += s r. */
static void gru_train_before(const gru_train *g, gru_back b, const gw_real *sum, size_t H) {
    GW_EACH((int)H, {
        gwv r = gwv_load_part(b.kept + i, n);
        gwv d = gwv_load_part(sum + i, n);
        gwv by_r = gwv_mul(d, gwv_load_part(b.h + i, n));
        by_r = gwv_mul(by_r, gw_act_slope(g->gate, gwv_load_part(b.arguments + i, n), r));
        gwv_store_part(b.own + i, by_r, n);
        gwv_store_part(b.d_sums + i, by_r, n);
        gwv_store_part(b.dh + i, gwv_fma(d, r, gwv_load_part(b.dh + i, n)), n);
    });
}

static void gru_train_backward(gru_train *g, const gw_sequence *s) {
    const size_t H = s->sizes.units;
    const int plain = gw_act_is(g->gate, GW_SIGMOID) && gw_act_is(g->act, GW_TANH) && !g->before;
    gw_rows *rows = &g->rows;
    for (size_t t = s->time; t-- > 0;) {
        const size_t live = gw_backward_rows(rows, t);
        for (size_t row = 0; row < live; row++)
            if (plain)
                gru_train_slopes(gw_plain_sigmoid, gw_plain_tanh, 0, gru_train_row(g, s, t, row), H);
            else
                gru_train_slopes(g->gate, g->act, g->before, gru_train_row(g, s, t, row), H);
        if (g->before) {
            const gw_product back = {gru_train_packed_n(s, 1, s->packed), g->own + 2 * H, g->wide, (int)H};
            gw_affine(g->sum_n, g->narrow, g->zeros, back, (int)H, (int)live);
            for (size_t row = 0; row < live; row++)
                gru_train_before(g, gru_train_row(g, s, t, row), g->sum_n + row * g->narrow, H);
        }
        gw_matmul(rows->state[0], rows->stride[0], s->packed, g->own, g->wide, (int)H, (int)(g->before ? 2 * H : 3 * H),
                  (int)live);
        gw_backward_reset(rows, t);
    }
    gw_backward_end(rows);
}

GW_TRAIN_KERNEL(gru)
