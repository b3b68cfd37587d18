/* Plain recurrent layer over whole sequences, with a gradient; the equation is in spec.py.
 *
 *     a  = W_ih x + b_ih + b_hh + W_hh h
 *     h' = act(a)                                a is first limited to the clip
 *
 *     da = dh' act'(a)       dh = W_hh^T da      dx = W_ih^T da
 *
 * Saved for the backward pass: a (H) if the slope of act needs it, else nothing.
 */

#include "options.h"

static int rnn_train_sizes(const double *options, size_t count, size_t inputs, size_t rows, size_t hidden,
                           gw_train_sizes *sizes) {
    if (count != GW_RNN_OPTIONS || !hidden || rows != hidden) return 0;
    const size_t H = hidden;
    *sizes = (gw_train_sizes){
        .inputs = inputs,
        .units = H,
        .out = H,
        .state = {H},
        .saved = gw_act_needs_argument(gw_act_at(options, GW_RNN_ACTIVATION, options[GW_RNN_CLIP])) ? H : 0,
        .tensors = {{H, inputs}, {H, H}, {H, 1}, {H, 1}},
    };
    return 1;
}

typedef struct rnn_train {
    gw_rows rows;
    gw_accumulated accumulated;
    gw_act act;
    gw_real *weight_ih, *weight_hh; /* packed; backward transposed */
    gw_real *bias;                  /* (H) the sum of both */
    gw_real *own;                   /* (H) for each row */
    size_t stride;
} rnn_train;

static rnn_train rnn_train_take(gw_arena *arena, const gw_sequence *s) {
    const size_t H = s->sizes.units, I = s->sizes.inputs;
    gw_real *(*pack)(gw_arena *, const gw_real *, size_t, size_t) =
        gw_is_backward(s) ? gw_arena_transpose : gw_arena_matrix;
    rnn_train r = {
        .rows = gw_rows_take(arena, s),
        .act = gw_act_at(s->options, GW_RNN_ACTIVATION, s->options[GW_RNN_CLIP]),
        .stride = gw_row_stride(H),
    };
    r.accumulated = gw_accumulated_take(arena, &r.rows, H);
    r.weight_ih = pack(arena, s->tensors[GW_RNN_WEIGHT_IH], H, I);
    r.weight_hh = pack(arena, s->tensors[GW_RNN_WEIGHT_HH], H, H);
    r.bias = gw_arena_sum(arena, s->tensors[GW_RNN_BIAS_IH], s->tensors[GW_RNN_BIAS_HH], H);
    r.own = gw_arena_reals(arena, r.rows.count * r.stride);
    return r;
}

static void rnn_train_forward(rnn_train *r, const gw_sequence *s) {
    const size_t H = s->sizes.units;
    gw_rows *rows = &r->rows;
    gw_forward_begin(rows);
    for (size_t t = 0, live; (live = gw_forward_rows(rows, t)); t++) {
        const gw_product x = {r->weight_ih, rows->x, rows->x_stride, (int)s->sizes.inputs};
        const gw_product h = {r->weight_hh, rows->state[0], rows->stride[0], (int)H};
        gw_affine_2(r->own, r->stride, r->bias, x, h, (int)H, (int)live);
        for (size_t i = 0; i < live; i++) {
            gw_real *out = gw_at(rows, s->out, t, i, H);
            gw_act_apply(r->act, r->own + i * r->stride, out,
                         s->saved && s->sizes.saved ? gw_saved_at(rows, t, i) : NULL, H);
            memcpy(rows->state[0] + i * rows->stride[0], out, H * sizeof(gw_real));
        }
    }
}

static void rnn_train_products(rnn_train *r, const gw_sequence *s) {
    const size_t H = s->sizes.units, I = s->sizes.inputs;
    gw_accumulated *p = &r->accumulated;
    const gw_product back = {r->weight_ih, p->d, p->d_stride, (int)H};
    gw_accumulated_x(p, &r->rows, &back, 1);
    gw_accumulated_weight(p, s->d_tensors[GW_RNN_WEIGHT_IH], 0, H, p->x, p->x_stride, I);
    gw_accumulated_weight(p, s->d_tensors[GW_RNN_WEIGHT_HH], 0, H, p->h, p->h_stride, H);
    gw_accumulated_bias(p, s->d_tensors[GW_RNN_BIAS_IH], 0, H);
    p->count = 0;
}

static void rnn_train_backward(rnn_train *r, const gw_sequence *s) {
    const size_t H = s->sizes.units;
    gw_rows *rows = &r->rows;
    gw_accumulated *p = &r->accumulated;
    for (size_t t = s->time; t-- > 0;) {
        const size_t live = gw_backward_rows(rows, t);
        if (p->count + live > p->room) rnn_train_products(r, s);
        gw_accumulate_step(p, rows, t, live);
        gw_real *d = p->d + p->count * p->d_stride;
        for (size_t row = 0; row < live; row++) {
            const gw_real *y = gw_at(rows, s->out, t, row, H), *d_out = gw_at(rows, s->d_out, t, row, H);
            const gw_real *a = s->sizes.saved ? gw_saved_at(rows, t, row) : y;
            const gw_real *dh = rows->state[0] + row * rows->stride[0];
            gw_real *da = d + row * p->d_stride;
            GW_EACH((int)H, {
                gwv sum = gwv_add(gwv_load_part(dh + i, n), gwv_load_part(d_out + i, n));
                gwv slope = gw_act_slope(r->act, gwv_load_part(a + i, n), gwv_load_part(y + i, n));
                gwv_store_part(da + i, gwv_mul(sum, slope), n);
            });
        }
        const gw_product back = {r->weight_hh, d, p->d_stride, (int)H};
        gw_affine(rows->state[0], rows->stride[0], rows->zeros, back, (int)H, (int)live);
        p->count += live;
        gw_backward_reset(rows, t);
    }
    rnn_train_products(r, s);
    memcpy(s->d_tensors[GW_RNN_BIAS_HH], s->d_tensors[GW_RNN_BIAS_IH], H * sizeof(gw_real));
    gw_backward_end(rows);
}

GW_TRAIN_KERNEL(rnn)
