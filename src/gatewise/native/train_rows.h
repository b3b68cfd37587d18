/* What the training kernels share: their memory, and which rows are under way at a step. Included after the primitives. */
#ifndef GW_TRAIN_ROWS_H
#define GW_TRAIN_ROWS_H

#include "train.h"

#include <stdlib.h>
#include <string.h>

/* A gradient that goes back many steps often decays into denormals, which cost a hundred cycles each: in float they are 0. */
#if defined(__SSE2__) && !defined(GW_DOUBLE)
#include <immintrin.h>
enum { GW_FLUSH_TO_ZERO = 0x8000, GW_DENORMALS_ARE_ZERO = 0x40 };
static inline unsigned gw_flush_denormals(void) {
    const unsigned before = _mm_getcsr();
    _mm_setcsr(before | GW_FLUSH_TO_ZERO | GW_DENORMALS_ARE_ZERO);
    return before;
}
static inline void gw_restore_denormals(unsigned before) { _mm_setcsr(before); }
#else
static inline unsigned gw_flush_denormals(void) { return 0; }
static inline void gw_restore_denormals(unsigned before) { (void)before; }
#endif

/* One block of memory, handed out piece by piece; with base NULL it only counts. */
typedef struct gw_heap {
    char *base;
    size_t used;
} gw_heap;

static inline void *gw_heap_take(gw_heap *heap, size_t count, size_t size) {
    char *piece = heap->base ? heap->base + heap->used : NULL;
    heap->used += (count * size + 63) / 64 * 64;
    return piece;
}

static inline gw_real *gw_heap_reals(gw_heap *heap, size_t count) { return gw_heap_take(heap, count, sizeof(gw_real)); }

static inline gw_real *gw_heap_zeros(gw_heap *heap, size_t count) {
    gw_real *piece = gw_heap_reals(heap, count);
    if (piece) memset(piece, 0, count * sizeof(gw_real));
    return piece;
}

/* Whole panels, so that rows can be accumulators. */
static inline size_t gw_row_stride(size_t width) { return ((size_t)gw_padded((int)width) + 15) / 16 * 16; }

/* Numbers of a packed matrix of `rows` outputs, in whole GW_ALIGNMENT. */
static inline size_t gw_packed_size(size_t rows, size_t cols) {
    return ((size_t)gw_padded((int)rows) * cols + 15) / 16 * 16;
}

/* packed = the transpose of w (rows, cols): what a gradient is multiplied with. */
static inline void gw_pack_transpose(gw_real *packed, const gw_real *w, size_t rows, size_t cols) {
    gw_pack_strided(packed, w, (int)cols, (int)rows, 1, (int)cols);
}

/* The rows of one share, the longest first. Those under way are the first `live`; their states, or the gradients of those,
 * lie beside each other in that order. */
typedef struct gw_rows {
    const gw_sequence *s;
    size_t count, live;
    size_t *row;
    gw_real *state[GW_TRAIN_STATES];
    size_t stride[GW_TRAIN_STATES];
    gw_real *zeros; /* as wide as the widest state */
} gw_rows;

static inline size_t gw_length(const gw_sequence *s, size_t row) {
    return s->lengths ? (size_t)s->lengths[row] : s->time;
}

static inline int gw_is_reset(const gw_sequence *s, size_t t, size_t row) {
    return s->resets && s->resets[t * s->batch + row];
}

static int gw_longer_first(const void *a, const void *b) {
    const size_t *one = a, *other = b; /* length, row */
    if (one[0] != other[0]) return one[0] < other[0] ? 1 : -1;
    return one[1] < other[1] ? -1 : 1;
}

static inline gw_rows gw_rows_take(gw_heap *heap, const gw_sequence *s) {
    gw_rows rows = {.s = s, .count = s->batch > s->share ? (s->batch - s->share + s->shares - 1) / s->shares : 0};
    size_t widest = 0;
    rows.row = gw_heap_take(heap, 2 * rows.count, sizeof *rows.row);
    for (int k = 0; k < GW_TRAIN_STATES; k++) {
        rows.stride[k] = gw_row_stride(s->sizes.state[k]);
        rows.state[k] = gw_heap_reals(heap, rows.count * rows.stride[k]);
        widest = s->sizes.state[k] > widest ? s->sizes.state[k] : widest;
    }
    rows.zeros = gw_heap_zeros(heap, widest);
    if (!heap->base) return rows;
    for (size_t i = 0; i < rows.count; i++) {
        const size_t row = s->share + i * s->shares;
        rows.row[2 * i] = gw_length(s, row);
        rows.row[2 * i + 1] = row;
    }
    qsort(rows.row, rows.count, 2 * sizeof *rows.row, gw_longer_first);
    for (size_t i = 0; i < rows.count; i++) rows.row[i] = rows.row[2 * i + 1];
    return rows;
}

