/* Plain recurrent layer over whole sequences, with a gradient; the equation is in spec.py.
 *
 *     a  = sums + W h        sums: the input's share with both biases
 *     h' = act(a)            a held within the clip first
 *
 *     da = dh' act'(a)       dh += W^T da
 *
 * Options as in kernel.c. Tensors: weight_hh (H, H). Kept: (H) a where the slope of act needs it, else nothing.
 */

static int rnn_train_sizes(const double *options, size_t count, size_t sums, size_t hidden, gw_train_sizes *sizes) {
    if (count != 4 || sums != hidden) return 0;
    const int needed = gw_act_needs_argument(gw_act_at(options, 0, options[3]));
    *sizes = (gw_train_sizes){.units = hidden,
                              .sums = hidden,
                              .out = hidden,
                              .state = {hidden},
                              .kept = needed ? hidden : 0,
                              .packed = {gw_packed_size(hidden, hidden), gw_packed_size(hidden, hidden)},
                              .tensors = {{hidden, hidden}}};
    return 1;
}

static void rnn_train_pack(const gw_sequence *s, int direction, void *packed) {
    const size_t H = s->sizes.units;
    if (direction)
        gw_pack_transpose(packed, s->tensors[0], H, H);
    else
        gw_pack_matrix(packed, s->tensors[0], (int)H, (int)H, (int)H);
}

typedef struct rnn_train {
    gw_rows rows;
    gw_real *zeros, *own; /* (H), and (H) a row */
    size_t stride;
} rnn_train;

static rnn_train rnn_train_take(gw_heap *heap, const gw_sequence *s) {
    const size_t H = s->sizes.units;
    rnn_train r = {.rows = gw_rows_take(heap, s), .stride = gw_row_stride(H)};
    r.zeros = gw_heap_zeros(heap, r.stride);
    r.own = gw_heap_reals(heap, r.rows.count * r.stride);
    return r;
}

static void rnn_train_forward(rnn_train *r, const gw_sequence *s) {
    const size_t H = s->sizes.units;
    const gw_act act = gw_act_at(s->options, 0, s->options[3]);
    gw_forward_begin(&r->rows);
    for (size_t t = 0, live; (live = gw_forward_rows(&r->rows, t)); t++) {
        const gw_product h = {s->packed, r->rows.state[0], r->rows.stride[0], (int)H};
        gw_affine(r->own, r->stride, r->zeros, h, (int)H, (int)live);
        for (size_t row = 0; row < live; row++) {
            gw_real *a = r->own + row * r->stride, *out = gw_at(&r->rows, s->out, t, row, H);
            gw_real *kept = s->kept && s->sizes.kept ? gw_at(&r->rows, s->kept, t, row, H) : NULL;
            gw_act_apply(act, a, gw_at(&r->rows, s->sums, t, row, H), out, kept, H);
            memcpy(r->rows.state[0] + row * r->rows.stride[0], out, H * sizeof(gw_real));
        }
    }
}

static void rnn_train_backward(rnn_train *r, const gw_sequence *s) {
    const size_t H = s->sizes.units;
    const gw_act act = gw_act_at(s->options, 0, s->options[3]);
    for (size_t t = s->time; t-- > 0;) {
        const size_t live = gw_backward_rows(&r->rows, t);
        for (size_t row = 0; row < live; row++) {
            const gw_real *y = gw_at(&r->rows, s->out, t, row, H), *d_out = gw_at(&r->rows, s->d_out, t, row, H);
            const gw_real *a = s->sizes.kept ? gw_at(&r->rows, s->kept, t, row, H) : y;
            gw_real *dh = r->rows.state[0] + row * r->rows.stride[0], *da = r->own + row * r->stride;
            GW_EACH((int)H, {
                gwv d = gwv_add(gwv_load_part(dh + i, n), gwv_load_part(d_out + i, n));
                gwv slope = gw_act_slope(act, gwv_load_part(a + i, n), gwv_load_part(y + i, n));
                gwv_store_part(da + i, gwv_mul(d, slope), n);
            });
            memcpy(gw_at(&r->rows, s->d_sums, t, row, H), da, H * sizeof(gw_real));
        }
        const gw_product back = {s->packed, r->own, r->stride, (int)H};
        gw_affine(r->rows.state[0], r->rows.stride[0], r->zeros, back, (int)H, (int)live);
        gw_backward_reset(&r->rows, t);
    }
    gw_backward_end(&r->rows);
}

GW_TRAIN_KERNEL(rnn)
