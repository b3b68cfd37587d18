/* The loops of scan.h, written with the primitives. Include it after train_rows.h.
 *
 *     h[t] = a[t] h[t-1] + b[t]
 *
 *     g[t] = d_h[t] + conj(a[t+1]) g[t+1]     the gradient of h[t]; at the last step d_last instead of the product
 *     d_b[t] = g[t]      d_a[t] = g[t] conj(h[t-1])      d_first = conj(a[0]) g[0]
 *
 * The loops run row by row, within a row step by step, and within a step over the width. Every array is therefore read
 * or written once, in the order of memory or in reverse order, which is the fastest access. h[t-1] and g[t+1] are then
 * still in the first-level cache.
 */
#ifndef GW_SCAN_ROWS_H
#define GW_SCAN_ROWS_H

#include "scan.h"

/* The iterations of the next loop are independent: each writes only to places that no other iteration reads. */
#if defined(__clang__)
#define GW_UNORDERED _Pragma("clang loop vectorize(assume_safety)")
#else
#define GW_UNORDERED _Pragma("GCC ivdep")
#endif

typedef enum gw_factor { GW_REAL, GW_COMPLEX, GW_CONJUGATE } gw_factor;

/* y = a x + c, or conj(a) x + c. y may be the same array as c; c may be NULL, which means 0. */
static inline __attribute__((always_inline)) void gw_scan_join(gw_factor factor, gw_real *y, const gw_real *a,
                                                               const gw_real *x, const gw_real *c, size_t width) {
    if (factor == GW_REAL) {
        GW_EACH((int)width, {
            gwv from = c ? gwv_load_part(c + i, n) : gwv_set(0);
            gwv_store_part(y + i, gwv_fma(gwv_load_part(a + i, n), gwv_load_part(x + i, n), from), n);
        });
        return;
    }
    GW_UNORDERED
    for (size_t i = 0; i < width; i += 2) {
        const gw_real re = a[i], im = factor == GW_CONJUGATE ? -a[i + 1] : a[i + 1], x_re = x[i], x_im = x[i + 1];
        y[i] = (re * x_re - im * x_im) + (c ? c[i] : 0);
        y[i + 1] = (re * x_im + im * x_re) + (c ? c[i + 1] : 0);
    }
}

static inline size_t gw_scan_length(const gw_scan *s, size_t row) {
    return s->lengths ? (size_t)s->lengths[row] : s->time;
}

static inline int gw_scan_reset(const gw_scan *s, size_t row, size_t t) {
    return s->resets && s->resets[row * s->time + t];
}

static inline gw_real *gw_scan_at(const gw_scan *s, const void *array, size_t row, size_t t) {
    return (gw_real *)array + (row * s->time + t) * s->width;
}

static inline const gw_real *gw_scan_a(const gw_scan *s, size_t row, size_t t) {
    return s->same_a ? s->a : gw_scan_at(s, s->a, row, t);
}

/* h before step t; NULL if it counts as 0. */
static inline const gw_real *gw_scan_before(const gw_scan *s, size_t row, size_t t) {
    if (gw_scan_reset(s, row, t)) return NULL;
    return t ? gw_scan_at(s, s->h, row, t - 1) : (const gw_real *)s->first + row * s->width;
}

static inline void gw_scan_clear(const gw_scan *s, void *array, size_t row, size_t from) {
    memset(gw_scan_at(s, array, row, from), 0, (s->time - from) * s->width * sizeof(gw_real));
}

/* Inlined with a constant factor, like gw_scan_backward_row. */
static inline __attribute__((always_inline)) void gw_scan_forward_row(const gw_scan *s, size_t row, gw_factor factor) {
    const size_t length = gw_scan_length(s, row), W = s->width;
    const gw_real *before = (const gw_real *)s->first + row * W;
    for (size_t t = 0; t < length; t++) {
        const gw_real *b = gw_scan_at(s, s->b, row, t);
        gw_real *h = gw_scan_at(s, s->h, row, t);
        if (gw_scan_reset(s, row, t))
            memcpy(h, b, W * sizeof *h);
        else
            gw_scan_join(factor, h, gw_scan_a(s, row, t), before, b, W);
        before = h;
    }
    memcpy((gw_real *)s->last + row * W, before, W * sizeof *before);
    gw_scan_clear(s, s->h, row, length);
}

static inline __attribute__((always_inline)) void gw_scan_backward_row(const gw_scan *s, size_t row, gw_factor factor) {
    const size_t length = gw_scan_length(s, row), W = s->width, bytes = W * sizeof(gw_real);
    const gw_real *d_last = (const gw_real *)s->d_last + row * W, *after = NULL;
    gw_real *d_first = (gw_real *)s->d_first + row * W;
    gw_real *sum = s->d_a && s->same_a ? (gw_real *)s->d_a + row * W : NULL;
    if (sum) memset(sum, 0, bytes);
    for (size_t t = length; t-- > 0;) {
        const gw_real *d_h = gw_scan_at(s, s->d_h, row, t), *before = gw_scan_before(s, row, t);
        gw_real *g = gw_scan_at(s, s->d_b, row, t);
        if (after && !gw_scan_reset(s, row, t + 1)) {
            gw_scan_join(factor, g, gw_scan_a(s, row, t + 1), after, d_h, W);
        } else {
            memcpy(g, d_h, bytes);
            if (!after) gw_add_to(g, d_last, W);
        }
        if (sum && before) gw_scan_join(factor, sum, before, g, sum, W);
        if (s->d_a && !sum) {
            gw_real *d_a = gw_scan_at(s, s->d_a, row, t);
            if (before)
                gw_scan_join(factor, d_a, before, g, NULL, W);
            else
                memset(d_a, 0, bytes);
        }
        after = g;
    }
    if (!after)
        memcpy(d_first, d_last, bytes);
    else if (gw_scan_reset(s, row, 0))
        memset(d_first, 0, bytes);
    else
        gw_scan_join(factor, d_first, gw_scan_a(s, row, 0), after, NULL, W);
    gw_scan_clear(s, s->d_b, row, length);
    if (s->d_a && !sum) gw_scan_clear(s, s->d_a, row, length);
}

static void gw_scan_forward(const gw_scan *s) {
    const unsigned before = gw_flush_denormals();
    for (size_t row = s->share; row < s->batch; row += s->shares)
        if (s->is_complex)
            gw_scan_forward_row(s, row, GW_COMPLEX);
        else
            gw_scan_forward_row(s, row, GW_REAL);
    gw_restore_denormals(before);
}

static void gw_scan_backward(const gw_scan *s) {
    const unsigned before = gw_flush_denormals();
    for (size_t row = s->share; row < s->batch; row += s->shares)
        if (s->is_complex)
            gw_scan_backward_row(s, row, GW_CONJUGATE);
        else
            gw_scan_backward_row(s, row, GW_REAL);
    gw_restore_denormals(before);
}

#endif