/* Step t of row number i in an array (T, B, width). */
static inline gw_real *gw_at(const gw_rows *rows, const void *array, size_t t, size_t i, size_t width) {
    return (gw_real *)array + (t * rows->s->batch + rows->row[i]) * width;
}

static inline void gw_clear_rest(const gw_rows *rows, void *array, size_t i, size_t width) {
    for (size_t t = gw_length(rows->s, rows->row[i]); array && t < rows->s->time; t++)
        memset(gw_at(rows, array, t, i, width), 0, width * sizeof(gw_real));
}

static inline void gw_move_states(gw_rows *rows, size_t i, const void *const from[], void *const to[]) {
    for (int k = 0; k < GW_TRAIN_STATES; k++) {
        const size_t width = rows->s->sizes.state[k], at = rows->row[i] * width;
        gw_real *state = rows->state[k] + i * rows->stride[k];
        if (from && width) memcpy(state, (const gw_real *)from[k] + at, width * sizeof(gw_real));
        if (to && width) memcpy((gw_real *)to[k] + at, state, width * sizeof(gw_real));
    }
}

static inline void gw_clear_states(gw_rows *rows, size_t i) {
    for (int k = 0; k < GW_TRAIN_STATES; k++)
        memset(rows->state[k] + i * rows->stride[k], 0, rows->s->sizes.state[k] * sizeof(gw_real));
}

static inline void gw_forward_begin(gw_rows *rows) {
    for (size_t i = 0; i < rows->count; i++) gw_move_states(rows, i, rows->s->first, NULL);
    rows->live = rows->count;
}

/* How many rows have a step t; 0 at the end of all. Their states are those before it. */
static inline size_t gw_forward_rows(gw_rows *rows, size_t t) {
    const gw_sequence *s = rows->s;
    for (; rows->live && gw_length(s, rows->row[rows->live - 1]) <= t; rows->live--) {
        const size_t i = rows->live - 1;
        gw_move_states(rows, i, NULL, s->last);
        gw_clear_rest(rows, s->out, i, s->sizes.out);
        gw_clear_rest(rows, s->kept, i, s->sizes.kept);
    }
    for (size_t i = 0; i < rows->live; i++)
        if (gw_is_reset(s, t, rows->row[i])) gw_clear_states(rows, i);
    return rows->live;
}

/* How many rows have a step t, for t downwards. Their gradients are those of the states after it. */
static inline size_t gw_backward_rows(gw_rows *rows, size_t t) {
    for (; rows->live < rows->count && gw_length(rows->s, rows->row[rows->live]) > t; rows->live++)
        gw_move_states(rows, rows->live, rows->s->d_last, NULL);
    return rows->live;
}

/* After step t the gradients are those of the states before it, but none goes beyond a reset. */
static inline void gw_backward_reset(gw_rows *rows, size_t t) {
    for (size_t i = 0; i < rows->live; i++)
        if (gw_is_reset(rows->s, t, rows->row[i])) gw_clear_states(rows, i);
}

static inline void gw_backward_end(gw_rows *rows) {
    const gw_sequence *s = rows->s;
    for (size_t i = 0; i < rows->count; i++) {
        if (i >= rows->live) gw_move_states(rows, i, s->d_last, NULL); /* a row without a step */
        gw_move_states(rows, i, NULL, s->d_first);
        gw_clear_rest(rows, s->d_sums, i, s->sizes.sums);
        gw_clear_rest(rows, s->extra, i, s->sizes.extra);
    }
}

/* The hidden state before step t of row i: zeros, the first, or what step t - 1 wrote. */
static inline const gw_real *gw_hidden_before(const gw_rows *rows, size_t t, size_t i) {
    const gw_sequence *s = rows->s;
    if (gw_is_reset(s, t, rows->row[i])) return rows->zeros;
    if (t == 0) return (const gw_real *)s->first[0] + rows->row[i] * s->sizes.state[0];
    return gw_at(rows, s->out, t - 1, i, s->sizes.out);
}

/* a += b */
static inline void gw_add_to(gw_real *a, const gw_real *b, size_t count) {
    GW_EACH((int)count, gwv_store_part(a + i, gwv_add(gwv_load_part(a + i, n), gwv_load_part(b + i, n)), n));
}

/* Where an activation stands in the options: its kind and two numbers. */
typedef struct gw_act {
    int kind;
    gw_real a, b, clip;
} gw_act;

static inline gw_act gw_act_at(const double *options, int at, double clip) {
    return (gw_act){(int)options[at], (gw_real)options[at + 1], (gw_real)options[at + 2], (gw_real)clip};
}

/* Whether its slope needs what goes into it, its value being not enough. */
static inline int gw_act_needs_argument(gw_act f) {
    switch (f.kind) {
    case GW_LEAKY_RELU:
    case GW_THRESHOLDED_RELU:
    case GW_ELU:
        return f.clip > 0 || f.a < 0;
    case GW_SILU:
    case GW_GELU:
    case GW_GELU_TANH:
    case GW_HARD_SILU:
    case GW_MISH:
        return 1;
    default:
        return f.clip > 0;
    }
}

/* y = f(x + add), x + add held within its clip; where `argument` is given x + add goes there. Inlined with a constant f where
 * speed matters: then the switches are gone from the loop. */
static inline __attribute__((always_inline)) void gw_act_map(gw_act f, const gw_real *x, const gw_real *add, gw_real *y,
                                                             gw_real *argument, size_t count) {
    GW_EACH((int)count, {
        gwv a = gwv_add(gwv_load_part(x + i, n), gwv_load_part(add + i, n));
        if (argument) gwv_store_part(argument + i, a, n);
        gwv_store_part(y + i, gwv_activate(f.kind, f.a, f.b, gwv_within(f.clip, a)), n);
    });
}

static const gw_act gw_plain_sigmoid = {GW_SIGMOID, 0, 0, 0}, gw_plain_tanh = {GW_TANH, 0, 0, 0};

static inline int gw_act_is(gw_act f, int kind) { return f.kind == kind && f.clip <= 0; }

static inline void gw_act_apply(gw_act f, const gw_real *x, const gw_real *add, gw_real *y, gw_real *argument,
                                size_t count) {
    if (gw_act_is(f, GW_SIGMOID))
        gw_act_map(gw_plain_sigmoid, x, add, y, NULL, count);
    else if (gw_act_is(f, GW_TANH))
        gw_act_map(gw_plain_tanh, x, add, y, NULL, count);
    else
        gw_act_map(f, x, add, y, argument, count);
}

/* The slope at x of an activation whose value there is y. x may be y where gw_act_needs_argument says so. Beyond the clip the
 * slope is 0. */
static inline gwv gw_act_slope(gw_act f, gwv x, gwv y) {
    gwv slope = gwv_slope(f.kind, f.a, f.b, f.clip > 0 ? gwv_within(f.clip, x) : x, y);
    return f.clip > 0 ? gwv_inside(f.clip, x, slope) : slope;
}

/* The kernel of a kind: kind_train_sizes and kind_train_pack are as in train.h; kind_train_take lays out the struct
 * kind_train in a heap, and kind_train_forward and kind_train_backward run over it. */
#define GW_TRAIN_KERNEL(kind)                                                                                          \
    static int kind##_train_run(const gw_sequence *s, void (*run)(kind##_train *, const gw_sequence *)) {              \
        gw_heap heap = {0};                                                                                            \
        kind##_train_take(&heap, s);                                                                                   \
        void *memory = malloc(heap.used + 64);                                                                         \
        if (!memory) return -1;                                                                                        \
        heap = (gw_heap){(char *)(((uintptr_t)memory + 63) / 64 * 64), 0};                                             \
        kind##_train layer = kind##_train_take(&heap, s);                                                              \
        const unsigned before = gw_flush_denormals();                                                                  \
        run(&layer, s);                                                                                                \
        gw_restore_denormals(before);                                                                                  \
        free(memory);                                                                                                  \
        return 0;                                                                                                      \
    }                                                                                                                  \
    static int kind##_train_run_forward(const gw_sequence *s) { return kind##_train_run(s, kind##_train_forward); }    \
    static int kind##_train_run_backward(const gw_sequence *s) { return kind##_train_run(s, kind##_train_backward); }  \
    static const gw_train_kernel gw_train_##kind = {#kind, kind##_train_sizes, kind##_train_pack,                      \
                                                    kind##_train_run_forward, kind##_train_run_backward};

#endif
